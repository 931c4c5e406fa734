"""Configurations of other balancers, as far as they are about TCP and UDP.

kind       tells whose file it is, by its content
draft      what is made, what was left, where each of both came from
haproxy/   reads haproxy.cfg
nginx/     reads nginx.conf, the stream part of it
networks   access rules of which the first match decides, as longest prefixes
settle     takes out what the configuration would refuse, and names it
text       the result as TOML, with a comment for each line that was left
"""
