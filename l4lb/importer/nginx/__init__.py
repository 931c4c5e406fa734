"""nginx.conf, its stream part.

tree        the parser's output as nodes, each with its line word for word
variables   map, geo, split_clients and set: which clients make a variable what
upstreams   an upstream as a pool's backends
settings    a row a directive of stream and server: what it says of listeners and pools; tls: of TLS
servers     servers as listeners
read        puts it together

The http and mail blocks are not about TCP as such: all their lines are named.
"""

from l4lb.importer.nginx.read import read

__all__ = ["read"]
