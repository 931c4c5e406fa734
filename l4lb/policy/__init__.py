"""The policy of forward proxies: who may go where, and when.

main         the process, which answers what workers ask
operators    what operators ask: counts, lists, users
counts       requests by verdict, hits of lists, tables of users, hosts and rules
top          the names that were counted most, in bounded memory (pure)
judge        one question: who asks, what the rules say, where the host is
compiled     rules as they are asked, from the configuration (pure)
checked      what `l4lb check` says of rules, users and lists
files        the files of users and lists, read again when they change
rules        the first rule that matches a question decides it (pure)
domains      patterns of hosts (pure)
urls         patterns of URLs (pure)
times        windows of time in a week, in local time (pure)
users        users and groups in the files of Apache's htpasswd
names        addresses of hosts, by name servers of one's own
log_ins      what is known of users' log-ins
credentials  the value of a Proxy-Authorization field (pure)
"""
