"""l4lb with injected faults, run as a script in place of the installed program.

The file that $L4LB_TEST_FAULT names says what raises next, once: `request NAME`, `timer`, `signal`,
`descriptor`, or `call MODULE.CLASS.METHOD`. The file is removed when the fault has been raised. The
names of all requests are written beside it, in `.known`.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

from l4lb.cli.main import main
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.requests.requests import Requests

PATH = os.environ.get("L4LB_TEST_FAULT", "/nonexistent")
OWNER = os.getpid()


class InjectedError(Exception):
    """An exception that no code expects."""


def wanted() -> str:
    try:
        with open(PATH) as file:
            return file.read() if os.getpid() == OWNER else ""
    except FileNotFoundError:
        return ""


def faulty(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def raises(*args: Any, **named: Any) -> Any:
        if wanted() == what:
            os.unlink(PATH)
            raise InjectedError(what)
        return function(*args, **named)

    return raises


class Faulty(dict[str, Any]):
    """Functions by name, each of which raises when it is told to."""

    kind = ""

    def get(self, key: str, default: Any = None) -> Any:
        found = super().get(key, default)
        with open(PATH + ".known.new", "w") as file:
            file.write("\n".join(f"{one.kind} {name}" for one in tables for name in one))
        os.rename(PATH + ".known.new", PATH + ".known")  # never read half
        return found and faulty(f"{self.kind} {key}", found)


tables: list[Faulty] = []


def with_faulty(made: type, attribute: str, kind: str) -> None:
    start = made.__init__  # type: ignore[misc]

    def init(self: Any, *args: Any, **named: Any) -> None:
        start(self, *args, **named)
        table = Faulty(getattr(self, attribute))
        table.kind = kind
        tables.append(table)
        setattr(self, attribute, table)

    made.__init__ = init  # type: ignore[misc]


def patch_call(name: str) -> None:
    owner, _, method = name.rpartition(".")
    module, _, made = owner.rpartition(".")
    target = getattr(importlib.import_module(module), made)
    setattr(target, method, faulty(f"call {name}", getattr(target, method)))


with_faulty(Requests, "_operations", "request")
for one in filter(None, os.environ.get("L4LB_TEST_CALLS", "").split(",")):
    patch_call(one)
Made: Any = Reactor
watch, after, on_signals = Made.watch, Made.after, Made.on_signals
Made.watch = lambda self, fd, callback: watch(self, fd, faulty("descriptor", callback))
Made.after = lambda self, ms, callback: after(self, ms, faulty("timer", callback))
Made.on_signals = lambda self, handlers: on_signals(
    self, {number: faulty("signal", handler) for number, handler in handlers.items()}
)

if __name__ == "__main__":
    main()
