"""Certificates and keys: from the files that a configuration names to the bundle that workers
load."""
