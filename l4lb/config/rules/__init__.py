"""Checks between values of a configuration that are valid by themselves."""
