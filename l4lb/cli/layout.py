"""Lays out tables and facts for a terminal's width or for a pipe. Pure: words in, lines out.

At a terminal no line is wider than the terminal: the least important columns are left out (and
named below the table), names are cut in the middle, and sentences are wrapped. If not even the
first columns fit, each row is a block of facts. In a pipe every column is there and every word is
whole.
"""

from __future__ import annotations

import itertools
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from l4lb.cli.units import label

GAP = 2  # spaces between columns
NAME_READABLE = 22  # width of a name as long as columns can be left out for it
NAME_LEAST = 14  # ... and its smallest width
SENTENCE_LEAST = 30  # a sentence with less room goes below its row
LABEL_MOST = 20  # width of a label
WIDTH_LEAST = 20  # a narrower terminal counts as one of this width

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
STYLES: Mapping[str, str] = {
    "up": GREEN, "serves": GREEN, "served": GREEN, "yes": "", "ready": "",
    "down": RED, "refused": RED, "off": RED, "stale": RED, "unusable": RED,
    "ejected": YELLOW, "drain": YELLOW, "maint": YELLOW, "paused": YELLOW, "drains": YELLOW,
    "waits": YELLOW, "full": YELLOW,
}  # fmt: skip


class View(NamedTuple):
    """The destination of text. width: of a terminal; 0: a pipe."""

    width: int = 0
    colour: bool = False

    @property
    def room(self) -> int:
        """Characters of a line."""
        return max(self.width, WIDTH_LEAST)

    def inside(self, indent: int) -> View:
        """Returns the view for indented text."""
        return View(max(self.room - indent, WIDTH_LEAST), self.colour) if self.width else self


@dataclass(frozen=True)
class Column:
    """One column of a table. rank: 0 is always shown, as every sentence is; of the others the
    highest is left out first. kind: a name that is too long is cut, a sentence is wrapped; others
    always fit. rare: left out if no row has a value."""

    key: str
    rank: int = 0
    kind: Literal["word", "number", "name", "sentence"] = "word"
    heading: str = ""
    rare: bool = False


Words = Sequence[str]


