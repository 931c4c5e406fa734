"""The tables of a configuration, one file a room; model.py puts them together."""
