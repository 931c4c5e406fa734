"""Requests of control, checker, discovery and signals to the supervisor, and the record of
changes."""
