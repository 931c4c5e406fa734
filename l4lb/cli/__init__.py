"""The command line: thin, over the other packages."""
