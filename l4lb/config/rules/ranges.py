"""Wide ranges of ports, as checks before they are bound as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config import bounds
from l4lb.config.address import ANY_IPV4, ANY_IPV6, BindRange
from l4lb.config.draft import Draft
from l4lb.config.origin import Finding, path_text
from l4lb.config.position import Path
from l4lb.config.wide import is_wide


def _apart(draft: Draft) -> Iterator[Finding]:
    """Finds two wide ranges with a port in common: it would not be clear whose clients come there.
    A single port inside of a range is allowed, and its listener has its clients; so is a narrow
    range."""
    before: list[tuple[Path, BindRange]] = []
    for listener in draft.listeners:
        for path, span in listener.binds:
            if not span.is_whole:
                continue
            other = next((at for at, one in before if _meet(one, span)), None)
            if other is not None:
                yield Finding(path, f"{span} has ports in common with {path_text(other)}")
            before.append((path, span))


def _meet(one: BindRange, other: BindRange) -> bool:
    if other.last_port < one.first_port or one.last_port < other.first_port:
        return False
    if (":" in one.host) != (":" in other.host):
        return False
    return one.host == other.host or bool({one.host, other.host} & {ANY_IPV4, ANY_IPV6})


def hint(draft: Draft) -> str | None:
    """Returns how too many addresses can become fewer; None: no range is wide."""
    for listener in draft.listeners:
        of = listener.table
        how = listener.transport, of.get("mptcp"), of.get("data_path", "proxy")
        for _, span in listener.binds:
            if is_wide(span, *how) and not span.is_whole:
                ports = bounds.NARROW_PORTS
                return f"with [process.packet] a range of more than {ports} ports counts once"
    return None


RULES = (_apart,)
