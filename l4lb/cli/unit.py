"""`l4lb unit`: makes the unit file for systemd, for one configuration and this installation.

The service's user is that of [process] user; else a user of its own that systemd makes, with the
groups that may read its files; else the one user who owns these files; else root without root's
rights, if some files are root's alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import click

from l4lb.cli.program import program
from l4lb.errors import L4lbError

if TYPE_CHECKING:
    from l4lb.cli.needs import Needs
    from l4lb.cli.readers import Part

DEFAULT_CONFIG = "/etc/l4lb/l4lb.toml"
STOP_MARGIN_S = 15  # after drain_timeout: remaining sessions are ended, logs are written
BIND, RAW, CHOWN = "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_CHOWN"
BPF, ADMIN = "CAP_BPF", "CAP_NET_ADMIN"  # of the packet path
BECOME = ("CAP_SETGID", "CAP_SETUID")
SEARCH = "CAP_DAC_READ_SEARCH"
# System calls beyond those of most services, and those that belong to a capability.
CALLS = ("capset", "sched_setaffinity", "setrlimit", "prlimit64", "seccomp")
RIGHTS_OF = (("CAP_CHOWN", "@chown"), ("CAP_SETUID", "@setuid"), (BPF, "bpf"))
HOMES, TEMPORARY = ("/home", "/root", "/run/user"), ("/tmp", "/var/tmp")


@dataclass(frozen=True)
class As:
    """The service's user: lines of the unit, and capabilities beyond those for serving."""

    lines: tuple[str, ...]
    ambient: bool = True  # root needs no ambient capabilities
    more: tuple[str, ...] = ()


def _places() -> tuple[str, ...]:
    """Returns the places of this installation."""
    import l4lb

    package = os.path.dirname(os.path.abspath(l4lb.__file__))
    return (program(), sys.executable, sys.prefix, sys.base_prefix, package)


def _as(need: Needs) -> As:
    from l4lb.cli.readers import ROOT, closed_parts, closed_to, group_name, user_name

    closed = closed_parts((*_places(), *need.reads))
    if need.user is not None:
        part = closed_to(need.user, closed)
        if part is None:
            return As((f"# [process] user.\nUser={need.user}",))
        said = (f"# Root starts it and it becomes [process] user, {need.user}, which cannot read",
                f"# {part.path}: a reload will fail until it can.")  # fmt: skip
        return As(said, ambient=False, more=(*BECOME, CHOWN, BIND, *_search(closed)))
    if all(one.gid is not None for one in closed):
        groups = sorted({group_name(one.gid) for one in closed if one.gid is not None})
        said = ("# A user that only this service has.", "DynamicUser=yes")
        return As((*said, *([f"SupplementaryGroups={' '.join(groups)}"] if groups else ())))
    owners = {one.uid for one in closed}
    first = next(one.path for one in closed if one.gid is None)
    why = f"# Only {user_name(min(owners))} can read {first}."
    if len(owners) == 1 and ROOT not in owners:
        return As((why, f"User={user_name(min(owners))}"))
    owner = user_name(next(one.uid for one in closed if one.gid is None))
    return As(
        (f"# Only {owner} can read {first}: so it runs as root, with none of root's rights",
         "# but those below. A group that can read it lets it run as a user of its own.",
         "User=root"),
        ambient=False,
        more=_search(closed),
    )  # fmt: skip


def _search(closed: Iterable[Part]) -> tuple[str, ...]:
    """Root without this capability reads its own files, and no closed files of others."""
    return (SEARCH,) if any(one.uid for one in closed) else ()


def _below(path: str, tops: Iterable[str]) -> bool:
    return any(path == top or path.startswith(top + "/") for top in tops)


@dataclass(frozen=True)
class Folders:
    """The folders in which the service makes files: systemd makes those below run, logs and caches;
    the others must exist."""

    run: tuple[str, ...]
    logs: tuple[str, ...]
    caches: tuple[str, ...]
    rest: tuple[str, ...]

    @classmethod
    def of(cls, makes: Iterable[str], disks: Iterable[str]) -> Folders:
        caches = sorted(one for one in disks if one.startswith("/var/cache/"))
        folders = sorted({*map(os.path.dirname, makes), *disks} - {*caches})
        run = [one for one in folders if one.startswith("/run/") and not _below(one, HOMES)]
        logs = [one for one in folders if one.startswith("/var/log/")]
        rest = [one for one in folders if one not in run and one not in logs]
        return cls(tuple(run), tuple(logs), tuple(caches), tuple(rest))


