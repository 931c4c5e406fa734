"""A list of a million names: its memory, the time of a look-up, and of a change under traffic.

Half of the hosts that are looked up are two labels below a name of the list, the other half are
below none. The change puts one more name into the file, which then has as many as before and one.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from pathlib import Path

from bench.lib.forward_targets import ForwardL4lb
from bench.lib.http_targets import serving
from bench.lib.targets import running
from l4lb.lists.build import NameList

TOP = Path(__file__).resolve().parents[2]
SOURCES = ("bench/lib/name_lookups.c", "csrc/core/names.c", "csrc/base/hash.c")
OURS, LIST = "l4lb", "names.txt"
PROBES = 1_000_000
CHANGES = 5
LOOK_S = 0.02  # between two looks whether a change is in force
PATIENCE_S = 60.0
TARGET_MIB, TARGET_US, TARGET_S = 20, 0.5, 3
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _name(rng: random.Random, number: int) -> str:
    """Returns a name that no other number has."""
    word = "".join(rng.choices(LETTERS, k=rng.randint(4, 12)))
    return f"{word}-{number:x}.{rng.choice(('com', 'net', 'org', 'co.uk', 'example'))}"


def _hosts(rng: random.Random, names: list[str]) -> list[str]:
    return [
        f"www.{number:x}.{rng.choice(names)}" if number % 2 else f"www.cdn.absent-{number:x}.com"
        for number in range(PROBES)
    ]


def lookup_us(made: NameList, hosts: list[str]) -> float:
    """Returns the microseconds of one look-up. Each host is looked up once, in random order."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "name_lookups.so"
        flags = ["-std=c11", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE", "-Icsrc"]
        subprocess.run(["cc", *flags, *SOURCES, "-o", str(built)], cwd=TOP, check=True)
        found_in = ctypes.CDLL(str(built)).names_found
    found_in.restype = ctypes.c_int64
    packed = b"".join(bytes([len(host)]) + host.encode() for host in hosts)
    with mmap.mmap(made.fd, made.bytes, flags=mmap.MAP_PRIVATE) as memory:
        room = (ctypes.c_char * made.bytes).from_buffer(memory)
        begun = time.perf_counter()
        found = found_in(room, ctypes.c_size_t(made.bytes), packed, ctypes.c_uint32(len(hosts)))
        took_s = time.perf_counter() - begun
        del room
    assert found == len(hosts) // 2, found
    return took_s / len(hosts) * 1e6


class _Traffic:
    """Requests of one client after the other: for a host that is allowed, and for one of the list
    that nobody has asked for, so that a decision must be made. `wrong`: other answers than these
    two should have."""

    def __init__(self, port: int, server: int, names: list[str]) -> None:
        self.took_s: list[float] = []
        self.wrong: list[tuple[str, int]] = []
        self._stop = threading.Event()
        self._ways = ((f"http://127.0.0.1:{server}/64", 200), ("", 403))
        self._port, self._names = port, names
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rng, client = random.Random(2), HTTPConnection("127.0.0.1", self._port, PATIENCE_S)
        while not self._stop.is_set():
            for url, status in self._ways:
                begun = time.perf_counter()
                got = status_of(client, url or f"http://{rng.choice(self._names)}/")
                self.took_s.append(time.perf_counter() - begun)
                if got != status:
                    self.wrong.append((url, got))
        client.close()


def status_of(client: HTTPConnection, url: str) -> int:
    """Asks for a URL. Returns the answer's status."""
    client.request("GET", url)
    answer = client.getresponse()
    answer.read()
    return answer.status


class _Listed(ForwardL4lb):
    """l4lb with a list that refuses names."""

    names: Sequence[str] = ()
    rules = (
        '[{ name = "listed", list = ["bench"], action = "deny" },'
        ' { name = "all", action = "allow" }]'
    )

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        (folder / LIST).write_text("\n".join(self.names) + "\n")
        # Nothing answers there: names that are allowed are refused in another way, and soon.
        self.tables = f"""
            resolve = {{ servers = ["127.0.0.1:{port}"], timeout = "200ms" }}
            policy_timeout = "5s"
            [lists.bench]
            files = ["{folder}/{LIST}"]"""
        return super().command(folder, port, backend)


def change_s(port: int, file: Path, names: list[str], added: str) -> float:
    """Puts a name into the list. Returns the seconds until it is refused."""
    beside = file.with_name("beside.txt")
    beside.write_text("\n".join([*names, added]) + "\n")
    client = HTTPConnection("127.0.0.1", port, PATIENCE_S)
    assert status_of(client, f"http://{added}/") != 403
    begun = time.monotonic()
    beside.rename(file)
    while status_of(client, f"http://{added}/") != 403:
        if time.monotonic() - begun > PATIENCE_S:
            raise RuntimeError("a changed list was not read")
        time.sleep(LOOK_S)
    client.close()
    return time.monotonic() - begun


def _wait_for_list(port: int, name: str) -> None:
    client, begun = HTTPConnection("127.0.0.1", port, PATIENCE_S), time.monotonic()
    while status_of(client, f"http://{name}/") != 403:
        if time.monotonic() - begun > PATIENCE_S:
            raise RuntimeError("the list was not read")
    client.close()


def table(build: Callable[[list[str]], NameList], l4lb: str, count: int, rounds: int) -> str:
    """Measures, and returns the table of medians. build: l4lb.lists.build.build."""
    rng = random.Random(1)
    names = [_name(rng, number) for number in range(count)]
    hosts = _hosts(rng, names)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "names.txt"
        file.write_text("\n".join(names) + "\n")
        begun = time.perf_counter()
        made = build([str(file)])
        build_s = time.perf_counter() - begun
        took_us = [lookup_us(made, hosts) for _ in range(rounds)]
        made.close()
    listed = _Listed(OURS, l4lb)
    listed.names = names
    with serving(1) as (server,), running(listed, server) as run:
        _wait_for_list(run.port, names[0])
        with _Traffic(run.port, server, names) as traffic:
            changes = [
                change_s(run.port, run.folder / LIST, names, f"added-{number}.example")
                for number in range(CHANGES)
            ]
    if traffic.wrong:
        raise RuntimeError(f"wrong answers meanwhile: {traffic.wrong[:5]}")
    return _shown(made, build_s, took_us, changes, traffic)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _shown(
    made: NameList, build_s: float, took_us: list[float], changes: list[float], traffic: _Traffic
) -> str:
    late_ms = sorted(one * 1000 for one in traffic.took_s)
    rows = [
        ("memory, once for all processes: MiB", f"{made.bytes / (1 << 20):.1f}", TARGET_MIB),
        ("a look-up: us", _spread(took_us), TARGET_US),
        ("to read the file: s", f"{build_s:.2f}", None),
        ("until a change is in force, under traffic: s", _spread(changes), TARGET_S),
        ("requests meanwhile, none answered wrongly", f"{len(late_ms):,}", None),
        (
            "the longest of them, and 99 % within: ms",
            f"{late_ms[-1]:.0f}, {late_ms[len(late_ms) * 99 // 100]:.1f}",
            None,
        ),
    ]
    lines = [f"| a list of {made.names:,} names | l4lb | target |", "| --- | ---: | ---: |"]
    lines += [
        f"| {title} | {value} | {f'<= {target:g}' if target else ''} |"
        for title, value, target in rows
    ]
    return "\n".join(lines)
