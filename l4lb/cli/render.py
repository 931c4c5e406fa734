"""Formats results of admin commands as text, for a terminal or for a pipe. Pure.

At a terminal the text is for people, and no wider than the terminal. In a pipe every column is
there, every word is whole, and numbers are exact, under the keys of --json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from l4lb.cli import layout
from l4lb.cli.columns import COLUMNS, Row, shaped
from l4lb.cli.layout import Column, View
from l4lb.cli.rates import quantile
from l4lb.cli.units import cell, duration, human, label
from l4lb.config.sensitive import NOT_SHOWN

# Text for a list without rows.
EMPTY: Mapping[str, str] = {
    "listeners": "no listeners",
    "pools": "no pools",
    "backends": "no backends",
    "sessions": "no sessions",
    "requests": "no requests in progress",
    "spare": "no spare connections",
    "cache": "no caches",
    "lists": "no lists",
    "users": "no users",
    "workers": "no workers",
    "picks": "no choice was kept yet",
    "explain": "no choice was kept yet",
    "events": "no events yet",
    "audit": "nothing was changed yet",
    "discovery": "no pool has a source of backends",
    "certs": "no certificates are in use",
    "sticky": "no sticky clients",
    "talkers": "no talkers yet",
    "blocks": "no source is blocked",
    "access": "no listener has access rules",
    "routes": "no routes: all requests go to the pool of the listener",
    "filters": "no rules: the listener has no filter",
    "inspections": "no rules: no engine inspects what goes through the listener",
    "records": "no records: no requests are kept",
    "packets": "no listeners",
    "shield": "no listeners",
    "diff": "nothing was changed at run time",
}

# Text about a finished change; keys of its result are in braces.
DONE: Mapping[str, str] = {
    "drain": "{pool}/{name} drains: no new sessions",
    "ready": "{pool}/{name} is ready",
    "maint": "{pool}/{name} is out of service",
    "weight": "{pool}/{name} has weight {weight}",
    "block": "{source} is blocked {for_ms}",
    "unblock": "{source} may come again",
    "allow": "{network} may come in on {listener} {for_ms}",
    "deny": "{network} is turned away on {listener} {for_ms}",
    "forget": "{network} has no rule of its own on {listener} any more",
    "add": "{pool}/{name} is added at {address} with weight {weight}",
    "remove": "{pool}/{name} is removed",
    "confirm": "{file} stays in force",
    "upgrade": "version {version} has taken over",
    "flush": "everything that clients ask from now on is decided anew",
    "rebalance": "{moved} sessions have changed their worker",
    "wait": "{condition} {operand}: so after {waited_ms}",
}


def _one_column(key: str, at: int) -> Column:
    return Column(key, at, "name" if at == 0 else "word")


def _rows(name: str, rows: Sequence[Row], view: View) -> list[str]:
    """Formats a table; a command without columns of its own shows every key of any row."""
    columns = COLUMNS.get(name)
    if columns is None:
        keys = dict.fromkeys(key for row in rows for key in row)
        columns = [_one_column(key, at) for at, key in enumerate(keys)]
    said = human if view.width else lambda _, value: cell(value)
    made = [shaped(name, row) for row in rows]
    words = [[said(one.key, row.get(one.key)) for one in columns] for row in made]
    return layout.table(columns, words, view)


# ---- maps ----------------------------------------------------------------------------------------


def facts(command: str, result: Mapping[str, Any], view: View) -> list[str]:
    """Formats a map: a line for each plain value; lists of maps are tables below."""
    plain = {key: value for key, value in result.items() if not _is_table(value)}
    if view.width:
        said = [(label(key), _sentences(key, value)) for key, value in plain.items()]
        lines = layout.facts(said, view)
    else:
        lines = [line for key, value in plain.items() for line in _fact(key, value)]
    for key, rows in result.items():
        if _is_table(rows):
            name = f"{key} of {command}"
            name = name if name in COLUMNS else key
            told = (
                [event(row, view.inside(2)) for row in rows]
                if key == "events"
                else _rows(name, rows, view.inside(2))
            )
            lines += [*([""] if view.width else []), f"{label(key)}:" if view.width else f"{key}:"]
            lines += [f"  {line}".rstrip() for one in told for line in one.splitlines() or [""]]
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(e, Mapping) for e in value)


def _sentences(key: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [human(key, one) for one in value] or ["none"]
    return [human(key, value)]


def _fact(key: str, value: Any) -> list[str]:
    if isinstance(value, list) and value:
        return [f"{key}:", *(f"  {cell(one)}" for one in value)]
    return [f"{key}: {cell(value)}"]


def _stats(result: Row, view: View) -> list[str]:
    """Formats histograms as the times within which 50 % and 99 % were done."""
    told = result.get("latency") or {}
    latency = [
        {
            "measure": measure,
            "median_ms": quantile(told["bounds_us"], counts, 0.5),
            "most_ms": quantile(told["bounds_us"], counts, 0.99),
        }
        for measure, counts in told.get("counts", {}).items()
    ]
    return facts("stats", {**result, "latency": latency}, view)


def _cache(result: Any, view: View) -> list[str]:
    """Formats the caches, what they keep of a URL, or what was purged."""
    if isinstance(result, list):
        return _rows("cache", result, view)
    if "caches" not in result:
        return facts("cache", result, view)
    what = "everything" if result["kind"] == "all" else f"{result['kind']} {cell(result['text'])}"
    how = "is stale" if result["soft"] else "is purged"
    told = [f"{what} {how} in {cell(result['caches'])}"]
    return [*told, f"warning: {cell(result['warning'])}"] if "warning" in result else told


# ---- changes of the configuration ----------------------------------------------------------------


def _differing(key: str, old: Any, new: Any) -> Iterator[str]:
    """Yields the differences of two values, down to the keys within tables."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for inner in dict.fromkeys([*old, *new]):
            if old.get(inner) != new.get(inner):
                yield from _differing(f"{key}.{inner}", old.get(inner), new.get(inner))
    elif NOT_SHOWN in (old, new):
        yield f"{key} {NOT_SHOWN}"
    else:
        yield f"{key} {_value(old)} -> {_value(new)}"


