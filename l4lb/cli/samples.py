"""What `top` asks a balancer for at each look."""

from __future__ import annotations

import time

from l4lb.cli.rates import Sample
from l4lb.control.serving.client import AdminClient

ANSWER_TIMEOUT_S = 5.0


def sample(client: AdminClient) -> Sample:
    """Reads the present counters. Raises L4lbError or TimeoutError."""
    return Sample(
        time.monotonic(),
        client.call("status"),
        client.call("stats"),
        client.call("backends"),
        client.call("workers"),
        client.call("talkers"),
        client.call("events"),
    )
