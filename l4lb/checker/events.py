"""Events about changes of health: kind and evidence. Pure."""

from __future__ import annotations

import os
from typing import Any

from l4lb.native.results import RESULT_WORDS, HealthRow
from l4lb.native.rows import BackendRow

FAILURES = {"connect": "attempts to reach it failed", "reset": "sessions reset before a byte"}


def event(row: BackendRow, known: HealthRow, was: str, now_ms: int) -> dict[str, Any]:
    """Returns the event of a backend whose health was `was` and is row.health."""
    told: dict[str, Any] = {
        "at_ms": now_ms,
        "kind": kind(was, row.health),
        "backend": f"{row.pool}/{row.name}",
        "was": was,
        "health": row.health,
    }
    if row.health == "ejected":
        return told | _ejection(row, known)
    if was == "ejected" and row.health != "down":
        early = known.ejected_until_ms == 0
        return told | {"text": "a check passed" if early else "its time is over"}
    if known.agent == row.health:
        return told | {"check": "agent", "text": known.text}
    return told | {
        "check": known.kind,
        "result": RESULT_WORDS[row.check_result],
        "text": known.text,
        "in_a_row": row.check_streak,
        "duration_ms": round(row.check_duration_us / 1000, 3),
        **({"code": known.code} if known.code else {}),
    }


def kind(was: str, now: str) -> str:
    """Returns the event's name: backend_up, backend_down, backend_ejected, backend_returned, or
    backend_unknown if the backend is not checked any more."""
    return "backend_returned" if was == "ejected" and now != "down" else f"backend_{now}"


def _ejection(row: BackendRow, known: HealthRow) -> dict[str, Any]:
    why = os.strerror(known.error) if known.error else "?"
    return {
        "text": f"{FAILURES.get(known.cause, '?')}: {why}",
        "cause": known.cause,
        "for_ms": known.eject_ms,
        "ejections": known.ejections,
        "connect_errors": row.connect_errors,
    }
