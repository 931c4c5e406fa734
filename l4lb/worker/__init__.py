"""The worker process: one call into C lasts from the fork to the exit."""
