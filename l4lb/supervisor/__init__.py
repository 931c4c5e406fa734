"""The supervisor: owns every listening socket, forks and restarts all other processes, and applies
changes."""
