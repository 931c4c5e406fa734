"""Results of admin commands as text: tables for a terminal, aligned columns for a pipe. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l4lb.control import health_views

# What a table shows of each row, and under which heading; --json shows everything.
COLUMNS: Mapping[str, Sequence[str]] = {
    "listeners": ("name", "bind", "protocol", "pool", "active", "accepted", "refused"),
    "pools": ("name", "balance", "backends", "up", "active", "total", "when_all_down"),
    "backends": (
        "backend", "address", "weight", "state", "health", "active", "total", "connect_errors",
        "bytes_in", "bytes_out", "response_time_ms", "last_check",
    ),
    "backends -v": ("backend", "health", "since", "state", "weight", "why"),
    "sessions": (
        "id", "protocol", "client", "listener", "backend", "state", "age_ms", "idle_ms", "bytes_in",
        "bytes_out",
    ),
    "discovery": (
        "pool", "type", "found", "backends", "held", "answers", "failures", "answer_age_ms",
        "error",
    ),
    "picks": ("age_ms", "client", "listener", "backend", "because", "candidates"),
    "certs": ("of", "names", "days_left", "key", "issuer", "file"),
    "sticky": ("pool", "client", "backend", "idle_ms", "expires_ms"),
    "talkers": ("source", "active", "sessions", "rejected", "bytes", "age_s"),
    "blocks": ("source", "by", "dry_run", "age_s", "left_s"),
    "access": ("listener", "network", "rule", "from", "left_s"),
    "workers": (
        "index", "pid", "cpu", "state", "active", "capacity", "paused", "accepted", "restarts",
        "lost",
    ),
}  # fmt: skip


def cell(value: object) -> str:
    """One value as a word; control characters cannot reach the terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(one)}" for key, one in value.items())
    return "".join(c if c.isprintable() else "?" for c in str(value))


def _shown(command: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as its table shows it."""
    if command == "backends":
        check = row.get("last_check") or {}
        return {
            **row,
            "backend": f"{row['pool']}/{row['name']}",
            "last_check": f"{check['result']} {check['age_ms'] / 1000:.1f}s ago" if check else None,
        }
    if command == "backends -v":
        share = row["weight_percent"]
        return {
            **row,
            "backend": f"{row['pool']}/{row['name']}",
            "weight": row["weight"] if share == 100 else f"{row['weight']} x {share}%",
            "since": health_views.since(row),
            "why": health_views.reason(row) or None,
        }
    if command == "picks":
        seen = [f"{one['backend']} {one['inflight']}/{one['weight']}" for one in row["candidates"]]
        name = f"{row['pool']}/{row['backend']}" if row["backend"] else None
        return {**row, "backend": name, "candidates": ", ".join(seen)}
    if command == "certs":
        more = row["names_count"] - len(row["names"])
        return {**row, "names": " ".join(row["names"]) + (f" and {more} more" if more else "")}
    if command == "sessions":
        return {**row, "backend": f"{row['pool']}/{row['backend']}" if row["backend"] else None}
    return dict(row)


def table(command: str, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Heading and rows, each a list of words."""
    columns = COLUMNS[command]
    return [list(columns)] + [
        [cell(shown.get(column)) for column in columns]
        for shown in (_shown(command, row) for row in rows)
    ]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns padded to the widest word, for a pipe."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def facts(result: Mapping[str, Any]) -> str:
    """A map of plain values, a line each; a list of maps is a table under its name."""
    lines = []
    for key, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            rows = [list(value[0]), *([cell(word) for word in row.values()] for row in value)]
            lines += [f"{key}:", *(f"  {line}" for line in aligned(rows).splitlines())]
        elif isinstance(value, list) and value:
            lines += [f"{key}:", *(f"  {cell(one)}" for one in value)]
        else:
            lines.append(f"{key}: {cell(value)}")
    return "\n".join(lines)


def event(told: Mapping[str, Any]) -> str:
    """One line: when, what, and whatever else was told of it."""
    rest = {key: value for key, value in told.items() if key not in ("at", "at_ms", "kind")}
    words = (cell(told.get("at")), cell(told.get("kind")), cell(rest))
    return "  ".join(words).rstrip()


def text(command: str, result: Any, *, terminal: bool) -> str:
    """What the command shows to people; terminal: draw a table's lines."""
    if command == "explain" and isinstance(result, list):  # --recent
        command = "picks"
    if command in COLUMNS and isinstance(result, list):
        lines = table(command, result)
        return _drawn(lines) if terminal else aligned(lines)
    if command == "events":
        return "\n".join(map(event, result))
    if isinstance(result, Mapping):
        return facts(result)
    return cell(result)


def _drawn(lines: Sequence[Sequence[str]]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in lines[0]:
        drawn.add_column(heading, overflow="fold")
    for line in lines[1:]:
        drawn.add_row(*map(Text, line))
    console = Console()
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().rstrip()