def wide(text: str) -> int:
    """Returns the cells of a terminal that the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cut(text: str, room: int) -> str:
    """Returns the text, with an ellipsis in its middle if it does not fit."""
    if wide(text) <= room:
        return text
    head, tail = (room - 1) - (room - 1) // 2, (room - 1) // 2
    begin, end = text[:head], text[len(text) - tail :]
    while wide(begin) > head:
        begin = begin[:-1]
    while wide(end) > tail:
        end = end[1:]
    return f"{begin}…{end}"


def pad(text: str, room: int, *, right: bool = False) -> str:
    """Returns the text padded with spaces."""
    spaces = " " * (room - wide(text))
    return spaces + text if right else text + spaces


def wrapped(text: str, room: int) -> list[str]:
    """Returns the text in lines; a word that does not fit in a line is broken."""
    room = max(1, room if wide(text) == len(text) else room // 2)
    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]


def paint(text: str, style: str, view: View) -> str:
    """Returns the text in a style, if the view has styles."""
    return f"\x1b[{style}m{text}\x1b[0m" if view.colour and style and text.strip() else text


def styled(word: str, room: int, view: View, *, right: bool = False) -> str:
    """Returns a padded word, coloured if it is one of STYLES."""
    return paint(pad(word, room, right=right), STYLES.get(word, ""), view)


# ---- tables --------------------------------------------------------------------------------------


def aligned(lines: Sequence[Words]) -> str:
    """Returns columns padded to the widest word, for a pipe."""
    widths = [max(wide(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(pad(word, room) for word, room in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def table(columns: Sequence[Column], rows: Sequence[Words], view: View) -> list[str]:
    """Returns the lines of a table: each row has a word for each column."""
    if not view.width:
        return aligned([[one.key for one in columns], *rows]).splitlines()
    there = [
        at
        for at, one in enumerate(columns)
        if not one.rare or any(row[at] not in ("-", "0") for row in rows)
    ]
    shown = _shown(columns, rows, there, view.room)
    if shown is None:
        names = [_heading(columns[at]).lower() for at in there]
        return _blocks(names, [[row[at] for at in there] for row in rows], view)
    sizes, lines = shown, _drawn(columns, rows, shown, view)
    if missing := [_heading(columns[at]).lower() for at in there if at not in sizes]:
        said = f"not shown: {', '.join(missing)} (a wider terminal, or --json)"
        lines += ["", *(paint(line, DIM, view) for line in wrapped(said, view.room))]
    return lines


def _heading(column: Column) -> str:
    return (column.heading or label(column.key)).upper()


def _shown(
    columns: Sequence[Column], rows: Sequence[Words], there: Sequence[int], room: int
) -> dict[int, int] | None:
    """Returns the columns that are shown, with their widths. Names stay readable at first, and the
    least important columns are left out; then names are cut more. None: not even the first columns
    fit."""
    natural = {
        at: max(wide(_heading(columns[at])), *(wide(row[at]) for row in rows), 1) for at in there
    }
    left = sorted(
        there, key=lambda at: (columns[at].kind != "sentence", columns[at].rank, at)
    )  # sentences need no room
    for name_min, rank_kept in ((NAME_READABLE, 2), (NAME_LEAST, 0)):
        while True:
            kept = {at: natural[at] for at in there if at in left}
            sizes = _sizes(columns, kept, name_min, room)
            if sizes is not None or columns[left[-1]].rank <= rank_kept:
                break
            left.pop()
        if sizes is not None:
            return sizes
    return None


def _sizes(
    columns: Sequence[Column], natural: Mapping[int, int], name_min: int, room: int
) -> dict[int, int] | None:
    """Returns the width of each column, 0 for sentences below their rows; None: no room."""
    sizes = dict(natural)
    for at in natural:
        if columns[at].kind == "name":
            sizes[at] = min(natural[at], max(name_min, wide(_heading(columns[at]))))
        elif columns[at].kind == "sentence":
            sizes[at] = min(natural[at], SENTENCE_LEAST)
    if _width(sizes) > room:
        sizes |= {at: 0 for at in natural if columns[at].kind == "sentence"}
    left = room - _width(sizes)
    if left < 0:
        return None
    while left > 0 and (grow := [at for at in sizes if 0 < sizes[at] < natural[at]]):
        names = [at for at in grow if columns[at].kind == "name"] or grow
        sizes[min(names, key=lambda at: sizes[at])] += 1
        left -= 1
    return sizes


def _width(sizes: Mapping[int, int]) -> int:
    inside = [size for size in sizes.values() if size]
    return sum(inside) + GAP * (len(inside) - 1)


def _drawn(
    columns: Sequence[Column], rows: Sequence[Words], sizes: Mapping[int, int], view: View
) -> list[str]:
    """Draws heading and rows; a sentence is wrapped in its column, or has lines of its own."""
    inside = [at for at in sizes if sizes[at]]
    below = [at for at in sizes if not sizes[at]]
    spaces = " " * GAP

    def line(words: Sequence[str]) -> str:
        return spaces.join(
            styled(word, sizes[at], view, right=columns[at].kind == "number")
            for at, word in zip(inside, words, strict=True)
        ).rstrip()

    lines = [paint(line([_heading(columns[at]) for at in inside]), BOLD, view)]
    for row in rows:
        parts = [
            wrapped(row[at], sizes[at])
            if columns[at].kind == "sentence"
            else [cut(row[at], sizes[at])]
            for at in inside
        ]
        lines += map(line, itertools.zip_longest(*parts, fillvalue=""))
        for at in below:
            if row[at] != "-":
                head = f"{_heading(columns[at]).lower()}: " if len(below) > 1 else ""
                lines += [f"    {one}" for one in wrapped(head + row[at], view.room - 4)]
    return lines


def _blocks(names: Words, rows: Sequence[Words], view: View) -> list[str]:
    """Draws each row as facts, separated by empty lines."""
    lines: list[str] = []
    for row in rows:
        said = [(name, [word]) for name, word in zip(names, row, strict=True)]
        lines += [*([""] if lines else []), *facts(said, view)]
    return lines


# ---- facts ---------------------------------------------------------------------------------------


def facts(said: Sequence[tuple[str, Words]], view: View) -> list[str]:
    """Draws labels with one or more sentences each, below each other."""
    room = min(max((len(name) for name, _ in said), default=0), LABEL_MOST, view.room // 2)
    lines = []
    for name, sentences in said:
        parts = [
            line for one in sentences for line in wrapped(one, view.room - room - GAP)
        ]  # fmt: skip
        for at, part in enumerate(parts):
            head = pad(cut(name, room), room) if not at else " " * room
            lines.append(f"{head}{' ' * GAP}{paint(part, STYLES.get(part, ''), view)}".rstrip())
    return lines
