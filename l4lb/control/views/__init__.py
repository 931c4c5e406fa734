"""The service as operators see it: rows of the shared table as plain maps."""
