"""Writes the configuration into the shared table."""
