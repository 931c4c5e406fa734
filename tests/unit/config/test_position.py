"""The position finder's lines are those on which a writer of random documents wrote."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from l4lb.config.position import Path, positions

SCALARS = [
    "1", "0xff", "1.5e3", "true", "inf", "2026-01-01T00:00:00Z", "1979-05-27",
    '"a # ] } , [x] = \\" \\\\"', "'lit \" # \\'", '""', "''",
    '"""one\n"two" ""\\" # x = [\nthree"""', "'''one\n'two' = [\n'''", '"""x""""', "'''''x'''''",
    '"""\\\n   x"""',
]  # fmt: skip
KEYS = [  # a key as written, and its meaning
    ("a", "a"), ("b-1", "b-1"), ("0", "0"), ('"a b"', "a b"), ("'x.y'", "x.y"),
    ('"\\u00e9\\""', "\u00e9\""), ('"#="', "#="), ("'\"'", '"'), ('""', ""),
]  # fmt: skip
GAPS = ["", " ", "\t", "\n", "\n\n", " # a = [ 1\n", "\r\n"]
NEWLINES = ["\n", " # ]] 'x\n", "\n\n", "\r\n", "\t\n# [t]\n"]


class Writer:
    """Writes a random valid document and notes the line of each path as it goes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}
        self.serial = 0

    def pick(self, choices: list[Any]) -> Any:
        return self.draw(st.sampled_from(choices))

    def write(self, text: str) -> None:
        self.text += text

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, path: Path) -> Path:
        """Returns a key that no other part has."""
        self.serial += 1
        written, meaning = self.pick(KEYS)
        quote = written[-1] if written[-1] in "\"'" else ""
        self.write(f"{written.removesuffix(quote)}{self.serial}{quote}" if quote else
                   f"{written}{self.serial}")  # fmt: skip
        return (*path, f"{meaning}{self.serial}")

    def pair(self, path: Path, depth: int) -> None:
        start = self.text
        for number in range(self.pick([1, 1, 2, 3])):
            if number:
                self.write(self.pick([".", " . ", ".\t"]))
            path = self.key(path)
            self.lines[path] = start.count("\n") + 1
        self.write(self.pick(["=", " = "]))
        self.value(path, depth)

    def value(self, path: Path, depth: int) -> None:
        kind = self.pick(["scalar", "scalar", "array", "table"]) if depth else "scalar"
        if kind == "scalar":
            self.write(self.pick(SCALARS))
        elif kind == "array":
            self.array(path, depth)
        else:
            self.inline_table(path, depth)

    def array(self, path: Path, depth: int) -> None:
        count = self.pick([0, 1, 2, 4])
        self.write("[" + self.pick(GAPS))
        for index in range(count):
            self.note((*path, index))
            self.value((*path, index), depth - 1)
            self.write(self.pick(GAPS))
            if index + 1 < count or self.pick([True, False]):
                self.write("," + self.pick(GAPS))
        self.write("]")

    def inline_table(self, path: Path, depth: int) -> None:
        self.write("{" + self.pick(["", " "]))
        for index in range(self.pick([0, 1, 3])):
            self.write(", " if index else "")
            self.pair(path, depth - 1)
        self.write(self.pick(["", " "]) + "}")

    def pairs(self, path: Path) -> None:
        for _ in range(self.pick([0, 1, 3])):
            self.write(self.pick(["", "  "]))
            self.pair(path, 2)
            self.write(self.pick(NEWLINES))

    def table(self) -> None:
        line = self.text.count("\n") + 1
        self.write("[" + self.pick(["", " "]))
        path = self.key(())
        self.lines[path] = line
        self.write("]" + self.pick(NEWLINES))
        self.pairs(path)

    def array_of_tables(self) -> None:
        name = f"aot{len(self.text)}"
        for index in range(self.pick([1, 2, 3])):
            self.note((name,))
            self.note((name, index))
            self.write(f"[[{name}]]" + self.pick(NEWLINES))
            self.pairs((name, index))
            if self.pick([True, False]):
                self.note((name, index, "below"))
                self.write(f"[ {name} . 'below' ]" + self.pick(NEWLINES))
                self.pairs((name, index, "below"))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    writer = Writer(draw)
    writer.write(writer.pick(["", *NEWLINES]))
    writer.pairs(())
    for _ in range(writer.pick([0, 1, 3])):
        writer.pick([writer.table, writer.array_of_tables])()
    return writer.text, writer.lines


def paths(data: Any, at: Path = ()) -> set[Path]:
    """Returns every path of parsed data: the naive oracle for the position finder."""
    if isinstance(data, dict):
        below = list(data.items())
    elif isinstance(data, list):
        below = list(enumerate(data))
    else:
        return set()
    return {(*at, key) for key, _ in below}.union(*(paths(v, (*at, key)) for key, v in below))


@given(documents())
def test_every_key_and_element_has_the_line_it_was_written_on(
    document: tuple[str, dict[Path, int]],
) -> None:
    text, lines = document
    assert set(lines) == paths(tomllib.loads(text))
    assert positions(text) == lines


@given(st.text(st.sampled_from("a.='\"[]{},\n#\\ 1")))
@example('a = """x')
@example("a = {b = 1")
@example("[" * 5000)
def test_no_text_breaks_the_finder_and_valid_text_is_understood(text: str) -> None:
    found = positions(text)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    assert set(found) == paths(data)
