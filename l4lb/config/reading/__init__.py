"""Reads files into plain data with positions, and the data into a configuration."""
