"""The policy of forward proxies: who may go where, and when. No process uses it yet.

rules        the first rule that matches a question decides it (pure)
domains      patterns of hosts (pure)
urls         patterns of URLs (pure)
times        windows of time in a week, in local time (pure)
users        users and groups in the files of Apache's htpasswd
names        addresses of hosts, by name servers of one's own
credentials  the value of a Proxy-Authorization field (pure)
"""
