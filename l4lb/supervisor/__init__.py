"""The supervisor: owns every listening socket, forks, reaps, restarts, and applies changes."""
