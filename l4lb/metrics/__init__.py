"""The shared table's numbers in the formats of Prometheus and OpenMetrics."""