def _names(top: str, folders: Iterable[str]) -> str:
    """Returns names of folders below top, in systemd's form."""
    return " ".join(sorted({"l4lb", *(os.path.relpath(one, top) for one in folders)}))


def _mounts(need: Needs, folders: Folders) -> list[str]:
    """Returns the hidden folders that the service can see, and the folders that it may write to."""
    seen = [*_places(), *need.reads, *need.uses, *need.makes, *need.disks]
    seen += [os.path.realpath(path) for path in seen]
    lines = ["ProtectHome=" + ("read-only" if any(_below(p, HOMES) for p in seen) else "yes")]
    mine = {one for one in folders.rest if _below(one, TEMPORARY)}
    kept = {path if os.path.isdir(path) else os.path.dirname(path) for path in seen}
    kept = {one for one in kept if _below(one, TEMPORARY) and not _below(one, mine)}
    if folders.caches:
        names = (os.path.relpath(one, "/var/cache") for one in folders.caches)
        lines += ["CacheDirectory=" + " ".join(names), "CacheDirectoryMode=0700"]
    if folders.rest:
        lines += ["# These are to be there, and this user's to write in.",
                  "ReadWritePaths=" + " ".join(folders.rest)]  # fmt: skip
    lines += [f"BindReadOnlyPaths={one}" for one in sorted(kept)]
    return lines + [f"BindPaths={one}" for one in sorted(mine)]


def _words(need: Needs) -> Mapping[str, str]:
    """Returns the values of the unit's placeholders."""
    who, folders = _as(need), Folders.of(need.makes, need.disks)
    wanted = (
        (BIND, need.low_ports), (RAW, need.raw), (CHOWN, need.gives), (BPF, need.packets),
        (ADMIN, need.packets),
    )  # fmt: skip
    rights = sorted(right for right, is_wanted in wanted if is_wanted)
    held = sorted({*rights, *who.more})
    shared = any(_below(path, [*folders.run, "/run/l4lb"]) for path in need.sockets)
    return {
        "STOP": str(-(-need.drain_ms // 1000) + STOP_MARGIN_S),
        "USER": "\n".join(who.lines),
        "AMBIENT": " ".join(rights) if who.ambient else "",
        "CAPABILITIES": " ".join(held),
        "RUNTIME": _names("/run", folders.run),
        "RUNTIME_MODE": "0755" if shared else "0750",  # clients connect to a socket there
        "LOGS": _names("/var/log", folders.logs),
        "FILES": str(need.descriptors),
        "MOUNTS": "\n".join(_mounts(need, folders)),
        "CALLS": " ".join((*CALLS, *(of for right, of in RIGHTS_OF if right in held))),
    }


def _plain(paths: Iterable[str]) -> None:
    """Raises L4lbError for a path that would have another meaning in a unit."""
    for path in paths:
        if not path.isprintable() or any(one in path for one in " \"'\\%$:"):
            raise L4lbError(f"a unit file cannot say {path!r}: use a plain path without spaces")


def _need(file: str) -> Needs:
    from l4lb.cli.needs import needs
    from l4lb.config.model import Config
    from l4lb.config.reading import parse

    if os.path.lexists(file):
        return needs(parse.load(file))
    click.echo(
        f"warning: {file} is not there: this unit is for defaults; make it anew when the file is"
        " written",
        err=True,
    )
    return needs(Config())


@click.command("unit")
@click.option(
    "-c",
    "--config",
    "file",
    metavar="FILE",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration that the service will run.",
)
def command(file: str) -> int:
    """Prints a systemd unit for FILE: put it in /etc/systemd/system/l4lb.service."""
    path = os.path.abspath(file)
    need = _need(path)
    _plain((path, *_places(), *need.reads, *need.makes))
    words = {"PROGRAM": program(), "CONFIG": path, **_words(need)}
    text = (resources.files("l4lb") / "data" / "l4lb.service").read_text()
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    click.echo(text, nl=False)
    return 0
