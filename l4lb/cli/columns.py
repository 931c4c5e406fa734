"""The columns of tables, and the order in which columns are left out when there is no room.

--json shows everything. A key that is not in the row itself is made by its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from l4lb.cli.layout import Column
from l4lb.cli.units import duration

Row = Mapping[str, Any]


def _number(key: str, rank: int = 0, heading: str = "", *, rare: bool = False) -> Column:
    return Column(key, rank, "number", heading, rare)


def _name(key: str, rank: int = 0, heading: str = "", *, rare: bool = False) -> Column:
    return Column(key, rank, "name", heading, rare)


def _sentence(key: str, *, rare: bool = False) -> Column:
    return Column(key, 0, "sentence", "", rare)


COLUMNS: Mapping[str, Sequence[Column]] = {
    "listeners": (
        _name("name"), _name("bind"), Column("protocol", 4), _name("pool"), _number("active", 1),
        _number("accepted", 2), _number("refused", 3), _number("slowed", 9, rare=True),
        _sentence("tls", rare=True), _sentence("datagrams", rare=True),
        _sentence("dry_run", rare=True),
    ),
    "pools": (
        _name("name"), Column("balance", 2), _number("backends", 1), _number("up"),
        _number("active"), _number("total", 3), _number("waiting", 5, rare=True),
        Column("when_all_down", 6, heading="all down"), _sentence("tls", rare=True),
    ),
    "backends": (
        _name("backend"), _name("address", 6), _number("weight", 5), Column("state", 1),
        Column("health"), _number("active"), _number("total", 2),
        _number("connect_errors", 4, "errors"), _number("bytes_in", 7, "in"),
        _number("bytes_out", 8, "out"), _number("response_time_ms", 9, "response"),
        Column("last_check", 3),
    ),
    "backends -v": (
        _name("backend"), Column("health"), _number("since", 2), Column("state", 1),
        Column("weight", 3), _sentence("why"),
    ),
    "sessions": (
        Column("id"), Column("protocol", 7), _name("client"), _name("listener", 5),
        _name("backend"), Column("state", 2), _number("age_ms", 1), _number("idle_ms", 4),
        _number("bytes_in", 2, "in"), _number("bytes_out", 2, "out"), _name("sni", 6, rare=True),
        Column("tls", 8, rare=True), Column("port", 5, rare=True),
    ),
    "requests": (
        Column("session"), _number("age_ms"), Column("method"), _name("host", 3), _name("target"),
        _name("client", 2), _name("listener", 6), _name("backend"), Column("state", 1),
        _number("number", 5), _number("retries", 7, rare=True), _number("route", 8, rare=True),
    ),
    "cache": (
        _name("cache"), _number("memory_bytes", 4, "memory"), _number("objects", 4),
        _number("used_bytes", 3, "used"),
        _number("requests", 2), _number("hit_ratio", heading="hits"), _number("misses", 5),
        _number("stored", 6), _number("evicted", 7), _number("refused", 8),
        _number("waited", 9), _number("purged", 10), _number("bytes_out", 1, "sent"),
        _number("disk_bytes", 3, "on disk", rare=True),
        _number("disk_errors", 3, "disk errors", rare=True),
    ),
    "answers of cache": (
        _name("cache", 1), _number("status"), _number("body_bytes", heading="body"),
        _number("age_s"), Column("state"), _number("fresh_for_s", heading="fresh for"),
        Column("place", 3),
        _number("uses", 2), _sentence("vary", rare=True), _sentence("tags", rare=True),
    ),
    "top of forward": (
        _name("name"), _number("requests"), _number("denied", 1),
        _name("rule", 2, "last rule", rare=True),
        _number("overcount_max", 3, "at most too many", rare=True),
    ),
    "lists": (
        _name("list"), _number("entries", heading="names"),
        _number("wrong", 4, "no names", rare=True), _number("files", 3),
        _number("memory_bytes", 2, "memory"), _number("age_s", 1), _number("hits"),
        _sentence("error", rare=True),
    ),
    "found of lists": (_name("list"), _name("name"), _name("file"), _number("line")),
    "users": (
        _name("forward", 3), _name("user"), _name("groups", 2),
        _number("last_success_ms", 1, "last log-in"), _number("failures"),
        _number("last_failure_ms", 4, "last failure"), Column("remembered", 5),
    ),
    "spare": (
        _name("backend"), _number("worker"), _number("connections"), _number("reused", 1),
        _number("fresh", 2), _number("stale", 3),
    ),
    "discovery": (
        _name("pool"), Column("type"), _number("found"), _number("backends"), _number("held", 3),
        _number("answers", 2), _number("failures", 1), _number("answer_age_ms", 4, "last answer"),
        _sentence("error", rare=True),
    ),
    "picks": (
        _number("age_ms"), _name("client"), _name("listener", 1), _name("backend"),
        _sentence("because"), _sentence("candidates"),
    ),
    "certs": (
        _name("of"), _number("days_left"), Column("key", 2), _name("issuer", 3), _name("file", 1),
        _sentence("names"),
    ),
    "sticky": (
        _name("pool", 1), _name("client"), _name("backend"), _number("idle_ms"),
        _number("expires_ms"),
    ),
    "talkers": (
        _name("source"), _number("active"), _number("sessions", 1), _number("rejected"),
        _number("bytes", 2), _number("age_s", 3),
    ),
    "blocks": (
        _name("source"), Column("by"), Column("dry_run", 2), _number("age_s", 1),
        _number("left_s"),
    ),
    "access": (
        _name("listener"), _name("network"), Column("rule"), _name("from", 1), _number("left_s"),
    ),
    "routes": (
        _name("route"), Column("when"), Column("then"), _number("requests"),
    ),
    "filters": (
        _name("rule"), Column("when"), Column("action"), Column("dry_run", 1), _number("hits"),
    ),
    "inspections": (
        _name("rule"), Column("when", 2), Column("engine"), Column("what", 3),
        Column("on_failure", 4), _number("clean"), _number("changed", 1), _number("too_large"),
        _number("failed"), _number("blocked"),
    ),
    "records": (
        _name("record"), _name("folder", 3), _number("chosen", 1), _number("kept"),
        _number("cut", 5), _number("skipped", 6), _number("failed", 2),
        _number("files_bytes", heading="files"),
        _number("max_bytes", 4, "at most"), _sentence("error", rare=True),
    ),
    "packets": (
        _name("listener"), Column("data_path", 1, heading="data path"),
        Column("served_by", heading="by"), _number("flows"), _sentence("why", rare=True),
    ),
    "shield": (
        _name("listener"), Column("shield", 1), _number("denied"), _number("blocked"),
        _number("source_rate", 2, "over rate"),
        _number("denied_bytes", 3, "denied bytes"), _number("blocked_bytes", 4, "blocked bytes"),
        _number("source_rate_bytes", 5, "over rate bytes", rare=True),
        _number("dry_denied", 2, rare=True), _number("dry_blocked", 2, rare=True),
        _number("dry_source_rate", 2, rare=True),
        _sentence("workers", rare=True),
    ),
    "workers": (
        Column("index", heading="worker"), _number("pid"), Column("cpu", 7), Column("state"),
        _number("active"), _number("capacity", 5), Column("paused", 4), _number("accepted", 1),
        _number("restarts", 2), _number("lost", 3), _number("resident_bytes", 8, "memory"),
        _number("cpu_seconds", 9), _number("open_files", 9), _number("uptime_s", 6),
    ),
    "workers of status": (
        Column("index", heading="worker"), _number("pid"), Column("state"), Column("paused", 2),
        _number("active"), _number("accepted", 1),
    ),
    "candidates of explain": (
        _name("name"), Column("usable"), _number("weight"), _number("effective_weight", 3),
        _number("active", 1), _number("response_time_ms", 2, "response"),
        _number("chance", rare=True), _sentence("why"),
    ),
    "backends of simulate": (
        _name("name"), _number("weight", 1), _number("share_before"), _number("share_after"),
        _number("active", 2), _number("active_after"),
    ),
    "pools of plan": (
        _name("pool"), _number("live"), _number("on_removed_backends", 1, "on removed"),
        _number("hash_keys_moved"),
    ),
    "latency of stats": (
        Column("measure"), _number("median_ms", heading="half within"),
        _number("most_ms", heading="99 % within"),
    ),
}  # fmt: skip


def _handshakes(row: Row) -> str | None:
    """Formats the numbers of TLS handshakes in words."""
    tls = row.get("tls")
    if not isinstance(tls, Mapping):
        return None
    words = [f"{tls[key]} {key.replace('_', ' ')}" for key in ("full", "resumed", "failed")]
    if tls.get("in_progress"):
        words.append(f"{tls['in_progress']} in progress")
    last = f" (last: {tls['last_failure']})" if tls.get("last_failure") else ""
    return ", ".join(words) + last


def _listener(row: Row) -> Row:
    datagrams = None
    if "datagrams_in" in row:
        counts = [("in", row["datagrams_in"]), ("out", row["datagrams_out"])]
        counts += [(f"dropped {why}", count) for why, count in row["dropped"].items()]
        counts += [(key, row[key]) for key in ("evicted", "moved", "adopted", "kept") if row[key]]
        counts += [("sessions in the kernel", row["in_kernel"])] if row["in_kernel"] else []
        datagrams = ", ".join(f"{count} {what}" for what, count in counts)
    return {**row, "tls": _handshakes(row), "datagrams": datagrams}


def _full_name(row: Row) -> str | None:
    return f"{row['pool']}/{row['backend']}" if row["backend"] else None


def _backend(row: Row) -> Row:
    check = row.get("last_check")
    said = f"{check['result']} {duration(check['age_ms'])} ago" if check else None
    return {**row, "backend": f"{row['pool']}/{row['name']}", "last_check": said}


def _backend_verbose(row: Row) -> Row:
    part = row["weight_percent"]
    age_ms = (row.get("last_check") or {}).get("health_age_ms")
    return {
        **row,
        "backend": f"{row['pool']}/{row['name']}",
        "weight": row["weight"] if part == 100 else f"{row['weight']} x {part} %",
        "since": None if age_ms is None else duration(age_ms),
        "why": "; ".join(_reasons(row)) or None,
    }


def _reasons(row: Row) -> Iterator[str]:
    """Yields the reasons for a backend's health."""
    check, passive = row.get("last_check"), row.get("passive") or {}
    if row["health"] == "ejected":
        left = duration(passive.get("ejected_for_ms") or 0)
        yield f"{passive.get('cause')}: {passive.get('error')}, {left} more"
    if row.get("agent"):
        yield f"agent says {row['agent']}"
    if check:
        code = f" {check['code']}" if check["code"] else ""
        yield (
            f"{check['type']} {check['result']}{code} in {duration(check['duration_ms'])},"
            f" {check['streak']} in a row: {check['text']}"
        )
        if check["certificate_days"] is not None:
            yield f"certificate {check['certificate_days']} days"


def _pick(row: Row) -> Row:
    seen = [f"{one['backend']} {one['inflight']}/{one['weight']}" for one in row["candidates"]]
    return {**row, "backend": _full_name(row), "candidates": ", ".join(seen)}


def _certificate(row: Row) -> Row:
    more = row["names_count"] - len(row["names"])
    return {**row, "names": " ".join(row["names"]) + (f" and {more} more" if more else "")}


SHAPES: Mapping[str, Callable[[Row], Row]] = {
    "listeners": _listener,
    "pools": lambda row: {**row, "tls": _handshakes(row)},
    "backends": _backend,
    "backends -v": _backend_verbose,
    "sessions": lambda row: {**row, "backend": _full_name(row)},
    "requests": lambda row: {**row, "backend": _full_name(row)},
    "spare": lambda row: {**row, "backend": _full_name(row)},
    "discovery": lambda row: {**row, "held": len(row["held"])},
    "picks": _pick,
    "certs": _certificate,
}


def shaped(command: str, row: Row) -> Row:
    """Returns the row in the form of its table."""
    return SHAPES.get(command, dict)(row)
