"""Limits that Python repeats are equal to those of csrc/base/bounds.h."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
COPY = re.compile(r"^([A-Z_]+) = (.+?)  # = ([^:\n]+)", re.MULTILINE)


def c_bounds() -> dict[str, int]:
    text = (TOP / "csrc/base/bounds.h").read_text()
    rows = re.findall(r"^ +(L4_[A-Z0-9_]+) = ([0-9 <]+),", text, re.MULTILINE)
    return {name: eval(value, {}) for name, value in rows}


def test_each_copy_of_a_limit_is_equal_to_it() -> None:
    names = c_bounds()
    wrong, seen = [], 0
    for path in (TOP / "l4lb").rglob("*.py"):
        source = path.read_text()
        units = dict(re.findall(r"^([A-Z_]+) = ([0-9_]+)", source, re.MULTILINE))
        for name, copied, original in COPY.findall(source):
            here = eval(copied, {}, units)
            there = eval(original, {}, names)
            if isinstance(here, tuple) and not isinstance(there, tuple):
                here = here[1]
            seen += 1
            if here != there:
                wrong.append(f"{path.relative_to(TOP)}: {name} is {here}, {original} is {there}")
    assert wrong == []
    assert seen >= 20


def test_a_limit_that_is_only_mentioned_is_not_taken_for_a_copy() -> None:
    """A comment `# = NAME` behind a number says that it is equal to C's limit of that name."""
    mentioned = []
    for path in (TOP / "l4lb").rglob("*.py"):
        for line in path.read_text().splitlines():
            if re.match(r"^[A-Z_]+ = [0-9(][^#]*#(?! =)[^#]*\bL4_[A-Z_]+_MAX\b(?! is above)", line):
                mentioned.append(f"{path.relative_to(TOP)}: {line}")
    assert mentioned == []
