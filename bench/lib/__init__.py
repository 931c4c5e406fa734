"""Parts of bench: the balancers (targets), what is measured (measures), how it is told (report)."""
