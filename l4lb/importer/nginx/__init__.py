"""Reads nginx.conf: its stream and http blocks.

tree        the parser's output as nodes, each with the text of its line
variables   map, geo, split_clients and set: the clients for which a variable has a value
upstreams   converts an upstream into a pool's backends
settings    a row for each directive of stream and server; tls: the rows of TLS
servers     converts servers into listeners
web         converts an http block; scope, web_words, web_locations and web_pools are its parts
read        combines everything

All lines of a mail block are reported.
"""

from l4lb.importer.nginx.read import read

__all__ = ["read"]
