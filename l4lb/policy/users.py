"""Users and groups in the files of Apache: htpasswd (`user:hash`) and groups (`group: user user`).

Every error names the file and the line, and none shows a hash. Nobody learns from the time of a
refusal whether a user exists: for an unknown one, the hash of a known one is computed.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from l4lb.errors import L4lbError
from l4lb.policy.hashes import NOBODYS, Hash, HashError, read_hash
from l4lb.reading import read

FILE_MAX = 16 << 20  # bytes of a file
USERS_MAX = 100_000
GROUPS_MAX = 10_000
USER_LINE_MAX = 512  # bytes of a line
GROUP_LINE_MAX = 1 << 20
NAME_MAX = 255  # bytes of a user's or a group's name


class UsersError(L4lbError):
    """A file that cannot be used. The message begins with `FILE:LINE: `."""


@dataclass(frozen=True)
class Users:
    """hashes: by user. groups: by user; may name users that have no hash. secret: no other users
    have it, nor these after their file has changed."""

    hashes: Mapping[str, Hash]
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    secret: bytes = field(default_factory=lambda: os.urandom(16), repr=False, compare=False)

    def verify(self, user: str, password: str) -> bool:
        """True if this is the user's password. Slow by intent: Hash.matches. May be called
        from any thread."""
        known, decoy = self.hashes.get(user), self._decoy(user)
        matches = (known or decoy).matches(password.encode(errors="surrogatepass"))
        return matches and known is not None

    def groups_of(self, user: str) -> frozenset[str]:
        return self.groups.get(user, frozenset())

    def _decoy(self, user: str) -> Hash:
        """Returns the hash that is computed for an unknown user: always the same for one name, and
        each of the file's kinds as often as the file has it."""
        name = user.encode(errors="surrogatepass")
        mixed = hashlib.blake2b(name, key=self.secret, digest_size=8).digest()
        order = self._order
        return order[int.from_bytes(mixed, "big") % len(order)]

    @functools.cached_property
    def _order(self) -> tuple[Hash, ...]:
        return tuple(self.hashes.values()) or (NOBODYS,)


def load(users_path: str, groups_path: str | None = None) -> Users:
    """Reads the files. Raises UsersError, or L4lbError for a file that cannot be read."""
    found = parse_users(read(users_path, FILE_MAX), users_path)
    if groups_path is None:
        return Users(found)
    return Users(found, parse_groups(read(groups_path, FILE_MAX), groups_path))


def parse_users(content: bytes, path: str) -> dict[str, Hash]:
    """Reads a file of htpasswd. path: for errors. Raises UsersError."""
    found: dict[str, Hash] = {}
    for line, text in _lines(content, path, USER_LINE_MAX):
        user, colon, hashed = text.partition(":")
        if not colon:
            raise _fault(path, line, "has no colon behind a user")
        _check_name(user, path, line, "user")
        if user in found:
            raise _fault(path, line, f"the user {user!r} is there twice")
        if len(found) >= USERS_MAX:
            raise _fault(path, line, f"more than {USERS_MAX:,} users")
        try:
            found[user] = read_hash(hashed)
        except HashError as error:
            raise _fault(path, line, f"the user {user!r} has {error}") from error
    return found


def parse_groups(content: bytes, path: str) -> dict[str, frozenset[str]]:
    """Reads a file of groups. Returns the groups of each user; lines about one group add up. path:
    for errors. Raises UsersError."""
    members: dict[str, set[str]] = {}
    for line, text in _lines(content, path, GROUP_LINE_MAX):
        group, colon, users = text.partition(":")
        if not colon:
            raise _fault(path, line, "has no colon behind a group")
        group = group.rstrip()
        _check_name(group, path, line, "group")
        members.setdefault(group, set()).update(users.split())
        if len(members) > GROUPS_MAX:
            raise _fault(path, line, f"more than {GROUPS_MAX:,} groups")
    found: dict[str, set[str]] = {}
    for group, users_in_it in members.items():
        for user in users_in_it:
            found.setdefault(user, set()).add(group)
    return {user: frozenset(groups) for user, groups in found.items()}


def _lines(content: bytes, path: str, line_max: int) -> Iterator[tuple[int, str]]:
    """Yields lines with their numbers, without empty ones and comments."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if len(line) > line_max:
            raise _fault(path, number, f"has more than {line_max:,} bytes")
        try:
            text = line.decode().rstrip(" \t\r")
        except UnicodeDecodeError:
            raise _fault(path, number, "is not UTF-8") from None
        if text and not text.startswith("#"):
            yield number, text


def _check_name(name: str, path: str, line: int, what: str) -> None:
    if not name or not name.isprintable() or name.strip() != name:
        raise _fault(path, line, f"has no {what}, or one with blanks or control characters")
    if len(name.encode()) > NAME_MAX:
        raise _fault(path, line, f"has a {what} of more than {NAME_MAX} bytes")


def _fault(path: str, line: int, what: str) -> UsersError:
    return UsersError(f"{path}:{line}: {what}")
