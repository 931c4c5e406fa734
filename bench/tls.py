#!/usr/bin/env python3
"""TLS side by side: handshakes (full, resumed) and bulk data, one worker each, interleaved.

    .venv/bin/python bench/tls.py --rounds 5 --seconds 2 --record

Clients and server share the machine with the balancer, so the client's part of a handshake limits
the rate. The figures to compare are therefore handshakes and bytes for each second of the
balancer's own processor time. Rates are shown beside them. Only ratios within one run can be
compared.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import _loadgen  # noqa: E402 - not a package that is installed
from bench.lib.measures import Generator  # noqa: E402
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import Haproxy, L4lb, Nginx, Target, default_l4lb, running  # noqa: E402

JOBS = {"tls-full": "16", "tls-resumed": "16", "tls-bulk": "4"}


class SecureL4lb(L4lb):
    """l4lb with TLS on its listener."""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "l4lb.toml"
        row = f'{{ cert = "{CERTIFICATE}" }}'
        text = config.read_text().replace(
            'pool = "bench"', f'pool = "bench"\n            tls = {{ certificates = [{row}] }}', 1
        )
        config.write_text(text)
        return command


class SecureHaproxy(Haproxy):
    """HAProxy with TLS on its frontend; its session tickets are on by default."""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "haproxy.cfg"
        text = config.read_text().replace(
            f"bind 127.0.0.1:{port}", f"bind 127.0.0.1:{port} ssl crt {CERTIFICATE}", 1
        )
        config.write_text(text)
        return command


class SecureNginx(Nginx):
    """nginx with TLS on its server, and the session cache that its documentation recommends."""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "nginx.conf"
        more = (
            f"listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {CERTIFICATE};"
            f" ssl_certificate_key {CERTIFICATE}; ssl_protocols TLSv1.2 TLSv1.3;"
            " ssl_session_cache shared:s:10m;"
        )
        text = config.read_text().replace(f"listen 127.0.0.1:{port} backlog=4096;", more, 1)
        config.write_text(text)
        return command


CERTIFICATE = ""


def _certificate(folder: str, kind: str) -> str:
    path, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    new = ["rsa:2048"] if kind == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *new, "-nodes", "-days", "30", "-subj",
         "/CN=localhost", "-keyout", key, "-out", path], check=True, capture_output=True,
    )  # fmt: skip
    Path(path).write_bytes(Path(path).read_bytes() + Path(key).read_bytes())
    return path


def measure(generator: Generator, target: Target) -> dict[str, float]:
    """Measures one target in one round."""
    found: dict[str, float] = {}
    with generator.server() as backend, running(target, backend) as run:
        for job, connections in JOBS.items():
            before = run.cpu_seconds()
            result = generator.job(run.port, job, "-c", connections)
            used = max(run.cpu_seconds() - before, 1e-3)
            bulk = job == "tls-bulk"
            found[job] = result["gbit_per_second"] if bulk else result["per_second"]
            done = result["bytes"] * 8 / 1e9 if bulk else result["done"]
            found[f"{job} a CPU second"] = done / used
            found[f"{job} errors"] = result["errors"]
            if job == "tls-resumed":
                found["share resumed"] = result["resumed"] / max(1, result["done"])
    return found


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints the table of medians. Returns the exit status."""
    global CERTIFICATE
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of each test")
    parser.add_argument("--key", choices=("rsa", "ec"), default="rsa", help="key type")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s table")
    options = parser.parse_args(argv)
    targets = [
        SecureL4lb("l4lb", default_l4lb()),
        SecureHaproxy("haproxy", "haproxy"),
        SecureNginx("nginx", "nginx"),
    ]
    targets = [target for target in targets if target.available()]
    generator = Generator(_loadgen(), options.seconds)
    rounds: dict[str, list[dict[str, float]]] = {target.name: [] for target in targets}
    with tempfile.TemporaryDirectory(prefix="l4lb-bench-tls-") as folder:
        CERTIFICATE = _certificate(folder, options.key)
        for number in range(options.rounds):
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                rounds[target.name].append(measure(generator, target))
    names = list(rounds)
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for key in rounds[names[0]][0]:
        medians = [statistics.median(one[key] for one in rounds[name]) for name in names]
        lines.append(f"| {key} | " + " | ".join(f"{value:.2f}" for value in medians) + " |")
    about = f"`python bench/tls.py {' '.join(argv)}`: medians of {options.rounds} rounds."
    shown = "\n".join([about, "", *lines])
    print(shown)
    if options.record:
        record("tls", shown, title="TLS")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
