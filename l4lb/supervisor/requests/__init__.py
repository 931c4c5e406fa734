"""What control, checker, discovery and signals ask of the supervisor, and the record of it."""
