"""Lists of networks: the content of a set, read from the configuration and from files."""

from __future__ import annotations

import ipaddress
import mmap
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l4lb.config.address import unmapped
from l4lb.config.model import Config
from l4lb.config.origin import Finding
from l4lb.config.tables.admission import Access
from l4lb.errors import AdminError, ConfigError, L4lbError
from l4lb.native import sets

FILE_BYTES_MAX = 256 << 20

Stamp = tuple[int, ...]
Text = tuple[bytes, int]  # networks, one in each line, and their value


@dataclass(frozen=True)
class Content:
    """The content of a set. lists: pairs of networks as text and their value. files: pairs of a
    path and the value of its networks."""

    lists: tuple[tuple[str, int], ...]
    files: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of_access(cls, access: Access) -> Content:
        """Returns the content for a listener's access list."""
        lists = ((access.allow, sets.ALLOW), (access.deny, sets.DENY))
        files = ((access.allow_file, sets.ALLOW), (access.deny_file, sets.DENY))
        return cls(
            tuple(("\n".join(networks), value) for networks, value in lists if networks),
            tuple((path, value) for path, value in files if path),
        )

    @classmethod
    def of_networks(cls, networks: Iterable[str]) -> Content:
        """Returns the content of a set that networks are in or not in."""
        return cls((("\n".join(networks), sets.ALLOW),))

    @property
    def size(self) -> int:
        """The approximate bytes of its text. A file that cannot be looked at counts as 0."""
        files = (_stamp(path) for path, _ in self.files)
        return sum(len(text) for text, _ in self.lists) + sum(one[2] for one in files if one)

    def texts(self) -> list[tuple[Text, str]]:
        """Returns each text with a name for messages. Raises L4lbError."""
        found = [((text.encode(), value), "the configuration") for text, value in self.lists]
        for path, value in self.files:
            try:
                about = os.stat(path)
                if not stat.S_ISREG(about.st_mode):  # why: reading a pipe would wait
                    raise L4lbError(f"the list of networks {path} is no file")
                if about.st_size > FILE_BYTES_MAX:
                    raise L4lbError(f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB")
                with open(path, "rb") as file:
                    found.append(((file.read(FILE_BYTES_MAX + 1), value), path))
            except OSError as error:
                raise L4lbError(
                    f"cannot read the list of networks {path}: {error.strerror}"
                ) from error
        return found

    def build(self, area: mmap.mmap, at: int) -> int:
        """Builds the set at this place. Returns its bytes. Raises L4lbError."""
        texts = self.texts()
        try:
            return sets.build(area, at, [text for text, _ in texts])
        except sets.BadLineError as error:
            raise bad_line(error, [name for _, name in texts]) from None
        except OverflowError as error:
            raise L4lbError(str(error)) from error

    def stamps(self) -> dict[str, Stamp]:
        """Returns by path the states that show whether a file has changed. Missing files are left
        out."""
        return {path: seen for path, _ in self.files if (seen := _stamp(path)) is not None}


def bad_line(error: sets.BadLineError, names: Sequence[str]) -> L4lbError:
    """Returns the error for a line that is no network. names: the names of the texts."""
    _, index, line = error.args
    return L4lbError(f"{names[index]}:{line}: this is no network or address")


def check(config: Config) -> None:
    """Reads every list that access lists name. Raises ConfigError with all errors."""
    found: list[Finding] = []
    for name, listener in config.listeners.items():
        for key in ("allow_file", "deny_file"):
            path = getattr(listener.access, key, None)
            fault = _fault(path) if path else ""
            if fault:
                found.append(Finding(("listeners", name, "access", key), fault))
    if found:
        raise ConfigError([config.origin.problem(finding) for finding in found])


def _fault(path: str) -> str:
    """Returns the error in a list; "" if there is none."""
    with mmap.mmap(-1, sets.HALF_BYTES) as area:
        try:
            Content((), ((path, sets.ALLOW),)).build(area, 0)
        except L4lbError as error:
            return error.message
    return ""


def network_of(text: object) -> str:
    """Returns an address or network in canonical form; a network of one address becomes the
    address. Raises AdminError."""
    try:
        if "%" in str(text):  # a zone index: clients' addresses have none
            raise ValueError
        network = unmapped(ipaddress.ip_network(str(text), strict=False))
    except ValueError:
        raise AdminError(
            "bad_argument", f"{str(text)[:64]!r} is not an address or network such as 10.0.0.0/8"
        ) from None
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if alone else str(network)


def term(args: Mapping[str, Any], now_ms: int) -> tuple[int | None, int | None]:
    """Returns how long a command is in force (`for_ms`) and its end; None: it has no end. Raises
    AdminError."""
    for_ms = args.get("for_ms")
    if for_ms is None:
        return None, None
    if not isinstance(for_ms, int) or for_ms <= 0:
        raise AdminError("bad_argument", "for must be longer than 0s")
    return for_ms, now_ms + for_ms


def _stamp(path: str) -> Stamp | None:
    """Returns a value that changes when the file behind the path does; None: there is no file."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    # why st_ctime: it also shows a corrected mode, and content written with the old time kept.
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
