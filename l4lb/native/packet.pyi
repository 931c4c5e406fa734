"""The shield's program in the kernel and its maps; see packet.pyx and csrc/packet. This module is
only there if libbpf was there when the package was built: l4lb/packet/program.py."""

from collections.abc import Iterable, Sequence
from typing import Self

from l4lb.native.packet_rows import Counts, Policy, Service
from l4lb.native.table import Table

LAYOUT: int  # of the maps
MAPS: int
SERVICES_MAX: int
POLICIES_MAX: int
NETWORKS_MAX: int  # of each family, over all sets
KNOWN_MAX: int
SLICE: int  # networks that are put into the maps, or taken out, by one call
HEADERS_MAX: int  # extension headers of IPv6 that the program looks behind

class LoadError(OSError):
    """A program that cannot be loaded. said: what the kernel said about it."""

    said: str

    def __init__(self, number: int, text: str, said: str) -> None: ...

class Networks:
    """The networks of one set, under the number by which policies name it."""

    count: int  # of those in the maps

    def __new__(cls, built: bytes, number: int) -> Self:
        """built: a set as sets.build makes it."""

    def fill(self, shield: Shield) -> bool:
        """Puts the next SLICE networks into the maps. Returns False when all are there. Raises
        OverflowError if there is no room, OSError."""

    def empty(self, shield: Shield) -> bool:
        """Takes the last SLICE networks out of the maps. Returns False when none is left. No
        others are put in after that."""

class Shield:
    """A loaded program with its maps. Methods raise OSError."""

    @staticmethod
    def load(whole: bytes, is_xdp: bool = False) -> Shield:
        """Loads the program of an object file, of tc or of XDP. Raises LoadError."""

    @staticmethod
    def adopt(fds: Sequence[int]) -> Shield:
        """Takes descriptors that `fds` of another program's shield has given. EPROTO: they are no
        shield of this layout."""

    @property
    def fds(self) -> list[int]:
        """The descriptors of the program and its maps."""

    @property
    def is_xdp(self) -> bool:
        """Whether it is a program of XDP, and not of tc."""

    def close(self) -> None:
        """Closes the descriptors. A link keeps the program alive."""

    def link(self, interface: int, in_driver: bool = True) -> int:
        """Attaches the program by a link of tcx or XDP; returns its descriptor. in_driver: XDP in
        the interface's driver, or else behind it. EOPNOTSUPP: the kernel has no tcx, or the driver
        no XDP; EBUSY, EEXIST: another program of XDP is there."""

    def relink(self, link: int) -> None:
        """Puts this program in the place of the link's."""

    def filter(self, interface: int, handle: int) -> None:
        """Attaches the program as the filter of clsact with this handle."""

    def put_service(self, service: Service, listener: int, interface: int = 0) -> None:
        """Packets to this service are for the listener; interface: only those that come in there;
        0: all."""

    def drop_service(self, service: Service) -> None: ...
    def put_policy(self, listener: int, policy: Policy) -> None: ...
    def drop_policy(self, listener: int) -> None: ...
    def put_settings(self, rates: bool) -> None:
        """rates: whether a policy has a rate limit."""

    def put_known(self, client: bytes) -> None:
        """This UDP client (client_key) had a session before it was denied: its datagrams pass.
        E2BIG: there are KNOWN_MAX."""

    def drop_known(self, client: bytes) -> None: ...
    def clear_known(self) -> None: ...
    def clear(self) -> None:
        """Removes all rules; counts and known clients stay."""

    def counts(self, listener: int) -> Counts:
        """Returns the counts of a listener, over all processors."""

    def run(
        self, packet: bytes, interface: int = 1, segments: int = 0, repeat: int = 1
    ) -> tuple[int, int]:
        """Runs the program on a packet. Returns its answer (2: dropped) and ns for one run."""

class Bucket:
    """The rate limit of one source, as the program judges it. Times are in nanoseconds."""

    def complete(self, step_ns: int, burst: int, now_ns: int) -> None:
        """A handshake is completed."""

    def passes(self, step_ns: int, burst: int, now_ns: int) -> bool:
        """A SYN comes. Returns whether it may pass."""

def unfilter(interface: int, handle: int) -> None:
    """Removes the filter of clsact with this handle, if it is there."""

def client_key(listener: int, host: str, port: int) -> bytes:
    """Returns the key of a UDP client of a listener (row)."""

def udp_clients(table: Table, listeners: Iterable[int]) -> set[bytes]:
    """Returns the keys of UDP clients that have a session with one of these listeners (rows), and
    that it would turn away if they came now."""
