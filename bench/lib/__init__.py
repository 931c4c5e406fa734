"""Parts of the benchmarks: the balancers (targets), the measurements (measures), the tables
(report)."""
