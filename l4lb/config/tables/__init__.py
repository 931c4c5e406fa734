"""The tables of a configuration, one file for each; model.py combines them."""
