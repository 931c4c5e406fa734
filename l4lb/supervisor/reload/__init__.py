"""Changes of the configuration at run time: it is read, compared, installed, and perhaps taken
back."""
