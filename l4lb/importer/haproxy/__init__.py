"""Reads haproxy.cfg: `mode tcp` and `mode http`.

words        splits lines into words
sections     splits the file into sections, with the defaults that each inherits
keywords     a row for each keyword of a proxy's section (proxy.py); options, checks, logs, servers
             and binds have rows of their own
conditions   the conditions of `if`; rules and routes convert them
http_words   keywords and options of `mode http`; requests, http_rules: its conditions and rules
pools        converts a section with servers into a pool
read         combines everything
"""

from l4lb.importer.haproxy.read import read

__all__ = ["read"]
