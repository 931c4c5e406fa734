"""The checker process: active health checks. It is the only writer of active health."""
