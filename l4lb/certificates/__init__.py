"""Certificates and keys: from the files that a configuration names to what workers load."""
