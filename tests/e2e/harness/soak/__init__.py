"""What soaks have in common: honest and hostile clients use a balancer while an operator and
accidents change it. chaos and http_soak are the soaks.

Each of them has its world (a balancer and the servers behind it), its clients and its judge.
course.soak runs them.
"""
