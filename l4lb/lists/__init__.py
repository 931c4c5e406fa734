"""Lists of domains, with millions of names.

build   from files to one piece of memory, in which other processes look hosts up
parse   the files of a list, what is read of them, and what is said of the rest
name    one name as it is compared: lower case, A-labels, without a dot at its end
"""
