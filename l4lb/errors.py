"""Every exception that this program raises on purpose.

Each has a message for the person who must act, and the exit status of a program that ends with it.
This module does not know how messages are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class L4lbError(Exception):
    """Something failed. The message says what and, where that is known, what to do."""

    def __init__(self, message: str, *, exit_status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_status = exit_status


@dataclass(frozen=True)
class Problem:
    """One error in a configuration. file and line (from 1) are None if the configuration came from
    flags. key: a path such as `pools.web.backends[1].weight`, a flag, or "" for the file as a
    whole. hint: a remedy or suggestion, shown in parentheses."""

    file: str | None
    line: int | None
    key: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if place and self.line is not None:
            place += f":{self.line}"
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        return f"{text} ({self.hint})" if self.hint else text


class ConfigError(L4lbError):
    """A configuration that cannot be used, with all its errors."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)), exit_status=2)
        self.problems = tuple(problems)


class UsageError(L4lbError):
    """The command line makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_status=2)


class NoBalancerError(L4lbError):
    """No balancer answers on the admin socket."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_status=3)


class AdminError(L4lbError):
    """A running balancer refused an admin command, or it failed. code: a word for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
