"""Turns check results into health: rise and fall. Pure.

    unknown --pass--> up     unknown --fall failures--> down
    up --fall failures in a row--> down     down --rise passes in a row--> up

Workers use a backend of unknown health. Its first pass therefore makes it up, while it takes `fall`
failures to make it down, as for a backend that is up. A checker that starts continues with the
health in the table: no backend becomes up or down because a process started.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Health (unknown, up, down) and the number of equal results in a row: positive for passes,
    negative for failures."""

    health: str
    run: int = 0


def judge(before: Verdict, passed: bool, *, rise: int, fall: int) -> Verdict:
    """Returns the verdict after one more result."""
    if passed:
        run = before.run + 1 if before.run > 0 else 1
        needed = 1 if before.health == "unknown" else rise
        return Verdict("up" if run >= needed or before.health == "up" else before.health, run)
    run = before.run - 1 if before.run < 0 else -1
    return Verdict("down" if -run >= fall or before.health == "down" else before.health, run)
