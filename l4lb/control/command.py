"""An admin command: its arguments, who carries it out, and how long that may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from l4lb.errors import AdminError

KINDS = {str: "text", int: "a whole number", bool: "true or false"}
TEXT_MAX = 256  # characters of one text argument
MANY_MAX = 100  # values of one argument that may be given several times
PATH_MAX = 4_096  # characters of an argument that is a file's path


@dataclass(frozen=True)
class Carrier:
    """Who carries an operation out. who: "table" (a view of the shared table, made in a thread of
    the control process), "control" (the control process itself) or "supervisor" (the operation is
    passed on to the supervisor).

    The other fields are for operations of the supervisor. timeout_s: how long the asker waits for
    the answer. serving: the operation is refused while the service starts and once it has begun to
    end. starting: an exception to serving, the operation is carried out while the service starts.
    announced: the service manager hears of its begin and its end. checker: only the checker may ask
    for it.
    """

    who: str
    timeout_s: float = 5.0
    serving: bool = False
    starting: bool = False
    announced: bool = False
    checker: bool = False


TABLE, CONTROL, SUPERVISOR = Carrier("table"), Carrier("control"), Carrier("supervisor")
SERVING = replace(SUPERVISOR, serving=True)
CHANGE = replace(SERVING, timeout_s=45.0)  # reading the configuration may take 30 s of these
RELOAD = replace(CHANGE, announced=True)
DISCOVER = replace(SERVING, starting=True, timeout_s=15.0)
CHECKER = replace(SUPERVISOR, checker=True)
MOVE = replace(SERVING, timeout_s=25.0)  # sessions move between workers
UPGRADE = replace(SERVING, timeout_s=55.0, announced=True)


@dataclass(frozen=True)
class Arg:
    """One argument: text, a whole number within bounds, or a flag. An option is written --name on
    the command line. many: it may be given several times, and its value is a list. of: the kind of
    thing that the argument names (pool, listener or backend), "" for none."""

    name: str
    help: str
    type: type = str
    option: bool = False
    default: Any = None
    required: bool = True
    minimum: int = 0
    maximum: int = 1 << 31
    longest: int = TEXT_MAX
    many: bool = False
    path: bool = False  # a file's path; a relative one starts at the asker's working folder
    of: str = ""

    def checked(self, value: object) -> Any:
        """Returns the value, or the default for one that is missing. Raises AdminError
        bad_argument."""
        if value is None and not self.required:
            return self.default
        if self.many:
            return self._all_checked(value)
        return self._one_checked(value)

    def _all_checked(self, value: object) -> list[Any]:
        if not isinstance(value, (list, tuple)) or len(value) > MANY_MAX:
            raise AdminError("bad_argument", f"{self.name} must be a list of at most {MANY_MAX}")
        return [self._one_checked(one) for one in value]

    def _one_checked(self, value: object) -> Any:
        if type(value) is not self.type:
            raise AdminError("bad_argument", f"{self.name} must be {KINDS[self.type]}")
        if isinstance(value, str) and len(value) > self.longest:
            maximum = f"longer than {self.longest} characters"
            raise AdminError("bad_argument", f"{self.name} is {maximum}")
        if type(value) is int and not self.minimum <= value <= self.maximum:
            raise AdminError(
                "bad_argument", f"{self.name} must be between {self.minimum} and {self.maximum}"
            )
        return value


@dataclass(frozen=True)
class Command:
    """One command: a row of commands.py. by: who carries it out.

    reads: the command changes nothing and has a result to show. tells: it changes something and has
    a result to show. streams: the name of the flag that makes the answer a stream of parts.
    recorded: whether each use goes into the record of changes (None: only commands that change
    something). alters: arguments by which a reading command changes something, as NAME or, for one
    value, as NAME=VALUE.
    """

    name: str
    help: str
    args: Sequence[Arg] = field(default=())
    by: Carrier = CONTROL
    reads: bool = False
    tells: bool = False
    verbose: bool = False  # with -v the table has more columns; --json always has everything
    streams: str = ""
    recorded: bool | None = None
    alters: Sequence[str] = ()

    def is_recorded(self, given: Mapping[str, Any]) -> bool:
        """Returns whether this use of the command goes into the record of changes."""
        if self.alters:
            return any(_is_given(given, name) for name in self.alters)
        return not self.reads if self.recorded is None else self.recorded

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns all arguments, each checked or set to its default. Raises AdminError
        bad_argument."""
        unknown = set(given) - {arg.name for arg in self.args}
        if unknown:
            first = min(map(str, unknown))[:TEXT_MAX]
            raise AdminError("bad_argument", f"{self.name} has no argument {first}")
        return {arg.name: arg.checked(given.get(arg.name)) for arg in self.args}


def _is_given(given: Mapping[str, Any], what: str) -> bool:
    """Returns whether an argument is given: NAME, or NAME=VALUE for one value."""
    name, _, value = what.partition("=")
    return given.get(name) == value if value else given.get(name) is not None
