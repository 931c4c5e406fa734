"""The measurements of one balancer in one round, made by the load generator."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bench.lib.targets import Running

IDLE_SESSIONS = 8_000


@dataclass(frozen=True)
class Generator:
    """The load generator's program, and how long each of its jobs lasts."""

    program: str
    seconds: float

    def job(self, port: int, *args: str) -> dict[str, float]:
        """Runs one job to its end. Raises RuntimeError if it fails or does not end."""
        command = [self.program, args[0], "-p", str(port), "-t", str(self.seconds), *args[1:]]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=self.seconds + 60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        found: dict[str, float] = json.loads(done.stdout)
        return found

    @contextmanager
    def server(self) -> Iterator[int]:
        """Runs the server of all jobs for the time of the block; yields its port."""
        with subprocess.Popen(
            [self.program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            try:
                yield int(process.stdout.readline())
            finally:
                process.stdin.close()


def bulk(generator: Generator, port: int, run: Running | None, *, up: bool) -> dict[str, float]:
    """Measures Gbit/s over 8 connections, and the balancer's CPU seconds per GB."""
    before = run.cpu_seconds() if run else 0.0
    found = generator.job(port, "bulk", "-c", "8", *(["-u"] if up else []))
    way = "up" if up else "down"
    result = {f"bulk_{way}_gbit": found["gbit_per_second"], f"bulk_{way}_errors": found["errors"]}
    if run and found["bytes"]:
        used = run.cpu_seconds() - before
        result[f"bulk_{way}_cpu_s_per_gb"] = used / (found["bytes"] / 1e9)
    return result


def rate(generator: Generator, port: int, job: str) -> dict[str, float]:
    """Measures round trips (rr) or connections (conn) of 64 bytes, 64 at a time: rate and
    latency."""
    found = generator.job(port, job, "-c", "64", "-s", "64")
    return {
        f"{job}_per_second": found["per_second"],
        f"{job}_p99_us": found["p99_us"],
        f"{job}_errors": found["errors"],
    }


def idle_memory(generator: Generator, port: int, run: Running) -> dict[str, float]:
    """Measures the worker's private bytes for each idle session."""
    rate(Generator(generator.program, 0.3), port, "rr")  # takes memory that is taken only once
    before = run.private_bytes()
    with subprocess.Popen(
        [generator.program, "hold", "-p", str(port), "-c", str(IDLE_SESSIONS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        held = json.loads(process.stdout.readline())
        time.sleep(0.2)
        after = run.private_bytes()
        # The worker is the process that grew.
        grown = max(after[pid] - before[pid] for pid in before)
        process.stdin.close()
    if held["done"] < IDLE_SESSIONS:
        raise RuntimeError(f"only {held['done']} of {IDLE_SESSIONS} sessions could be held")
    return {"idle_bytes_per_session": grown / IDLE_SESSIONS}


def measure(generator: Generator, port: int, run: Running | None, what: str) -> Mapping[str, float]:
    """Runs one test by its name; run is None for the direct path."""
    if what == "bulk_down":
        return bulk(generator, port, run, up=False)
    if what == "bulk_up":
        return bulk(generator, port, run, up=True)
    if what == "memory":
        return idle_memory(generator, port, run) if run else {}
    return rate(generator, port, what)


TESTS = ("bulk_down", "bulk_up", "rr", "conn", "memory")
