"""haproxy.cfg, as far as it is about TCP.

words        cuts lines into words
sections     cuts the file into sections, with what each inherits
keywords     a row a keyword: what it says of a proxy (proxy.py); options, checks, logs, servers
             and binds: the same of theirs
conditions   what `if` asks; rules and routes: what becomes of it
pools        a section with servers as a pool
read         puts it together

`mode http` sections are relayed as TCP: what they do with HTTP is named.
"""

from l4lb.importer.haproxy.read import read

__all__ = ["read"]
