"""nginx.conf as nodes. The ngxparse parser reads included files. Lines keep the name of their own
file, and are repeated as they are in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from l4lb.errors import L4lbError, UsageError
from l4lb.importer.draft import Place

SHOWN_MAX = 300  # characters of a directive that are repeated


@dataclass(frozen=True)
class Node:
    """A directive: its words, and the nodes of its block."""

    place: Place
    name: str
    args: tuple[str, ...]
    block: tuple[Node, ...] = ()

    def arg(self, index: int = 0) -> str:
        """Returns a word; if it is missing, the line is reported as not understood."""
        if index >= len(self.args):
            raise ValueError("something is missing at its end")
        return self.args[index]


@dataclass
class _Text:
    """A file's text, and the position up to which its directives were found."""

    text: str
    starts: list[int] = field(default_factory=list)
    cursor: int = 0

    def __post_init__(self) -> None:
        at = 0
        for line in self.text.split("\n"):
            self.starts.append(at)
            at += len(line) + 1

    def verbatim(self, line: int, name: str, words: str) -> str:
        """Returns the text of the directive that begins in a line; words if it is not found."""
        start = self.starts[line - 1] if 0 < line <= len(self.starts) else self.cursor
        found = self.text.find(name, max(self.cursor, start))
        if found < 0:
            return words
        end = _end(self.text, found)
        opened = self.text[end : end + 1] == "{"
        self.cursor = end + 1 if opened else end
        begin = found - (self.text[found - 1 : found] in ("'", '"'))
        return " ".join(self.text[begin:end].split())[:SHOWN_MAX]


def _end(text: str, at: int) -> int:
    """Returns where a directive ends: at its ; or {, outside of quotes and escapes."""
    quote = ""
    while at < len(text):
        c = text[at]
        if c == "\\":
            at += 1
        elif quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == ";" or (c == "{" and text[at - 1] != "$"):
            return at
        at += 1
    return at


class Tree:
    """The files of a configuration."""

    def __init__(self, file: str) -> None:
        self._payload = _parsed(file)
        self._files: list[Mapping[str, Any]] = self._payload["config"]
        self._texts: dict[str, _Text] = {}
        self.faults: list[tuple[Place, str]] = []
        first = self._files[0]
        self.nodes = tuple(self._nodes(first["parsed"], first["file"]))
        for one in self._payload["errors"]:
            name, line = str(one["file"]), int(one.get("line") or 1)
            rows = self._text(name).text.split("\n")
            text = rows[line - 1].strip() if line <= len(rows) else ""
            self.faults.append(
                (
                    Place(name, line, text),
                    re.sub(r"^\[Errno \d+\] ", "", str(one["error"]).split(" in /")[0]),
                )
            )

    def _text(self, file: str) -> _Text:
        if file not in self._texts:
            try:
                with open(file, encoding="utf-8", errors="replace") as source:
                    self._texts[file] = _Text(source.read())
            except OSError:
                self._texts[file] = _Text("")
        return self._texts[file]

    def _nodes(self, block: list[Mapping[str, Any]], file: str) -> Iterator[Node]:
        """Yields each directive of a block, with those of included files."""
        text = self._text(file)
        for one in block:
            words = " ".join([one["directive"], *one["args"]])
            place = Place(file, one["line"], text.verbatim(one["line"], one["directive"], words))
            if one["directive"] == "include" and "includes" in one:
                for index in one["includes"]:
                    more = self._files[index]
                    self._text(more["file"]).cursor = 0
                    yield from self._nodes(more["parsed"], more["file"])
            else:
                inside = tuple(self._nodes(one.get("block") or [], file))
                yield Node(place, one["directive"], tuple(one["args"]), inside)


def _parsed(file: str) -> Mapping[str, Any]:
    import crossplane

    try:
        payload: Mapping[str, Any] = crossplane.parse(
            file, strict=False, check_ctx=False, check_args=False, comments=False
        )
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except Exception as error:  # the parser has no base class for its errors
        raise L4lbError(f"{file}: not understood: {error}") from error
    if not payload["config"] or not payload["config"][0]["parsed"]:
        said = "; ".join(str(one["error"]) for one in payload["errors"])
        raise UsageError(f"{file}: nothing of nginx's is in it{': ' + said if said else ''}")
    return payload
