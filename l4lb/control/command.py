"""What an admin command is: its arguments, who carries it out, and how long that may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from l4lb.errors import AdminError

KINDS = {str: "text", int: "a whole number", bool: "true or false"}
TEXT_MAX = 256  # characters of one text argument
PATH_MAX = 4_096  # ... of one that is a file's path


@dataclass(frozen=True)
class Carrier:
    """Who carries something out: "table" (a view of the shared table, made in a thread of the
    control process), "control" (that process itself), or "supervisor" (it is passed on).

    Of what the supervisor is asked: timeout_s, how long the answer is waited for; serving: it is
    refused once the service ends; announced: the service manager is told when it begins and when it
    has ended; checker: the checker asks it, nobody else."""

    who: str
    timeout_s: float = 5.0
    serving: bool = False
    announced: bool = False
    checker: bool = False


TABLE, CONTROL, SUPERVISOR = Carrier("table"), Carrier("control"), Carrier("supervisor")
SERVING = replace(SUPERVISOR, serving=True)
CHANGE = replace(SERVING, timeout_s=45.0)  # of the configuration, which may be read for 30 s
RELOAD = replace(CHANGE, announced=True)
DISCOVER = replace(SERVING, timeout_s=15.0)
CHECKER = replace(SUPERVISOR, checker=True)
MOVE = replace(SERVING, timeout_s=25.0)  # of sessions between workers
UPGRADE = replace(SERVING, timeout_s=55.0, announced=True)


@dataclass(frozen=True)
class Arg:
    """One argument: text, a whole number within bounds, or a flag; options are written --name.
    of: what it names, a pool, listener or backend."""

    name: str
    help: str
    type: type = str
    option: bool = False
    default: Any = None
    required: bool = True
    least: int = 0
    most: int = 1 << 31
    longest: int = TEXT_MAX
    path: bool = False  # of a file: where whoever asks is tells what is meant
    of: str = ""

    def checked(self, value: object) -> Any:
        """The value, if it is one. Raises AdminError bad_argument."""
        if value is None and not self.required:
            return self.default
        if type(value) is not self.type:
            raise AdminError("bad_argument", f"{self.name} must be {KINDS[self.type]}")
        if isinstance(value, str) and len(value) > self.longest:
            most = f"longer than {self.longest} characters"
            raise AdminError("bad_argument", f"{self.name} is {most}")
        if type(value) is int and not self.least <= value <= self.most:
            raise AdminError(
                "bad_argument", f"{self.name} must be between {self.least} and {self.most}"
            )
        return value


@dataclass(frozen=True)
class Command:
    """One command: a row of commands.py. by: who carries it out.

    reads: it changes nothing, and has something to show; tells: it has although it changes.
    streams: the flag that makes its answer one that goes on, part by part. recorded: each use is
    recorded, as changes are unless told; alters: arguments by which one that reads changes
    something."""

    name: str
    help: str
    args: Sequence[Arg] = field(default=())
    by: Carrier = CONTROL
    reads: bool = False
    tells: bool = False
    verbose: bool = False  # -v shows people more of it; --json has everything anyway
    streams: str = ""
    recorded: bool | None = None
    alters: Sequence[str] = ()

    def is_recorded(self, given: Mapping[str, Any]) -> bool:
        """Is this use of it one that the record of changes has?"""
        if self.alters:
            return any(given.get(name) is not None for name in self.alters)
        return not self.reads if self.recorded is None else self.recorded

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, each checked and with its default. Raises AdminError bad_argument."""
        unknown = set(given) - {arg.name for arg in self.args}
        if unknown:
            first = min(map(str, unknown))[:TEXT_MAX]
            raise AdminError("bad_argument", f"{self.name} has no argument {first}")
        return {arg.name: arg.checked(given.get(arg.name)) for arg in self.args}
