"""The configuration: from a file or flags to frozen, checked values."""
