"""Converts configurations of other load balancers and proxies.

kind       recognises the program that a file belongs to, by its content
draft      the result, the lines that were left, and the origin of both
haproxy/   reads haproxy.cfg
nginx/     reads nginx.conf, its stream and http blocks
squid/     reads squid.conf
networks   turns first-match access rules into longest-prefix access lists
settle     removes settings that the configuration would refuse, and reports them
text       writes the result as TOML, with a comment for each line that was left
"""
