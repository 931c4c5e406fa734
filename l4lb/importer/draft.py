"""The result of an import: tables of a configuration, and each line that could not be converted.

Every value remembers the line that it came from, so a later problem with the value can be reported
for that line. A line that is left has a rank: the effect of its loss on the result's users.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.:\[\]-]+")
NAME_MAX = 56  # bytes; shorter names are whole in messages
WEIGHT_MAX = 256  # = L4_WEIGHT_MAX
RETRIES_MAX = 8
WORKERS_MAX = 64
CACHES_MAX = 16
NOBODY = "nobody"  # the pool of clients that are refused
LEFT_MAX = 100_000  # lines that are reported

Path = tuple[str | int, ...]


class Rank(enum.IntEnum):
    """The effect of a line's loss, worst first."""

    OPEN = 0, "clients come in that were turned away"
    CLEAR = 1, "what was encrypted or verified is not"
    UNCHECKED = 2, "backends are not checked as they were"
    MISSING = 3, "clients that were served are not, or by another backend"
    DIFFERENT = 4, "it is served in another way"
    NOTE = 5, "clients and backends do not notice"

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Rank:
        one = int.__new__(cls, value)
        one._value_ = value
        one.meaning = meaning
        return one

    @property
    def word(self) -> str:
        """Its word in the report."""
        return self.name.lower()

    @property
    def grave(self) -> bool:
        """True if somebody must look at it before the result is used."""
        return self <= Rank.MISSING


@dataclass(frozen=True)
class Place:
    """A line of a file, and its text."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Left:
    """A line that was not converted, or that works differently. where: the table that it is
    about."""

    place: Place
    rank: Rank
    why: str
    where: Path = ()

    def __str__(self) -> str:
        return f"{self.rank.word}: {self.place}: {self.why}"


class Table(dict[str, Any]):
    """A table of the result; it knows the line that it came from, and that of each key."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}

    def put(self, key: str, value: Any, place: Place) -> None:
        """Sets a key; the later of two values counts."""
        self[key] = value
        self.places[key] = place

    def default(self, key: str, value: Any, place: Place | None = None) -> None:
        """Sets a key that has no value."""
        if key not in self:
            self.put(key, value, place or self.place)

    def table(self, key: str, place: Place) -> Table:
        """Returns the table below key; makes it if it is missing."""
        if key not in self:
            self.put(key, Table(place), place)
        found: Table = self[key]
        return found

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.pop(key, None)

    def twin(self) -> Table:
        """Returns a copy; changes of one do not change the other."""
        made = Table(self.place)
        made.places = dict(self.places)
        for key, value in self.items():
            made[key] = _copied(value)
        return made


def _copied(value: Any) -> Any:
    if isinstance(value, Table):
        return value.twin()
    return [_copied(one) for one in value] if isinstance(value, list) else value


@dataclass
class Draft:
    """The configuration that is made; names of listeners and pools are those of the result."""

    place: Place
    process: Table = field(init=False)
    limits: Table = field(init=False)
    listeners: dict[str, Table] = field(default_factory=dict)
    pools: dict[str, Table] = field(default_factory=dict)
    caches: dict[str, Table] = field(default_factory=dict)
    forwards: dict[str, Table] = field(default_factory=dict)
    lists: dict[str, Table] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    _told: set[tuple[Place, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.process = Table(self.place)
        self.limits = Table(self.place)

    def leave(self, place: Place, rank: Rank, why: str, where: Path = ()) -> None:
        """Reports a line, once for each reason."""
        if (place, why) not in self._told and len(self.left) < LEFT_MAX:
            self._told.add((place, why))
            self.left.append(Left(place, rank, why, where))

    def ranked(self) -> list[Left]:
        """Returns the lines that were left, the most serious first, each rank in the order of the
        files."""
        return sorted(self.left, key=lambda one: (one.rank, one.place.file, one.place.line))

    @property
    def grave(self) -> bool:
        """True if a line was left without which the result should not be used."""
        return any(one.rank.grave for one in self.left)

    def tables(self) -> dict[str, Any]:
        """Returns everything in the form of a configuration."""
        return {
            "process": self.process, "limits": self.limits,
            "listeners": self.listeners, "pools": self.pools, "cache": self.caches,
            "forward": self.forwards, "lists": self.lists,
        }  # fmt: skip

    def nobody(self, place: Place) -> str:
        """Returns the name of a pool whose clients are refused."""
        if NOBODY not in self.pools:
            pool = Table(place)
            refused = Table(place)
            refused.put("address", "127.0.0.1:9", place)
            refused.put("weight", 0, place)
            pool.put("backends", [refused], place)
            self.pools[NOBODY] = pool
        return NOBODY

    def make_room(self) -> None:
        """Sets the sizes of the shared table that are above the defaults."""
        counts = {
            "max_listeners": (sum(map(_binds, self.listeners.values())), 1_024),
            "max_pools": (len(self.pools), 256),
            "max_backends": (sum(len(p.get("backends", ())) for p in self.pools.values()), 4_096),
        }  # fmt: skip
        for key, (count, usual) in counts.items():
            if count > usual:
                self.limits.put(key, count, self.place)


def _binds(listener: Table) -> int:
    spans = [re.search(r":(\d{1,5})-(\d{1,5})$", str(one)) for one in listener.get("bind", ())]
    return sum(max(1, int(one[2]) - int(one[1]) + 1) if one else 1 for one in spans)


def word_set(text: str) -> frozenset[str]:
    """Returns the words of a text."""
    return frozenset(text.split())


def name_of(text: str) -> str:
    """Returns a valid name that is as similar to text as possible."""
    path = text.removeprefix("unix:")
    if path.startswith("/"):
        text = path.rstrip("/").rpartition("/")[2].removesuffix(".sock")
    return NOT_IN_NAMES.sub("-", text).strip("-")[:NAME_MAX] or "unnamed"


def free_name(wanted: str, taken: Container[str]) -> str:
    """Returns wanted, or wanted with a number if it is taken."""
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted[: NAME_MAX - 6]}-{number}"
    return name


def scaled(weights: Mapping[str, int]) -> dict[str, int]:
    """Returns weights within bounds, in nearly the same proportions; 0 stays 0."""
    top = max(weights.values(), default=0)
    if top <= WEIGHT_MAX:
        return dict(weights)
    return {
        name: max(1, weight * WEIGHT_MAX // top) if weight else 0
        for name, weight in weights.items()
    }


def scale_weights(draft: Draft, backends: list[Table], where: Path) -> None:
    """Scales the weights of a pool together if one is above the maximum."""
    weights = {str(index): int(one.get("weight", 1)) for index, one in enumerate(backends)}
    for index, weight in scaled(weights).items():
        one = backends[int(index)]
        if one.get("weight", 1) != weight:
            place = one.places.get("weight", one.place)
            one.put("weight", weight, place)
            draft.leave(place, Rank.NOTE, f"weights are scaled to {WEIGHT_MAX} at most", where)
