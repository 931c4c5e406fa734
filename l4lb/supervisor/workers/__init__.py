"""The worker processes: they are started, sent commands, reaped and replaced."""
