"""Regular expressions as tables: a pattern becomes a deterministic automaton, which workers follow
one step a byte, whatever the text is. Pure.

The syntax is that part of RE2's which such a table can have: no references, no look-around, no word
boundaries. A pattern is looked for anywhere in a text, as usual; ^ and $ hold it at the ends. Texts
and patterns are ASCII. A table that would be too large is refused when the pattern is read.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Iterable
from typing import NamedTuple

STATES_MAX = 1_000
REPEAT_MAX = 100  # as in a{1,100}
NODES_MAX = 5_000  # parts of a pattern, each repetition counted
WORK_MAX = 2_000_000  # parts looked at while the table is made: a second or two
ALL = (1 << 128) - 1
NEVER, ALWAYS = 0, 1  # states that no byte leaves: no match any more, and a match for sure


class PatternError(ValueError):
    """A pattern that is not understood; its text says why."""


class Automaton(NamedTuple):
    """class_of: a class for each of 128 bytes. steps: the next state, by state and class. ends:
    whether a text that ends in a state matches."""

    start: int
    class_of: bytes
    classes: int
    steps: tuple[int, ...]
    ends: tuple[bool, ...]


def _mask(characters: Iterable[str]) -> int:
    found = 0
    for one in characters:
        found |= 1 << ord(one)
    return found


DIGITS, SPACES = _mask(string.digits), _mask("\t\n\f\r ")
WORDS = DIGITS | _mask(string.ascii_letters + "_")
CLASSES = {"d": DIGITS, "w": WORDS, "s": SPACES, "D": ALL & ~DIGITS, "W": ALL & ~WORDS,
           "S": ALL & ~SPACES}  # fmt: skip
Node = tuple[object, ...]  # ("set", mask) ("all", nodes) ("any", nodes) ("begin",) ("end",) ...


class _Reader:
    """Reads a pattern into nodes."""

    def __init__(self, text: str) -> None:
        if not text.isascii() or not text.isprintable():
            raise PatternError("has characters that are not ASCII: write %C3%A4 for \u00e4")
        self.folds = text.startswith("(?i)")
        self.text = text.removeprefix("(?i)")
        self.at = 0
        self.depth = 0

    def whole(self) -> Node:
        found = self.alternatives()
        if self.at < len(self.text):
            raise PatternError("has a ) without its (")
        return found

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        self.at += 1
        return self.text[self.at - 1 : self.at]

    def alternatives(self) -> Node:
        found = [self.sequence()]
        while self.peek() == "|":
            self.take()
            found.append(self.sequence())
        return found[0] if len(found) == 1 else ("any", found)

    def sequence(self) -> Node:
        found: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            found.append(self.repeated(self.one()))
        return ("all", found)

    def one(self) -> Node:
        char = self.take()
        if char == "(":
            return self.group()
        if char == "[":
            return ("set", self.bracket())
        if char in "*+?{":
            raise PatternError(f"has a {char} that repeats nothing")
        plain = {"^": ("begin",), "$": ("end",), ".": ("set", ALL)}
        return plain.get(char) or ("set", self.escape() if char == "\\" else self.folded(char))

    def group(self) -> Node:
        if self.text.startswith("?:", self.at):
            self.at += 2
        elif self.peek() == "?":
            raise PatternError("has a group of a kind that is not supported: only ( and (?:")
        self.depth += 1
        if self.depth > 50:
            raise PatternError("has more than 50 groups in each other")
        found = self.alternatives()
        if self.take() != ")":
            raise PatternError("has a ( without its )")
        self.depth -= 1
        return found

    def folded(self, char: str) -> int:
        return _mask(char.lower() + char.upper()) if self.folds else _mask(char)

    def escape(self) -> int:
        char = self.take()
        if char in CLASSES:
            return CLASSES[char]
        if not char or char.isalnum():
            raise PatternError(f"has \\{char}, which is not supported")
        return _mask(char)

    def bracket(self) -> int:
        negated = self.peek() == "^"
        self.at += negated
        found, first = 0, True
        while first or self.peek() != "]":
            first = False
            found |= self.range_in_bracket()
        self.take()
        return ALL & ~found if negated else found

    def range_in_bracket(self) -> int:
        char = self.take()
        if not char:
            raise PatternError("has a [ without its ]")
        if char == "[" and self.peek() == ":":
            raise PatternError("has [:, which is not supported")
        low = self.escape() if char == "\\" else self.folded(char)
        if self.peek() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return low
        self.take()
        last = self.take()
        if char == "\\" or last == "\\" or last < char:
            raise PatternError(f"has the range {char}-{last}, which has no order")
        within = map(chr, range(ord(char), ord(last) + 1))
        found = 0
        for one in within:
            found |= self.folded(one)
        return found

    def repeated(self, node: Node) -> Node:
        many = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        bounds = many.get(self.peek())
        if bounds is not None:
            self.take()
        elif self.peek() == "{":
            bounds = self.counts()
        if bounds is None:
            return node
        if self.peek() == "?":  # it changes which match is found, and not whether there is one
            self.take()
        if self.peek() and self.peek() in "*+?{":
            raise PatternError("repeats a repetition")
        return ("many", node, *bounds)

    def counts(self) -> tuple[int, int | None]:
        inside, close, _ = self.text[self.at + 1 :].partition("}")
        low, comma, high = inside.partition(",")
        if not close or not low.isdigit() or (high and not high.isdigit()):
            raise PatternError("has a { that is no count such as {2,5}: write \\{ for a brace")
        self.at += len(inside) + 2
        least = int(low[:9])
        most = int(high[:9]) if high else None if comma else least
        if max(least, most or 0) > REPEAT_MAX or (most is not None and most < least):
            raise PatternError(f"has the count {{{inside}}}: 0 to {REPEAT_MAX}, in this order")
        return least, most


class _Nfa:
    """The automaton before it is deterministic: rows of (kind, mask, next rows)."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, tuple[int, ...]]] = [("accept", 0, ())]
        self.work = 0

    def add(self, kind: str, mask: int, *following: int) -> int:
        if len(self.rows) > NODES_MAX:
            raise PatternError("is too large")
        self.rows.append((kind, mask, following))
        return len(self.rows) - 1

    def build(self, node: Node, after: int) -> int:
        """Adds a node before the row `after`. Returns its first row."""
        kind, *rest = node
        match kind:
            case "set":
                return self.add("set", rest[0], after)  # type: ignore[arg-type]
            case "all":
                for one in reversed(rest[0]):  # type: ignore[call-overload]
                    after = self.build(one, after)
                return after
            case "any":
                ways = [self.build(one, after) for one in rest[0]]  # type: ignore[attr-defined]
                return self.add("split", 0, *ways)
            case "many":
                return self.many(rest[0], rest[1], rest[2], after)  # type: ignore[arg-type]
        return self.add(str(kind), 0, after)

    def many(self, node: Node, least: int, most: int | None, after: int) -> int:
        if most is None:
            loop = self.add("split", 0, after)
            self.rows[loop] = ("split", 0, (self.build(node, loop), after))
            after = loop
        for _ in range(0 if most is None else most - least):
            after = self.add("split", 0, self.build(node, after), after)
        for _ in range(least):
            after = self.build(node, after)
        return after

    def closure(self, rows: Iterable[int], *, first: bool = False, last: bool = False) -> set[int]:
        """Returns the rows that are reached without a byte."""
        seen: set[int] = set()
        waiting = list(rows)
        while waiting:
            row = waiting.pop()
            if row in seen:
                continue
            seen.add(row)
            kind, _, following = self.rows[row]
            if kind == "split" or (kind == "begin" and first) or (kind == "end" and last):
                waiting.extend(following)
        self.work += len(seen)
        if self.work > WORK_MAX:
            raise PatternError("is too complex for a table")
        return seen


