"""Chaos: honest and hostile clients use every kind of listener while the balancer's processes die,
stop, are replaced and reconfigured. A seed decides everything; the caller decides how long.

    outcome = run(seed=7, rounds=30)
    assert not outcome.wrong

There are two phases. In the calm phase no event may end a session, so no session may end early. In
the rough phase workers are killed and sessions are ended; the number of transfers that are cut must
not be larger than the number of sessions that can have been hit. In both phases no wrong byte may
arrive, and nothing may be left when all clients have gone.
"""

from .engine import Outcome, run

__all__ = ["Outcome", "run"]
