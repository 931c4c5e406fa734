"""What the configuration says, written into the shared table."""
