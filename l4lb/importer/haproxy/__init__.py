"""Reads haproxy.cfg, as far as it is about TCP.

words        splits lines into words
sections     splits the file into sections, with the defaults that each inherits
keywords     a row for each keyword of a proxy's section (proxy.py); options, checks, logs, servers
             and binds have rows of their own
conditions   the conditions of `if`; rules and routes convert them
pools        converts a section with servers into a pool
read         combines everything

`mode http` sections are relayed as TCP; their HTTP settings are reported.
"""

from l4lb.importer.haproxy.read import read

__all__ = ["read"]
