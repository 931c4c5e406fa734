"""Programs of the kernel and their maps; see csrc/packet/bpf.h. This module is only there if libbpf
was there when the package was built."""

from collections.abc import Mapping, Sequence
from typing import Self

from l4lb.native.bpf_rows import Kind

MAPS_MAX: int
PACKET_MAX: int  # bytes of a packet that Program.run returns

class LoadError(OSError):
    """A program that cannot be loaded. said: what the kernel said about it."""

    said: str

    def __init__(self, number: int, text: str, said: str) -> None: ...

class Program:
    """A loaded program with its maps. Methods raise OSError."""

    kind: Kind

    def __new__(cls, kind: Kind) -> Self: ...
    @staticmethod
    def load(whole: bytes, kind: Kind, reuse: Mapping[str, int] | None = None) -> Program:
        """Loads the program of an object file. reuse: descriptors of maps, by name, that it takes
        instead of new ones. Raises LoadError."""

    @staticmethod
    def adopt(fds: Sequence[int], kind: Kind) -> Program:
        """Takes descriptors that `fds` of another process's program has given. EPROTO: they are
        none of this kind, and stay the caller's."""

    @property
    def fds(self) -> list[int]:
        """The descriptors of the program and its maps."""

    def fd(self, name: str) -> int:
        """Returns the descriptor of a map."""

    def close(self) -> None:
        """Closes the descriptors. A link keeps the program alive."""

    def link(self, target: int, attach: int) -> int:
        """Attaches the program by a link; returns its descriptor. EOPNOTSUPP: the kernel has no
        such link."""

    def relink(self, link: int) -> None:
        """Puts this program in the place of the link's."""

    def filter(self, interface: int, handle: int, priority: int) -> None:
        """Attaches the program as a filter of clsact; it replaces the one with this handle."""

    def put(self, name: str, key: bytes, value: bytes, absent: bool = False) -> None:
        """Writes a map's value. absent: only if the key is not there, else EEXIST."""

    def get(self, name: str, key: bytes) -> bytes | None:
        """Returns a map's value; None: the key is not there."""

    def get_all(self, name: str, key: bytes) -> list[bytes]:
        """Returns the values of all processors, of a map that has one for each."""

    def drop(self, name: str, key: bytes) -> None:
        """Removes a key, if it is there."""

    def keys(self, name: str, maximum: int) -> list[bytes]:
        """Returns at most so many keys of a map."""

    def run(
        self, packet: bytes, interface: int = 1, segments: int = 0, repeat: int = 1
    ) -> tuple[int, bytes, int]:
        """Runs the program on a packet as if it came in at the interface. Returns its answer, the
        packet that it has made of it, and nanoseconds for a run."""

def unfilter(interface: int, handle: int, priority: int) -> None:
    """Removes the filter with this handle, if it is there."""

def pin(fd: int, path: str) -> None:
    """Gives a map, program or link a name in a BPF file system: it then outlives its processes."""

def pinned(path: str) -> int:
    """Returns a descriptor of what has this name."""
