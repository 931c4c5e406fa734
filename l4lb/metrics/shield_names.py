"""The names of the metrics of the shield, a part of the list in names.py."""

from __future__ import annotations

from l4lb.metrics.metric import Metric

LABELS = ("listener", "reason")

SHIELD = (
    Metric(
        "l4lb_shield_packets_total",
        "counter",
        "Packets of new clients that the kernel dropped in front of the listener, by reason: denied"
        " (access list), blocked, source_rate (rate limit of a source).",
        LABELS,
    ),
    Metric("l4lb_shield_bytes_total", "counter", "Bytes of these packets.", LABELS),
    Metric(
        "l4lb_shield_dry_run_packets_total",
        "counter",
        "Packets that the kernel would have dropped if the shield were not in dry run.",
        LABELS,
    ),
)
