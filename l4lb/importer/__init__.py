"""Configurations of other balancers, as far as they are about TCP and UDP.

draft      what is made, what was left and why, and the TOML of it
haproxy    reads haproxy.cfg
nginx      reads nginx.conf, the stream part of it
"""
