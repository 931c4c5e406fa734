"""The table's numbers as Prometheus and OpenMetrics have them."""
