"""Checks of the host: facts of the kernel and of this process, each with a verdict.

host      Host: where facts are read (a root other than / for tests)
checks    Need, Verdict, examine: the rules, one function each
"""
