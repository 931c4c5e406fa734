"""Python's interface to csrc/: the shared table and the worker's loop."""
