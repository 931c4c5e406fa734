"""The checker process: active health checks, the only writer of active health."""
