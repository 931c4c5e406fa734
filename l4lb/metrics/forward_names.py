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
    Metric(
        "l4lb_forward_requests_total",
        "counter",
        "Requests and tunnels of a forward proxy's clients, by what was decided.",
        ("forward", "verdict"),
    ),
    Metric("l4lb_list_entries", "gauge", "Names in the list of domains.", ("list",)),
    Metric(
        "l4lb_list_hits_total",
        "counter",
        "Requests of forward proxies that a rule decided because of this list.",
        ("list",),
    ),
)
