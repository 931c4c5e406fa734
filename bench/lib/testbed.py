"""Network namespaces for one balancer: client - balancer - three backends, and cables around it.

    client front ---- front balancer back1 ---- eth0 backend1      10.1.0.0/24, 10.2.1.0/24, ...
      |                              back2 ---- eth0 backend2
      |                              back3 ---- eth0 backend3
      +--------- wire1, wire2, wire3: a cable to each backend      10.3.1.0/24, ...

Every cable is a veth pair. All backends have the addresses ROUTED and WIRED. The balancer's kernel
routes ROUTED, and the client's kernel WIRED, to one of the backends by a hash of the connection.
Their servers listen at one of these or, behind a balancer, at the backend's own address.

Everything is inside a mount namespace of this process (enter), so that nothing is left when the
process has ended, however it ends. Needs root, iproute2 and util-linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INSIDE = "--inside"  # this process is in its own namespaces
CLIENT, BALANCER = "client", "balancer"
BACKENDS = ("backend1", "backend2", "backend3")
FRONT, ROUTED, WIRED = "10.1.0.1", "10.9.0.1", "10.9.0.2"
SOURCES, WIRE_SOURCES = "10.1.0.11", "10.4.0.11"  # the first of eight
SERVERS = ("10.2.1.2", "10.2.2.2", "10.2.3.2")
INTERFACES = ("front", "back1", "back2", "back3")  # of the balancer
DENIED = ("198.18.0.0", 15)  # sources of floods: a network for benchmarks (RFC 2544)
PORT = 7000
START_S, END_S, PROBE_S = 20.0, 5.0, 0.2
CLONE_NEWNET = 0x40000000
SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/fib_multipath_hash_policy": "1",  # by addresses and ports
}


def enter(script: str, argv: Sequence[str]) -> None:
    """Runs the script again in namespaces of its own; returns if it is there."""
    if INSIDE in argv:
        Path("/run/netns").mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
        # why: what a balancer pins in the kernel's file system is gone with this process
        subprocess.run(["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"], check=False)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return
    if os.getuid() != 0:
        raise SystemExit("network namespaces need root")
    command = ["unshare", "--net", "--mount", sys.executable, script, *argv, INSIDE]
    os.execvp(command[0], command)


def inside(name: str, *command: str) -> list[str]:
    """Returns the command that runs a program in a namespace, and ends it with this process."""
    return ["setpriv", "--pdeathsig", "TERM", "nsenter", f"--net=/run/netns/{name}", *command]


@contextlib.contextmanager
def in_namespace(name: str) -> Iterator[None]:
    """Puts this thread into the namespace. Sockets that are made meanwhile stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(before, CLONE_NEWNET)
        os.close(before)
        os.close(there)


