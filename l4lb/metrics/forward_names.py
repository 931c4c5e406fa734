"""The names of the metrics of forward proxies, a part of the list in names.py."""

from __future__ import annotations

from l4lb.metrics.metric import Metric

FORWARD = (
    Metric(
        "l4lb_policy_questions_total",
        "counter",
        "Questions of workers for clients of forward proxies that were answered, by result.",
        ("result",),
    ),
    Metric("l4lb_list_entries", "gauge", "Names in the list of domains.", ("list",)),
)
