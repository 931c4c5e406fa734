"""What a program of the kernel is made of, for native/bpf.pyx. It is here because that module is
only built where libbpf is."""

from __future__ import annotations

from typing import NamedTuple

SCHED_CLS, XDP, SK_LOOKUP = 3, 6, 30  # types of programs: enum bpf_prog_type
TCX_INGRESS, SK_LOOKUP_ATTACH, XDP_ATTACH = 46, 36, 37  # enum bpf_attach_type


class Map(NamedTuple):
    """A map of a program. key, value: bytes; entries 0: as the object file says. per_cpu: it has a
    value for each processor."""

    name: str
    key: int
    value: int
    entries: int = 0
    per_cpu: bool = False


class Kind(NamedTuple):
    """What is loaded of an object file. program: its name in the file; type: enum
    bpf_prog_type."""

    program: str
    type: int
    maps: tuple[Map, ...]