def _classes(masks: Iterable[int]) -> tuple[bytes, list[int]]:
    """Returns a class for each byte, and one byte of each class: no mask tells the bytes of a
    class apart."""
    given = list(dict.fromkeys(masks))
    known: dict[tuple[int, ...], int] = {}
    signatures = [tuple(mask >> byte & 1 for mask in given) for byte in range(128)]
    class_of = bytes(known.setdefault(one, len(known)) for one in signatures)
    return class_of, [signatures.index(one) for one in known]


@functools.lru_cache(maxsize=1_024)
def compiled(pattern: str) -> Automaton:
    """Returns the table of a pattern. Raises PatternError."""
    nfa = _Nfa()
    start = nfa.build(_Reader(pattern).whole(), 0)
    class_of, samples = _classes(mask for kind, mask, _ in nfa.rows if kind == "set")
    again = nfa.closure([start])
    known: dict[frozenset[int], int] = {}
    waiting: list[frozenset[int]] = []
    steps: list[int] = [NEVER] * len(samples) + [ALWAYS] * len(samples)
    ends = [False, True]

    def state_of(rows: set[int], *, first: bool = False) -> int:
        if 0 in rows:
            return ALWAYS
        key = frozenset(row for row in rows if nfa.rows[row][0] in ("set", "end"))
        if not key:
            return NEVER
        if key not in known:
            if len(known) >= STATES_MAX:
                raise PatternError("is too complex for a table")
            known[key] = len(ends)
            ends.append(0 in nfa.closure(rows, first=first, last=True))
            waiting.append(key)
        return known[key]

    begin = nfa.closure([start], first=True)
    # why a state of its own: only here does ^ hold, also together with $.
    first_ends = 0 in nfa.closure([start], first=True, last=True)
    first_state = ALWAYS if 0 in begin else len(ends)
    if first_state != ALWAYS:
        known[frozenset([-1])] = first_state
        ends.append(first_ends)
        waiting.append(frozenset(begin))
    for key in waiting:
        for byte in samples:
            reached = {
                after
                for row in key
                for kind, mask, following in (nfa.rows[row],)
                if kind == "set" and mask >> byte & 1
                for after in following
            }
            steps.append(state_of(nfa.closure(reached) | again))
    return Automaton(first_state, class_of, len(samples), tuple(steps), tuple(ends))
