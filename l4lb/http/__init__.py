"""HTTP's part of a configuration, compiled into the bytes that workers read."""
