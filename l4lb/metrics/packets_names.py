"""The names of the metrics of the packet path, a part of the list in names.py."""

from __future__ import annotations

from l4lb.metrics.metric import Metric

PACKETS = (
    Metric("l4lb_packet_flows", "gauge", "Sessions that the kernel forwards now."),
    Metric("l4lb_packet_flows_limit", "gauge", "Limit of sessions that the kernel forwards."),
    Metric(
        "l4lb_packet_dropped_total",
        "counter",
        "Packets that the kernel's program dropped or left to a worker, by reason.",
        ("reason",),
    ),
)
