"""From files to plain data with positions, and to a configuration."""
