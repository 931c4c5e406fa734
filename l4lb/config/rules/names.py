"""Names of tables that are not there."""

from __future__ import annotations

from collections.abc import Iterable

from l4lb.config.origin import Finding, path_text
from l4lb.config.position import Path
from l4lb.config.schema import did_you_mean
from l4lb.config.units import shown


def unknown(path: Path, what: str, kind: str, name: str, known: Iterable[str]) -> Finding:
    """Returns the finding that no [kind.NAME] has this name. path: where it is named. what: such a
    table, in a word or two. known: the names that there are."""
    hint = did_you_mean(name, known) or f"add [{path_text((kind, name))}]"
    return Finding(path, f"no {what} is named {shown(name)}", hint)
