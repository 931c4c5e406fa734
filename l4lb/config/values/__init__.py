"""Types of single values in a configuration: their text, and the value that is kept."""
