"""Backends that are found while the service runs: followed in the control process.

types     Member, Provider, DiscoveryError
entries   what a source says, as members: every bound of it
merge     what of an answer is taken (pure)
runner    one provider a pool, its faults, and what the supervisor is told
dns, file, exec, http, consul, etcd     one provider each
"""
