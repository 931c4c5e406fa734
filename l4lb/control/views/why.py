"""`admin why`: whether a backend gets new sessions, what stops them, and what would bring them
back.

Pure: rows, settings and the time are arguments. The answer has words for people and, for programs,
the values behind the words.
"""

from __future__ import annotations

import errno as errors
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from l4lb.native.results import RESULT_WORDS, HealthRow
from l4lb.native.rows import BackendRow

EVENTS_SHOWN = 5
CAUSE_WORDS = {
    "connect": "clients' sessions could not reach it",
    "reset": "it reset clients' sessions before it said anything",
}


def why(
    row: BackendRow,
    health: HealthRow,
    settings: Mapping[str, Any] | None,
    events: Iterable[Mapping[str, Any]],
    now_ms: int,
) -> dict[str, Any]:
    """Answers `admin why`. settings: the pool's health check as the supervisor has it; None: the
    pool has no health check."""
    reasons: list[str] = []
    returns: list[str] = []
    name = f"{row.pool}/{row.name}"
    if row.state != "ready":
        what = "drains it" if row.state == "drain" else "took it out of service"
        reasons.append(f"an operator {what}")
        returns.append(f"l4lb admin ready {name}")
    if row.weight == 0:
        reasons.append("its weight is 0")
        returns.append(f"l4lb admin weight {name} 1")
    if health.agent == "down":
        reasons.append("its agent says that it is down")
        returns.append("when its agent says up")
    elif row.health == "down":
        reasons.append(_down(row, health, now_ms))
        returns.append(_up_again(settings))
    left_ms = health.ejected_until_ms - now_ms
    if left_ms > 0:
        reasons.append(_ejected(health, now_ms))
        again = " or when a check passes" if settings else ""
        returns.append(f"by itself in {_lasting(left_ms)}{again}")
    if row.max_connections and row.active >= row.max_connections:
        reasons.append(f"it has all {row.max_connections} sessions it may have")
        returns.append("when one of them ends")
    about = [dict(event) for event in events if event.get("backend") == name]
    return {
        "backend": name,
        "serves": not reasons,
        "state": row.state,
        "health": row.health,
        "weight": row.weight,
        "because": reasons or ["it is ready and nothing keeps new sessions from it"],
        "returns": returns,
        "check": _check(row, health, settings, now_ms),
        "connect_errors": row.connect_errors,
        "resets": row.resets,
        "events": about[-EVENTS_SHOWN:],
    }


def _lasting(ms: int) -> str:
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms // 1000} s" if ms < 120_000 else f"{ms // 60_000} min"


def _result(row: BackendRow, health: HealthRow) -> str:
    known = row.check_result < len(RESULT_WORDS)
    word = RESULT_WORDS[row.check_result] if known else str(row.check_result)
    number = errors.errorcode.get(row.check_errno)
    said = health.text or (os.strerror(row.check_errno) if number else "")
    return f"{word} ({said})" if said else word


def _down(row: BackendRow, health: HealthRow, now_ms: int) -> str:
    text = f"{row.check_streak} checks in a row failed, the last one: {_result(row, health)}"
    if row.health_since_ms:
        text += f"; down for {_lasting(now_ms - row.health_since_ms)}"
    return text


def _up_again(settings: Mapping[str, Any] | None) -> str:
    if not settings:
        return "never by itself: its pool is not checked any more; reload or restart"
    rise, every = settings["rise"], _lasting(settings["interval_ms"])
    return f"{rise} passed checks in a row, one every {every}"


def _ejected(health: HealthRow, now_ms: int) -> str:
    cause = CAUSE_WORDS.get(health.cause, health.cause)
    failed = f", the last with {errors.errorcode[health.error]}" if _is_known(health.error) else ""
    ago = _lasting(max(0, now_ms - health.ejected_at_ms))
    return f"ejected {ago} ago for {_lasting(health.eject_ms)}: {cause}{failed}"


def _is_known(error: int) -> bool:
    return error in errors.errorcode


def _check(
    row: BackendRow, health: HealthRow, settings: Mapping[str, Any] | None, now_ms: int
) -> dict[str, Any] | None:
    if not row.check_at_ms:
        return None
    shown: Sequence[str] = ("type", "interval_ms", "timeout_ms", "rise", "fall")
    return {
        "result": _result(row, health),
        "age_ms": max(0, now_ms - row.check_at_ms),
        "duration_ms": round(row.check_duration_us / 1000, 3),
        "streak": row.check_streak,
        "passed": row.checks_passed,
        "failed": row.checks_failed,
        **({key: settings[key] for key in shown} if settings else {}),
    }
