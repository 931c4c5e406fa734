"""The directives in force at a location: those of the innermost block that has a directive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from l4lb.importer.nginx.tree import Node


@dataclass(frozen=True)
class Scope:
    """Blocks around each other, the outermost first."""

    levels: tuple[Sequence[Node], ...]

    def below(self, nodes: Sequence[Node]) -> Scope:
        return Scope((*self.levels, nodes))

    def of(self, *names: str) -> list[Node]:
        """Returns the directives of these names in the innermost block that has one of them."""
        for level in reversed(self.levels):
            found = [one for one in level if one.name in names]
            if found:
                return found
        return []

    def last(self, name: str) -> Node | None:
        found = self.of(name)
        return found[-1] if found else None
