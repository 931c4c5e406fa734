"""Chaos: honest and hostile clients over every kind of listener while the balancer's processes die,
stop, are replaced and reconfigured. All by a seed; who runs it says how long.

    outcome = run(seed=7, rounds=30)
    assert not outcome.wrong

Two phases. In the calm one nothing happens that may end a session, so none may end early. In the
rough one workers are killed and sessions ended, and as many transfers may be cut as sessions can
have been hit. Never may other bytes come, nor anything stay when all clients have left.
"""

from .engine import Outcome, run

__all__ = ["Outcome", "run"]
