"""A soak of HTTP: honest and hostile clients of every kind, while workers and origins die and the
service is reloaded, rebalanced and upgraded. A seed decides everything; the caller decides how
long.

    outcome = run(seed=7, goes_on=lambda: time.monotonic() < end)
    assert not outcome.wrong

Each answer names its request, and its body follows from that name byte by byte, so no mixed-up
answer goes unnoticed. A request that fails must have been in progress while a worker or an origin
was killed, or while an operator ended sessions. Nothing may be left when all clients have gone.
"""

from .engine import Outcome, run

__all__ = ["Outcome", "run"]
