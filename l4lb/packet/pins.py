"""The names of the program's maps and links in a BPF file system. What has a name there outlives
all processes of the service: the kernel goes on forwarding, and the next service takes it over.

    FOLDER/SERVICE/v1/maps/...    FOLDER/SERVICE/v1/links/INTERFACE
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from l4lb.packet.tables import LAYOUT

BPF_FS_MAGIC = 0xCAFE4A11  # linux/magic.h
FILE_SYSTEM = "/sys/fs/bpf"  # where systems have one
NAME_MAX = 64
_libc = ctypes.CDLL(None, use_errno=True)


def name_of(admin: str) -> str:
    """Returns the name of a service, by the path of its admin socket: only one service has that.
    why no dots: a BPF file system allows none."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", admin).strip("_")[-NAME_MAX:]


class Pins:
    """The folder of one service. Methods raise OSError. fds: its open folders, from an earlier
    program. why open: a service that has given up root's rights finds no way to them."""

    def __init__(self, folder: str, admin: str, fds: Mapping[str, int] | None = None) -> None:
        self.service = Path(folder) / name_of(admin)
        self.path = self.service / f"v{LAYOUT}"
        self.fds = dict(fds or {})

    def make(self) -> None:
        """Makes the folder; mounts the file system at its usual place if that is bare."""
        if self.fds:
            return
        _mount_if_bare(self.path)
        for one in (self.path / "maps", self.path / "links"):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_bpf(self.path):
            raise OSError(0, f"{self.path} is in no BPF file system (mount -t bpf bpf FOLDER)")
        for kind in ("maps", "links"):
            self.fds[kind] = os.open(self.path / kind, os.O_DIRECTORY | os.O_CLOEXEC)

    def give(self, uid: int, gid: int) -> None:
        """Gives the folders to the user that the service becomes."""
        for fd in self.fds.values():
            os.fchown(fd, uid, gid)

    def remove_others(self) -> bool:
        """Removes what programs of other layouts have left: this one cannot take it over. Returns
        whether there was something."""
        found = self.service.is_dir() and [
            one for one in self.service.iterdir() if one != self.path
        ]
        for one in found or ():
            shutil.rmtree(one, ignore_errors=True)
        return bool(found)

    def maps(self) -> dict[str, int]:
        """Returns descriptors of the maps that are there, by name."""
        return self._open("maps")

    def links(self) -> dict[str, int]:
        """Returns descriptors of the links that are there, by interface."""
        return self._open("links")

    def _open(self, kind: str) -> dict[str, int]:
        from l4lb.native.bpf import pinned

        folder = self.path / kind
        names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
        found: dict[str, int] = {}
        for name in names:
            with contextlib.suppress(OSError):
                found[_plain(name)] = pinned(str(folder / name))
        return found

    def put(self, kind: str, fds: Mapping[str, int]) -> None:
        """Gives these their names, in place of others."""
        from l4lb.native.bpf import pin

        folder = self.fds[kind]
        for name in set(os.listdir(folder)) - {_file(name) for name in fds}:
            os.unlink(name, dir_fd=folder)  # of an interface that is not used any more
        for name, fd in fds.items():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_file(name), dir_fd=folder)
            pin(fd, f"/proc/self/fd/{folder}/{_file(name)}")

    def remove(self) -> None:
        """Removes all names. A link without another descriptor is then detached."""
        for folder in self.fds.values():
            for name in os.listdir(folder):
                os.unlink(name, dir_fd=folder)
            os.close(folder)
        self.fds = {}
        shutil.rmtree(self.service, ignore_errors=True)


def _file(name: str) -> str:
    """Returns a name that a BPF file system allows: interfaces may have dots (VLANs)."""
    return name.replace("%", "%25").replace(".", "%2e")


def _plain(name: str) -> str:
    return name.replace("%2e", ".").replace("%25", "%")


def is_bpf(path: Path) -> bool:
    """Returns whether the path is in a BPF file system."""
    room = (ctypes.c_ulong * 32)()  # struct statfs begins with its type
    return _libc.statfs(os.fsencode(path), room) == 0 and room[0] == BPF_FS_MAGIC


def _mount_if_bare(path: Path) -> None:
    if path.is_relative_to(FILE_SYSTEM) and not is_bpf(Path(FILE_SYSTEM)):
        _libc.mount(b"bpf", FILE_SYSTEM.encode(), b"bpf", 0, b"mode=0700")  # else `make` says it