def _value(value: Any) -> str:
    return "(absent)" if value is None else json.dumps(value, ensure_ascii=False)


def _change(change: Row) -> str:
    keys = change.get("keys") or {}
    said = " ".join(cell(change[key]) for key in ("action", "kind", "name") if change.get(key))
    values = [one for key, (old, new) in keys.items() for one in _differing(key, old, new)]
    return f"{said}: {cell(', '.join(values))}" if values else said


def _changes(changes: Sequence[Row], view: View) -> list[str]:
    return [line for one in changes for line in _hung(_change(one), view, 2)]


def _hung(text: str, view: View, indent: int = 0) -> list[str]:
    """Wraps a sentence and indents its further lines."""
    lines = [text]
    if view.width:
        lines = layout.wrapped(text, view.room - indent - 2)
    return [" " * (indent + (2 if at else 0)) + line for at, line in enumerate(lines)]


def _changed(result: Row, view: View, *, done: bool) -> list[str]:
    """Formats what a reload has done, or would do."""
    changes = result.get("changes", [])
    file = cell(result.get("file") or "the configuration before")
    if done:
        count = f"{len(changes)} {'change' if len(changes) == 1 else 'changes'}"
        head = f"{file} is in force: {count if changes else 'nothing has changed'}"
    else:
        head = f"a reload of {file} would change {'this:' if changes else 'nothing'}"
    lines = [*_hung(head, view), *_changes(changes, view)]
    told = [("warning", one) for one in result.get("warnings", ())]
    told += [
        ("needs a restart", f"{key} takes effect at the next upgrade or restart")
        for key in result.get("needs_restart", ())
    ]
    told += [("run-time change", one) for one in result.get("replaced", ())]
    if result.get("confirm_ms"):
        left = duration(result["confirm_ms"])
        told.append(("not for good", f"it goes back in {left} unless `l4lb admin confirm` comes"))
    for what, text in told:
        first, *rest = _hung(f"{what}: {cell(text)}", view)
        lines += [layout.paint(first, layout.YELLOW, view), *rest]
    return lines


