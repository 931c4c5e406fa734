"""Reads squid.conf: as a forward proxy.

words    splits the file into lines and words
acls     converts acl lines into conditions of rules
rules    converts http_access lines into rules
read     combines everything; a row for each directive
"""

from l4lb.importer.squid.read import read

__all__ = ["read"]
