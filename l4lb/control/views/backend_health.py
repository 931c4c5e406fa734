"""A backend's health as operators see it: its last check, its agent, and passive health. Pure."""

from __future__ import annotations

import os
from typing import Any

from l4lb.native.results import RESULT_WORDS, HealthRow
from l4lb.native.rows import BackendRow

Map = dict[str, Any]
DAY_S = 86_400


def last_check(row: BackendRow, known: HealthRow | None, now_ms: int, now_s: float) -> Map | None:
    """Returns the last check and its result in words; None if there was no check yet."""
    if not row.check_at_ms:
        return None
    words = row.check_result < len(RESULT_WORDS)
    end_s = known.cert_end_s if known else 0
    return {
        "type": known.kind if known else "",
        "result": RESULT_WORDS[row.check_result] if words else str(row.check_result),
        "code": known.code if known else 0,
        "text": known.text if known else "",
        "age_ms": max(0, now_ms - row.check_at_ms),
        "duration_ms": round(row.check_duration_us / 1000, 3),
        "streak": row.check_streak,
        "health_age_ms": max(0, now_ms - row.health_since_ms) if row.health_since_ms else None,
        "certificate_days": int((end_s - now_s) // DAY_S) if end_s else None,
    }


def beyond_checks(row: BackendRow, known: HealthRow | None, now_ms: int) -> Map:
    """Returns what the agent and clients' sessions (passive health) say of the backend."""
    return {
        "agent": (known.agent or None) if known else None,
        "weight_percent": 100 + (known.weight_change if known else 0),
        "passive": _passive(row, known, now_ms) if known else None,
    }


def _passive(row: BackendRow, known: HealthRow, now_ms: int) -> Map:
    return {
        "failed_attempts": known.unreached,
        "early_resets": known.resets,
        "ejections": known.ejections,
        "ejected_for_ms": max(0, known.ejected_until_ms - now_ms)
        if row.health == "ejected"
        else None,
        "cause": known.cause or None,
        "error": os.strerror(known.error) if known.error else None,
    }