def _plan(result: Row, view: View) -> list[str]:
    sessions = result["sessions"]
    lines = _changed(result, view, done=False)
    if not result["changes"]:
        return lines
    if sessions["on_removed_backends"]:
        few = f"{sessions['on_removed_backends']} of {sessions['live']} sessions"
        lines += _hung(f"{few} are with backends that would be removed; they go on there", view)
    return lines + facts("plan", {"pools": result["pools"]}, view) if result["pools"] else lines


# ---- one line each -------------------------------------------------------------------------------


def event(told: Row, view: View) -> str:
    """Formats an event: when, what, about which object, and its other keys; the text of a change
    has everything."""
    if not view.width:
        rest = {key: value for key, value in told.items() if key not in ("at", "at_ms", "kind")}
        words = (cell(told.get("at")), cell(told.get("kind")), cell(rest) if rest else "")
        return "  ".join(words).rstrip()
    when = cell(told.get("at"))
    when = f"{when[:10]} {when[11:19]}Z" if len(when) > len("2001-09-09T01:46") else when
    about = [cell(told[key]) for key in ("backend", "pool", "listener") if told.get(key)][:1]
    rest = {
        key: told[key]
        for key in sorted(told, key=lambda key: key != "text")
        if key not in ("at", "at_ms", "kind") and cell(told[key]) not in about
    }
    if told.get("kind") == "change":
        rest = {"text": told.get("text")}
    text = "  ".join([cell(told.get("kind")), *about, *([human("", rest)] if rest else [])])
    first, *more = layout.wrapped(text, view.room - len(when) - layout.GAP)
    style = _event_style(str(told.get("kind")))
    head = f"{layout.paint(when, layout.DIM, view)}  {layout.paint(first, style, view)}"
    return "\n".join([head, *(" " * (len(when) + layout.GAP) + line for line in more)])


def _event_style(kind: str) -> str:
    ending = kind.rpartition("_")[2]
    return {"down": layout.RED, "up": layout.GREEN, "ejected": layout.YELLOW}.get(ending, "")


def _for(ms: int | None) -> str:
    return "for good" if ms is None else f"for {duration(ms)}"


def done(command: str, result: Any) -> str:
    """Formats a finished change in one line; a command without a text of its own shows its
    result."""
    if command == "kill" and isinstance(result, Mapping):
        if "session" in result:
            return f"session {cell(result['session'])} is ended"
        return f"{result['sessions']} sessions of {result['pool']}/{result['name']} are ended"
    words = DONE.get(command)
    if words is None or not isinstance(result, Mapping):
        return human("", result)
    said = {
        key: _for(value) if key == "for_ms" else human("", value) if key == "moved"
        else human(key, value)
        for key, value in result.items()
    }  # fmt: skip
    return words.format(**said)


# ---- all -----------------------------------------------------------------------------------------

TEXTS: Mapping[str, Callable[[Any, View], list[str]]] = {
    "cache": _cache,
    "events": lambda result, view: [event(one, view) for one in result],
    "audit": lambda result, view: [event(one, view) for one in result],
    "stats": _stats,
    "plan": _plan,
    "reload": lambda result, view: _changed(result, view, done=True),
    "rollback": lambda result, view: _changed(result, view, done=True),
    "diff": lambda result, view: [line for one in result for line in _hung(_change(one), view)],
}


def text(command: str, result: Any, view: View) -> str:
    """Returns the command's output for people, without the newline at its end."""
    command = "picks" if command == "explain" and isinstance(result, list) else command  # --recent
    if result == []:
        return EMPTY.get(command.removesuffix(" -v"), "none")
    if command in TEXTS:
        return "\n".join(TEXTS[command](result, view))
    if isinstance(result, list):
        return "\n".join(_rows(command, result, view))
    if isinstance(result, Mapping):
        return "\n".join(facts(command, result, view))
    return cell(result)
