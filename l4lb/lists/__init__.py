"""Lists of domains, with millions of names. No process uses it yet.

name    one name as it is compared: lower case, A-labels, without a dot at its end
"""
