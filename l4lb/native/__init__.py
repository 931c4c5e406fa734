"""The door to csrc/: the shared table and the worker's loop, as Python sees them."""