def run(name: str, *command: str, text: str = "") -> str:
    """Runs a program in a namespace to its end. Raises RuntimeError with what it said."""
    done = subprocess.run(
        inside(name, *command), input=text, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def front() -> dict[str, Any]:
    """Returns what iproute2 says of the balancer's interface for clients."""
    (found,) = json.loads(run(BALANCER, "ip", "-j", "link", "show", "front"))
    return dict(found)


def _addresses() -> dict[str, list[str]]:
    """Returns the lines for `ip -batch` of each namespace."""
    many = "".join(f" nexthop via 10.2.{n}.2" for n in (1, 2, 3))
    found = {
        CLIENT: [
            "addr add 10.1.0.2/24 dev front",
            *(f"addr add 10.1.0.{n}/24 dev front" for n in range(11, 19)),
            *(f"addr add 10.4.0.{n}/32 dev lo" for n in range(11, 19)),
            *(f"addr add 10.3.{n}.1/24 dev wire{n}" for n in (1, 2, 3)),
        ],
        BALANCER: [
            f"addr add {FRONT}/24 dev front",
            *(f"addr add 10.2.{n}.1/24 dev back{n}" for n in (1, 2, 3)),
        ],
    }
    up = {CLIENT: ("front", "wire1", "wire2", "wire3"), BALANCER: INTERFACES}
    for name, links in up.items():
        found[name] += [f"link set {link} up" for link in ("lo", *links)]
    found[CLIENT].append(f"route add default via {FRONT}")
    found[CLIENT].append(f"route add {WIRED}" + many.replace("10.2.", "10.3."))
    found[BALANCER].append(f"route add {ROUTED}{many}")
    found[BALANCER].append(f"route add {DENIED[0]}/{DENIED[1]} via 10.1.0.2")
    for n, name in enumerate(BACKENDS, 1):
        found[name] = [
            *(f"addr add {address}/32 dev lo" for address in (ROUTED, WIRED)),
            f"addr add 10.2.{n}.2/24 dev eth0",
            f"addr add 10.3.{n}.2/24 dev wire",
            *(f"link set {link} up" for link in ("lo", "eth0", "wire")),
            f"route add default via 10.2.{n}.1",
            f"route add 10.4.0.0/24 via 10.3.{n}.1",
        ]
    return found


def _make_network() -> None:
    cables = [("front", CLIENT, "front", BALANCER)]
    for n, name in enumerate(BACKENDS, 1):
        cables += [("eth0", name, f"back{n}", BALANCER), ("wire", name, f"wire{n}", CLIENT)]
    for name in (CLIENT, BALANCER, *BACKENDS):
        subprocess.run(["ip", "netns", "add", name], check=True)
        with in_namespace(name):
            for key, value in SYSCTLS.items():
                Path("/proc/sys", key).write_text(value)
    for link, name, other, there in cables:
        subprocess.run(
            ["ip", "link", "add", link, "netns", name, "type", "veth",
             "peer", "name", other, "netns", there],
            check=True,
        )  # fmt: skip
    for name, lines in _addresses().items():
        subprocess.run(["ip", "-n", name, "-batch", "-"], input="\n".join(lines), text=True,
                       check=True)  # fmt: skip
    run(BALANCER, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def _spent_ns(pids: Sequence[int]) -> int:
    """Returns the processor time of all threads of these processes so far."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # why: a thread may end meanwhile
                total += int(thread.read_text().split()[0])
    return total


def _comm(pid: int) -> str:
    with contextlib.suppress(OSError):  # why: the process may have ended
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def _named(word: str) -> list[int]:
    pids = [int(one.name) for one in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if _comm(pid).startswith(word)]


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in tasks.read_text().split():
                found += _descendants(int(child))
    return found


def end(process: subprocess.Popen[str]) -> None:
    """Ends the process group."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Testbed:
    """The namespaces with their servers. generator: path of l4lb-loadgen."""

    generator: str
    folder: Path
    to: str
    servers: list[subprocess.Popen[str]] = field(default_factory=list)
    balancer: subprocess.Popen[str] | None = None

    @property
    def source(self) -> str:
        return WIRE_SOURCES if self.to == WIRED else SOURCES

    def job(self, seconds: float, *args: str) -> dict[str, float]:
        """Runs a job of the load generator on the client. The result has the processor time
        of spent_ns() that was used meanwhile."""
        where = ["-a", self.to, "-p", str(PORT), "-f", self.source, "-t", str(seconds)]
        command = inside(CLIENT, self.generator, args[0], *where, *args[1:])
        before = self.spent_ns()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 60, check=False
        )
        after = self.spent_ns()
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        found: dict[str, float] = json.loads(done.stdout)
        return found | {key: after[key] - before[key] for key in after}

    def spent_ns(self) -> dict[str, int]:
        """Returns the processor time so far. balancer_ns: of the balancer's processes, worker_ns:
        of those called worker. cpu_ns: of the balancer's, of servers, of the kernel's softirq
        threads, and of programs that have ended."""
        family = _descendants(self.balancer.pid) if self.balancer else []
        workers = _spent_ns([pid for pid in family if "worker" in _comm(pid)])
        balancer = _spent_ns(family)
        servers = _spent_ns([pid for one in self.servers for pid in _descendants(one.pid)])
        kernel = _spent_ns(_named("ksoftirqd/"))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = int((used.ru_utime + used.ru_stime) * 1e9)
        cpu = balancer + servers + kernel + ended
        return {"balancer_ns": balancer, "worker_ns": workers, "cpu_ns": cpu}

    @contextlib.contextmanager
    def program(self, name: str, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Runs a program in a namespace for the time of the block. What it says goes to a file."""
        with (self.folder / f"{name}.log").open("w") as output:
            process = subprocess.Popen(
                inside(name, *command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end(process)

    def said(self) -> str:
        """Returns the last lines of what the balancer said."""
        log = self.folder / f"{BALANCER}.log"
        return "\n".join(log.read_text().splitlines()[-5:]) if log.exists() else ""

    def wait(self, protocols: Sequence[str]) -> None:
        """Waits until the servers are reached. Raises RuntimeError."""
        until = time.monotonic() + START_S
        for protocol in protocols:
            reached = 0
            while reached < 2 * len(BACKENDS):  # why: each of them has then its neighbours
                reached += _echoed(self.source, self.to, protocol)
                gone = self.balancer is not None and self.balancer.poll() is not None
                if gone or time.monotonic() > until:
                    raise RuntimeError(f"no {protocol} echo: {self.said()}")


def _echoed(source: str, to: str, protocol: str) -> bool:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with in_namespace(CLIENT), socket.socket(socket.AF_INET, kind) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.bind((source, 0))
            probe.connect((to, PORT))
            probe.send(b"Echo")
            return probe.recv(100) == b"Echo"
        except OSError:
            time.sleep(0.02)
            return False


@contextlib.contextmanager
def testbed(generator: str, to: str) -> Iterator[Testbed]:
    """Yields the namespaces with a server on each backend, for clients that connect to ROUTED,
    WIRED or FRONT."""
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="l4lb-bench-"))
        stack.callback(_remove_network)
        _make_network()
        bed = Testbed(generator, Path(name), to)
        for backend, own in zip(BACKENDS, SERVERS, strict=True):
            # why: a server of UDP that is bound to all addresses may answer from another
            at = own if to == FRONT else to
            serve = (generator, "serve", "-a", at, "-p", str(PORT))
            bed.servers.append(stack.enter_context(bed.program(backend, *serve)))
        yield bed


def _remove_network() -> None:
    for name in (CLIENT, BALANCER, *BACKENDS):
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
