"""What operators see of the service: rows of the shared table as plain maps."""
