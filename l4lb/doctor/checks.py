"""The doctor's rules: each checks one setting of a host and says what it means for a service.

A rule returns None if there is nothing to check (no connection tracking, an older kernel). The
numbers are those of the service: sockets listen with a backlog of 4,096, a session takes two
descriptors, a pipe 256 KiB.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from l4lb.cpus import cpu_quota, usable_cpus
from l4lb.doctor.host import CAP_NET_BIND_SERVICE, CAP_SYS_RESOURCE, UNLIMITED, Host

Verdict = Literal["ok", "warn", "bad"]

BACKLOG = 4_096
SPARE_FILES = 256  # in addition to two for each session: tables, logs, pipes
PORTS_WANTED = 28_000  # the default of Linux, less a few
UDP_BUFFER = 4 << 20
PIPE_PAGES = 64  # of one pipe: 256 KiB
PIPES_WANTED = 256
OLDEST_KERNEL = (5, 14)  # tcp_migrate_req; pidfds and the rest are older


@dataclass(frozen=True)
class Need:
    """What the service on this host will need."""

    max_connections: int = 100_000
    workers: int = 1
    ports: Sequence[int] = ()
    udp: bool = False
    backends: int = 0  # 0: not known
    seccomp: Literal["auto", "on", "off"] = "auto"
    shield: Literal["tc", "xdp", "off"] = "off"
    interfaces: Sequence[str] = ()  # of the shield, and of listeners that the kernel serves
    forwards: Sequence[str] = ()  # ipv4, ipv6: of such listeners


@dataclass(frozen=True)
class Check:
    """One setting that was checked. wanted: a value that would be ok; remedy is empty if the
    setting is ok."""

    name: str
    value: str
    verdict: Verdict
    wanted: str = ""
    meaning: str = ""
    remedy: str = ""


Rule = Callable[[Host, Need], Check | None]


def judged(
    name: str,
    value: object,
    sound: bool,
    *,
    wanted: str,
    meaning: str,
    remedy: str,
    verdict: Verdict = "warn",
) -> Check:
    """Returns a check; verdict: if the setting is not sound."""
    if sound:
        return Check(name, str(value), "ok", wanted)
    return Check(name, str(value), verdict, wanted, meaning, remedy)


def _set(name: str, value: object) -> str:
    return f"sysctl -w {name}={value}   # and a line in /etc/sysctl.d/90-l4lb.conf"


def _at_least(host: Host, name: str, minimum: int, meaning: str) -> Check | None:
    value = host.sysctl(name)
    if value is None:
        return None
    return judged(
        name, value, value >= minimum, wanted=f"{minimum} or more", meaning=meaning,
        remedy=_set(name, minimum),
    )  # fmt: skip


def _kernel(host: Host, _: Need) -> Check | None:
    release = host.text("/proc/sys/kernel/osrelease") or ""
    match = re.match(r"(\d+)\.(\d+)", release)
    if match is None:
        return None
    return judged(
        "kernel", release, (int(match[1]), int(match[2])) >= OLDEST_KERNEL,
        wanted="5.14 or later",
        meaning="queued clients of a socket that closes are reset: there is no tcp_migrate_req",
        remedy="run a kernel of 5.14 or later",
    )  # fmt: skip


def _open_files(host: Host, need: Need) -> Check:
    wanted = 2 * need.max_connections + SPARE_FILES
    sessions = max(0, host.open_files - SPARE_FILES) // 2
    return judged(
        "open files",
        "unlimited" if host.open_files >= UNLIMITED else host.open_files,
        host.open_files >= wanted,
        verdict="warn" if sessions >= 1_000 else "bad",
        wanted=f"{wanted} (two for each of {need.max_connections} connections, in one worker)",
        meaning=f"a worker holds at most {sessions} sessions; more clients wait in the kernel's"
        " queue",
        remedy=f"LimitNOFILE={wanted} in the unit, or `ulimit -Hn {wanted}` before the start,"
        " or a smaller [limits] max_connections",
    )


def _nr_open(host: Host, need: Need) -> Check | None:
    meaning = "no limit on open files can be set above it"
    return _at_least(host, "fs.nr_open", 2 * need.max_connections + SPARE_FILES, meaning)


def _file_max(host: Host, need: Need) -> Check | None:
    used = host.sysctl("fs.file-nr")
    maximum = host.sysctl("fs.file-max")
    if used is None or maximum is None:
        return None
    wanted = used + 2 * need.max_connections
    return judged(
        "fs.file-max", f"{maximum} ({used} used)", maximum >= wanted, wanted=f"{wanted} or more",
        meaning="the whole host runs out of open files", remedy=_set("fs.file-max", 2 * wanted),
        verdict="bad",
    )  # fmt: skip


def _somaxconn(host: Host, _: Need) -> Check | None:
    meaning = "a burst of clients overflows the queue of a listening socket, and they wait 1 s"
    return _at_least(host, "net.core.somaxconn", BACKLOG, meaning)


def _syn_backlog(host: Host, _: Need) -> Check | None:
    meaning = "half-open connections beyond it get cookies instead of a place"
    return _at_least(host, "net.ipv4.tcp_max_syn_backlog", BACKLOG // 4, meaning)


def _port_range(host: Host, need: Need) -> Check | None:
    found = host.numbers("/proc/sys/net/ipv4/ip_local_port_range")
    if len(found) != 2:
        return None
    ports = found[1] - found[0] + 1
    name = "net.ipv4.ip_local_port_range"
    wanted = PORTS_WANTED
    if need.backends:
        wanted = min(64_511, max(PORTS_WANTED, need.max_connections // need.backends))
    return judged(
        name, f"{found[0]} {found[1]} ({ports} ports)", ports >= wanted,
        wanted=f"{wanted} ports or more",
        meaning=f"at most {ports} connections to one backend address from one source address",
        remedy=_set(name, '"16384 60999"' if need.forwards else '"1024 65535"')
        + "; or more backend addresses; or several `source`s",
    )  # fmt: skip


def _tw_reuse(host: Host, _: Need) -> Check | None:
    value = host.sysctl("net.ipv4.tcp_tw_reuse")
    if value is None:
        return None
    return judged(
        "net.ipv4.tcp_tw_reuse", value, value in (1, 2), wanted="1 or 2",
        meaning="a port that served a backend cannot serve it again for a minute",
        remedy=_set("net.ipv4.tcp_tw_reuse", 1),
    )  # fmt: skip


def _syncookies(host: Host, _: Need) -> Check | None:
    meaning = "a flood of half-open connections shuts real clients out"
    return _at_least(host, "net.ipv4.tcp_syncookies", 1, meaning)


def _migrate(host: Host, _: Need) -> Check | None:
    meaning = "clients in the queue of a worker's socket are reset when that socket closes"
    return _at_least(host, "net.ipv4.tcp_migrate_req", 1, meaning)


def _rmem(host: Host, need: Need) -> Check | None:
    return _udp_buffer(host, need, "net.core.rmem_max", "received")


def _wmem(host: Host, need: Need) -> Check | None:
    return _udp_buffer(host, need, "net.core.wmem_max", "sent")


def _udp_buffer(host: Host, need: Need, name: str, what: str) -> Check | None:
    value = host.sysctl(name)
    if value is None:
        return None
    return judged(
        name, value, value >= UDP_BUFFER or not need.udp, wanted=f"{UDP_BUFFER} or more for UDP",
        meaning=f"bursts of datagrams {what} are dropped by the kernel",
        remedy=_set(name, UDP_BUFFER),
    )  # fmt: skip


def _conntrack(host: Host, need: Need) -> Check | None:
    name = "net.netfilter.nf_conntrack_max"
    maximum = host.sysctl(name)
    if maximum is None:
        return None
    count = host.sysctl("net.netfilter.nf_conntrack_count") or 0
    wanted = count + 2 * need.max_connections
    return judged(
        name, f"{maximum} ({count} used)", maximum >= wanted, wanted=f"{wanted} or more",
        meaning="when the table of connection tracking is full the kernel drops new connections",
        remedy=_set(name, wanted) + "; or `notrack` rules for the balancer's ports",
    )  # fmt: skip


def _pipe_size(host: Host, _: Need) -> Check | None:
    meaning = "bulk transfers move in smaller pieces, at more CPU time"
    return _at_least(host, "fs.pipe-max-size", PIPE_PAGES * 4096, meaning)


def _pipe_pages(host: Host, _: Need) -> Check | None:
    name = "fs.pipe-user-pages-soft"
    value = host.sysctl(name)
    if value is None:
        return None
    free = value == 0 or host.may(CAP_SYS_RESOURCE)
    shown = f"{value} (does not bind this user)" if free and value else value
    return judged(
        name, shown, free or value >= PIPES_WANTED * PIPE_PAGES,
        wanted=f"{PIPES_WANTED * PIPE_PAGES} or more, or 0",
        meaning=f"only {value // PIPE_PAGES} pipes of full size for this user; the rest of the"
        " bulk transfers is copied",
        remedy=_set(name, 0),
    )  # fmt: skip


def _processes(host: Host, need: Need) -> Check:
    wanted = need.workers + 16
    shown = "unlimited" if host.processes >= UNLIMITED else host.processes
    return judged(
        "processes", shown, host.is_root or host.processes >= wanted, wanted=f"{wanted} or more",
        meaning="a worker that died may not be replaced", verdict="bad",
        remedy=f"LimitNPROC={wanted} or more in the unit, or `ulimit -Hu`",
    )  # fmt: skip


def _cpu_quota(host: Host, need: Need) -> Check | None:
    quota = cpu_quota(host.root)
    if quota is None:
        return None
    maximum = usable_cpus(host.root, host.cpus)
    return judged(
        "CPU quota", f"{quota:.3g} CPUs", math.ceil(quota) >= need.workers,
        wanted=f"{need.workers} or more, for {need.workers} workers",
        meaning="the kernel stops all workers for the rest of each period once it is used up:"
        " pauses of tens of milliseconds",
        remedy=f"raise the quota (CPUQuota=), or [process] workers = {maximum}",
    )  # fmt: skip


def _workers(host: Host, need: Need) -> Check:
    return judged(
        "workers", f"{need.workers} on {host.cpus} CPUs", need.workers <= host.cpus,
        wanted=f"{host.cpus} or fewer",
        meaning="workers share CPUs: each is pinned to one, and waits while another runs there",
        remedy=f"[process] workers = {usable_cpus(host.root, host.cpus)}, or let it run on more"
        " CPUs (CPUAffinity=, AllowedCPUs=, taskset)",
    )  # fmt: skip


def _io_limit(host: Host, _: Need) -> Check | None:
    found = host.cgroup("io.max")
    if not found:
        return None
    return Check(
        "I/O limit", " ".join(found.split()), "warn", "none",
        "an access log to a file may fall behind; its records are then dropped and counted",
        "lift it (IOWriteBandwidthMax=, IOWriteIOPSMax=), or log to journald or syslog",
    )  # fmt: skip


def _clock(host: Host, _: Need) -> Check | None:
    path = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    source = host.text(path)
    if source is None:
        return None
    slow = source in ("hpet", "acpi_pm", "pit", "jiffies")
    return judged(
        "clock source", source, not slow, wanted="one that is read without a system call",
        meaning="each look at the clock costs a microsecond",
        remedy=f"echo tsc > {path}, if it is among available_clocksource",
    )  # fmt: skip


def _low_ports(host: Host, need: Need) -> Check | None:
    start = host.sysctl("net.ipv4.ip_unprivileged_port_start") or 1024
    low = [port for port in need.ports if 0 < port < start]
    if not low:
        return None
    return judged(
        "ports below " + str(start), ", ".join(map(str, low)),
        host.is_root or host.may(CAP_NET_BIND_SERVICE), wanted="the right to bind them",
        meaning="the service cannot start", verdict="bad",
        remedy="AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or"
        f" `sysctl -w net.ipv4.ip_unprivileged_port_start={min(low)}`",
    )  # fmt: skip


def _seccomp(host: Host, need: Need) -> Check | None:
    if host.seccomp is None:
        return None
    shown = f"none: {host.seccomp}" if host.seccomp else "of workers and the checker"
    return judged(
        "seccomp filters",
        "none: [process] seccomp is off" if need.seccomp == "off" else shown,
        not host.seccomp or need.seccomp == "off",
        verdict="bad" if need.seccomp == "on" else "warn",
        wanted="libseccomp 2.5 or later, pyseccomp, a kernel with filters",
        meaning="whoever takes a worker over may make every system call"
        + ("; the service does not start" if need.seccomp == "on" else ""),
        remedy="pip install 'l4lb[seccomp]' where l4lb is installed, and libseccomp (Debian:"
        ' apt install libseccomp2); or [process] seccomp = "off"',
    )


RULES: Sequence[Rule] = (
    _kernel, _open_files, _nr_open, _file_max, _processes, _somaxconn, _syn_backlog, _syncookies,
    _port_range, _tw_reuse, _migrate, _rmem, _wmem, _conntrack, _pipe_size, _pipe_pages,
    _workers, _cpu_quota, _io_limit, _clock, _low_ports, _seccomp,
)  # fmt: skip


def examine(host: Host, need: Need) -> Iterator[Check]:
    """Yields the result of every rule that has one."""
    for rule in RULES:
        found = rule(host, need)
        if found is not None:
            yield found
