#!/usr/bin/env python3
"""HTTP side by side: l4lb, HAProxy and nginx, with as many workers each, in interleaved rounds.

    .venv/bin/python bench/http.py --rounds 5 --seconds 3 --record

Client (wrk; h2load for T6 and T11), proxy and servers (nginx, keep-alive) share the machine. Its
speed changes between rounds, so requests per second prove little. What is compared is the processor
time of the proxy for each request: that of all threads of all its processes. Only ratios within one
run can be compared. l4lb-tcp is l4lb with a listener of TCP, for scale.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import about  # noqa: E402 - the tree is not a package that is installed
from bench.lib.http_targets import (  # noqa: E402
    HttpHaproxy,
    HttpL4lb,
    HttpNginx,
    Proxy,
    TcpL4lb,
    second_port,
    serving,
)
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import Running, default_l4lb, running  # noqa: E402

IDLE_CLIENTS = 2_000
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.8,de;q=0.5,fr;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://www.example.test/catalogue/2026/autumn?page=3",
    "Cookie: session=0f8b3d1c9a5e47a2b6d4f8e1c3a5b7d9; theme=dark; consent=all; visit=1764410400",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Priority: u=0, i",
)


@dataclass(frozen=True)
class Job:
    """What a client asks for. streams: of each connection, by HTTP/2; 0: HTTP/1. most: the targets,
    as parts of what HAProxy and nginx use."""

    title: str
    path: str
    connections: int = 64
    streams: int = 0
    fields: tuple[str, ...] = ()
    most: tuple[float, float] = (0.8, 0.8)


JOBS = {
    "T1": Job("64 B, 64 connections", "/64"),
    "T2": Job("64 B, 11 fields of a browser", "/64", fields=BROWSER, most=(0.8, 0.75)),
    "T3": Job("16 KiB, 64 connections", "/16k", most=(0.65, 0.65)),
    "T4": Job("1 MiB, 16 connections", "/1m", connections=16, most=(0.45, 0.35)),
    "T5": Job("64 B, a connection a request", "/64", fields=("Connection: close",),
              most=(0.85, 0.85)),
    "T6": Job("64 B by HTTP/2, 16 connections with 16 streams", "/64", 16, 16, most=(0.85, 0.5)),
}  # fmt: skip
IDLE, LATENCY = "T9", "T11"
LATENCY_CONNECTIONS = 16
TITLES = {
    IDLE: "idle client of keep-alive",
    LATENCY: "64 B at half of the rate that the slowest reached in T1",
}
UNITS = {
    "us": "CPU us a request",
    "rate": "requests/s",
    "errors": "errors",
    "private": "private bytes",
    "shared": "bytes of the shared table",
    "half": "us, half within",
    "p99": "us, 99 % within",
}


def cpu_us(run: Running) -> float:
    """Returns the processor time that all threads of a proxy have used so far."""
    used_ns = 0
    for process in run.family():
        for thread in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            used_ns += int(thread.read_text().split()[0])
    return used_ns / 1000


def asked(command: Sequence[str], seconds: float, *patterns: str) -> tuple[Any, ...]:
    """Runs a client. Returns what it printed, and where each pattern is found in it."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 60, check=True
    ).stdout
    found = [re.search(pattern, done) for pattern in patterns]
    if not all(found):
        raise RuntimeError(f"{shlex.join(command)}: {done}")
    return (done, *found)


def ask(port: int, job: Job, seconds: int) -> dict[str, float]:
    """Lets wrk ask. Returns requests, a second and in all, and those that failed."""
    fields = [part for field in job.fields for part in ("-H", field)]
    command = [
        "wrk", "-t1", f"-c{job.connections}", f"-d{seconds}s", *fields,
        f"http://127.0.0.1:{port}{job.path}",
    ]  # fmt: skip
    done, requests, rate = asked(
        command, seconds, r"(\d+) requests in ", r"Requests/sec:\s*([\d.]+)"
    )
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", done)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", done)))
    return {"requests": int(requests[1]), "rate": float(rate[1]), "errors": errors}


