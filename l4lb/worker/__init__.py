"""The worker process: from fork to exit in one call into C."""
