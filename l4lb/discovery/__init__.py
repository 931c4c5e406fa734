"""Backends that are found while the service runs: followed in the control process.

types     Member, Provider, DiscoveryError
entries   what a source says, as members: every bound of it
merge     what of an answer is taken (pure)
follower  one pool's source: its rate limit, its faults, and what the supervisor is told
runner    the followers of all pools
pace      the rate limit, and waits between tries
reach     which families of addresses this host can reach
shares    weights of instances at one address (pure)
resolver  one question to name servers
files     bounded reads of files
dns, file, exec, http, consul, etcd     one provider each
"""