def ask_http2(port: int, job: Job, seconds: float) -> dict[str, float]:
    """Lets h2load ask. Returns what `ask` does."""
    command = [
        "h2load", "-t1", f"-c{job.connections}", f"-m{job.streams}", f"-D{seconds}",
        f"http://127.0.0.1:{port}{job.path}",
    ]  # fmt: skip
    _, rate, counts = asked(
        command,
        seconds,
        r"finished in [\d.]+\w+, ([\d.]+) req/s",
        r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored",
    )
    return {
        "requests": int(counts[2]),
        "rate": float(rate[1]),
        "errors": int(counts[3]) + int(counts[4]),
    }


def latency(target: Proxy, rate: float, seconds: int) -> dict[str, float]:
    """Measures how long requests take that come at this rate a second, in microseconds."""
    each = max(1, round(rate / LATENCY_CONNECTIONS))
    with running(target, target.servers[0]) as run:
        ask(run.port, JOBS["T1"], 1)
        log = run.folder / "latency"
        command = [
            "h2load", "--h1", "-t1", f"-c{LATENCY_CONNECTIONS}", f"-D{seconds}", f"--rps={each}",
            f"--log-file={log}", f"http://127.0.0.1:{run.port}/64",
        ]  # fmt: skip
        subprocess.run(command, capture_output=True, timeout=seconds + 60, check=True)
        took = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    return {
        f"{LATENCY} half": took[len(took) // 2],
        f"{LATENCY} p99": took[len(took) * 99 // 100],
    }


def memory(pid: int) -> dict[str, int]:
    """Returns the bytes that a process alone has in memory: in private mappings, and in mappings
    that it could share (l4lb's table)."""
    found = {"private": 0, "shared": 0}
    kind = "private"
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        mapping = re.match(r"[0-9a-f]+-[0-9a-f]+ ...([ps]) ", line)
        if mapping:
            kind = "private" if mapping[1] == "p" else "shared"
        elif line.startswith("Private_"):
            found[kind] += int(line.split()[1]) * 1024
    return found


def idle_bytes(run: Running) -> dict[str, float]:
    """Measures the memory of each client that has asked once and rests."""
    said = b"GET /64 HTTP/1.1\r\nHost: example.test\r\n\r\n"
    with ExitStack() as stack:

        def rest(count: int) -> None:
            for _ in range(count):
                client = stack.enter_context(
                    socket.create_connection(("127.0.0.1", run.port), timeout=10)
                )
                client.sendall(said)
                while not client.recv(65536).endswith(b"x" * 64):
                    pass

        rest(100)  # takes memory that is taken only once
        before = {one.pid: memory(one.pid) for one in run.family()}
        rest(IDLE_CLIENTS)
        time.sleep(0.2)
        after = {pid: memory(pid) for pid in before}
    # The worker is the process that grew.
    grown = {pid: sum(after[pid].values()) - sum(before[pid].values()) for pid in before}
    pid = max(grown, key=lambda one: grown[one])
    return {kind: (after[pid][kind] - before[pid][kind]) / IDLE_CLIENTS for kind in before[pid]}


def measure(target: Proxy, jobs: Sequence[str], seconds: int) -> dict[str, float]:
    """Measures one proxy in one round."""
    found: dict[str, float] = {}
    if IDLE in jobs:  # memory that other jobs have given back would be used again
        with running(target, target.servers[0]) as run:
            found |= {f"{IDLE} {kind}": size for kind, size in idle_bytes(run).items()}
    with running(target, target.servers[0]) as run:
        for name in [one for one in jobs if one in JOBS]:
            job = JOBS[name]
            if job.streams and not target.speaks_http2:
                continue
            asks, port = (ask_http2, second_port(run.folder)) if job.streams else (ask, run.port)
            asks(port, job, 1)  # connections to the servers, memory
            before = cpu_us(run)
            got = asks(port, job, seconds)
            found[f"{name} us"] = (cpu_us(run) - before) / got["requests"]
            found[f"{name} rate"] = got["rate"]
            found[f"{name} errors"] = got["errors"]
    return found


def _cell(rounds: Sequence[dict[str, float]], key: str) -> str:
    values = [one[key] for one in rounds if key in one]
    if not values:
        return "-"
    middle = statistics.median(values)
    if key.endswith("us"):
        return f"{middle:.1f} ({min(values):.1f}-{max(values):.1f})"
    return f"{middle:,.0f}"


def table(rounds: dict[str, list[dict[str, float]]], jobs: Sequence[str]) -> str:
    """Returns the table of medians, with l4lb as a part of each peer beside its target."""
    names = list(rounds)
    peers = [(name, at) for at, name in enumerate(("haproxy", "nginx")) if name in names]
    heads = [*names, *(f"l4lb / {name}" for name, _ in peers)]
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]

    def middle(name: str, key: str) -> float:
        return statistics.median(one[key] for one in rounds[name])

    for name in jobs:
        title = JOBS[name].title if name in JOBS else TITLES[name]
        units: tuple[str, ...] = ("us", "rate", "errors")
        if name not in JOBS:
            units = ("private", "shared") if name == IDLE else ("half", "p99")
        for unit in units:
            key = f"{name} {unit}"
            cells = [_cell(rounds[one], key) for one in names]
            if unit == "us":
                parts = [middle("l4lb", key) / middle(peer, key) for peer, _ in peers]
                cells += [
                    f"{part:.2f} (target {JOBS[name].most[at]:g})"
                    for part, (_, at) in zip(parts, peers, strict=True)
                ]
            else:
                cells += [""] * len(peers)
            lines.append(f"| {name} {title}: {UNITS[unit]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=int, default=3, help="duration of each test")
    parser.add_argument(
        "--only",
        choices=[*JOBS, IDLE, LATENCY],
        action="append",
        help="run only this test (repeatable)",
    )
    parser.add_argument("--workers", type=int, default=1, help="workers of each proxy")
    parser.add_argument("--access-log", action="store_true", help="each logs every request")
    parser.add_argument("--peers", default="haproxy,nginx,l4lb-tcp", help="what to compare with")
    parser.add_argument("--l4lb", default=default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--json", metavar="FILE", help="write the figures of every round")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s table")
    return parser.parse_args(argv)


def _targets(options: argparse.Namespace, servers: tuple[int, ...]) -> list[Proxy]:
    how = (options.workers, options.access_log)
    known: list[Proxy] = [
        HttpL4lb("l4lb", options.l4lb, servers, *how),
        HttpHaproxy("haproxy", "haproxy", servers, *how),
        HttpNginx("nginx", "nginx", servers, *how),
        TcpL4lb("l4lb-tcp", options.l4lb, servers, *how),
    ]
    wanted = [one for one in known if one.name in ("l4lb", *options.peers.split(","))]
    for missing in [one for one in wanted if not one.available()]:
        print(f"not installed, left out: {missing.program}", file=sys.stderr)
        wanted.remove(missing)
    return wanted


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints the table of medians. Returns the exit status."""
    options = _options(argv)
    for needed, package in (("wrk", "wrk"), ("nginx", "nginx"), ("h2load", "nghttp2-client")):
        if not shutil.which(needed):
            raise SystemExit(f"{needed} is not installed: apt-get install {package}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    jobs = options.only or [*JOBS, IDLE, LATENCY]
    if LATENCY in jobs and "T1" not in jobs:
        raise SystemExit("T11 needs the rates of T1: --only T1 --only T11")
    with serving() as servers:
        targets = _targets(options, servers)
        rounds: dict[str, list[dict[str, float]]] = {one.name: [] for one in targets}
        for number in range(options.rounds):
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                rounds[target.name].append(measure(target, jobs, options.seconds))
            if LATENCY in jobs:
                rate = min(of[-1]["T1 rate"] for of in rounds.values()) / 2
                for target in targets[turn:] + targets[:turn]:
                    rounds[target.name][-1] |= latency(target, rate, options.seconds)
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    told = about("bench/http.py", options, targets, argv)
    shown = f"{told}\n\n{table(rounds, jobs)}"
    print(shown)
    if options.json:
        Path(options.json).write_text(json.dumps({"about": told, "rounds": rounds}, indent=1))
    if options.record:
        record("http", shown, title="HTTP")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
