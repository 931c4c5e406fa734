"""Service discovery: finds backends while the service runs. It runs in the control process.

types     Member, Provider, DiscoveryError
entries   turns a source's answer into members, within limits
merge     decides which parts of an answer are used (pure)
follower  one pool's source: its rate limit, its failures, and changes for the supervisor
runner    the followers of all pools
pace      the rate limit, and waits between attempts
reach     which address families this host can reach
shares    weights of instances at one address (pure)
resolver  one question to name servers
files     bounded reads of files
dns, file, exec, http, consul, etcd     one provider each
"""
