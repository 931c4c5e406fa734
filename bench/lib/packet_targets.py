"""What stands between client and backends: a cable, the kernel, l4lb, HAProxy or nginx.

All serve one port for TCP and UDP, with one worker or thread, and spread connections over three
backends. Each is configured as in bench/lib/targets.py.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.lib.targets import first_line
from bench.lib.testbed import (
    BALANCER,
    DENIED,
    FRONT,
    INTERFACES,
    PORT,
    ROUTED,
    SERVERS,
    WIRED,
    Testbed,
    front,
    inside,
    run,
    testbed,
)

PROTOCOLS = ("tcp", "udp")
LOOK_S, KERNEL_S = 0.3, 10.0
IN_KERNEL_US = 2.0  # a worker that moves messages takes more for each


@dataclass(frozen=True)
class Target:
    """One way to the backends. program: what has to be installed."""

    name: str
    program: str = ""
    to: str = FRONT
    protocols: tuple[str, ...] = PROTOCOLS

    def version(self) -> str:
        return ""

    def refused(self, bed: Testbed) -> str:
        """Returns why the target cannot run here, "" if it can."""
        del bed
        return ""

    def betrayed(self, bed: Testbed) -> str:
        """Returns what the target does otherwise than its name says, "" if nothing."""
        del bed
        return ""

    def command(self, bed: Testbed) -> list[str]:
        """Prepares the balancer. Returns the command that serves there, empty if none does."""
        del bed
        return []


class Nftables(Target):
    """The kernel's address translation, both ways (masquerade)."""

    def version(self) -> str:
        return first_line("nft", "--version")

    def command(self, bed: Testbed) -> list[str]:
        del bed
        servers = ", ".join(f"{n} : {one}" for n, one in enumerate(SERVERS))
        rules = "\n".join(
            f"ip daddr {FRONT} {one} dport {PORT} "
            f"dnat to jhash ip saddr . {one} sport mod {len(SERVERS)} map {{ {servers} }}"
            for one in PROTOCOLS
        )
        run(
            BALANCER,
            *("nft", "-f", "-"),
            text=f"""
table ip bench {{
    chain before {{ type nat hook prerouting priority dstnat; {rules}
    }}
    chain after {{ type nat hook postrouting priority srcnat; ip daddr 10.2.0.0/16 masquerade; }}
}}
""",
        )
        return []


@dataclass(frozen=True)
class L4lb(Target):
    """l4lb. packet: its table [process.packet], as text; listener, pool: more keys of these.
    in_kernel: protocols whose bytes no worker may move. xdp: there has to be such a program."""

    packet: str = ""
    listener: str = ""
    pool: str = ""
    in_kernel: tuple[str, ...] = ()
    xdp: bool = False

    def version(self) -> str:
        return first_line(self.program, "--version")

    def refused(self, bed: Testbed) -> str:
        command = [self.program, "check", "-c", str(self._configured(bed.folder))]
        done = subprocess.run(
            inside(BALANCER, *command), capture_output=True, text=True, timeout=60, check=False
        )
        return (done.stdout + done.stderr).strip() if done.returncode else ""

    def betrayed(self, bed: Testbed) -> str:
        if self.xdp and "xdp" not in front():
            return "no XDP program is attached"
        for protocol in self.in_kernel:
            found = bed.job(LOOK_S, "rr" if protocol == "tcp" else "udp", "-c", "8")
            each = found["worker_ns"] / 1e3 / max(1.0, found["done"])
            if each > IN_KERNEL_US:
                return f"workers move the bytes of {protocol}, not the kernel ({each:.1f} us each)"
        return ""

    def _configured(self, folder: Path) -> Path:
        config = folder / "l4lb.toml"
        table = f"[process.packet]\n{self.packet}" if self.packet else ""
        backends = ", ".join(f'"{one}:{PORT}"' for one in SERVERS)
        listeners = "".join(
            f"""
[listeners.{one}]
bind = ["{FRONT}:{PORT}"]
protocol = "{one}"
pool = "bench"
{self.listener}
"""
            for one in PROTOCOLS
        )
        config.write_text(
            f"""
[process]
workers = 1
drain_timeout = "1s"
admin = "{folder}/admin.sock"
{table}
{listeners}
[pools.bench]
backends = [{backends}]
{self.pool}
"""
        )
        return config

    def command(self, bed: Testbed) -> list[str]:
        return [self.program, "run", "-c", str(self._configured(bed.folder))]


class Haproxy(Target):
    """HAProxy in tcp mode with option splice-auto."""

    def version(self) -> str:
        return first_line(self.program, "-v")

    def command(self, bed: Testbed) -> list[str]:
        config = bed.folder / "haproxy.cfg"
        servers = "\n".join(f"    server s{n} {one}:{PORT}" for n, one in enumerate(SERVERS))
        config.write_text(
            f"""
global
    nbthread 1
    maxconn 8500
    maxpipes 1000
    tune.pipesize 262144
    tune.maxpollevents 256
defaults
    mode tcp
    option splice-auto
    timeout connect 2s
    timeout client 10m
    timeout server 10m
frontend bench
    bind {FRONT}:{PORT} backlog 4096
    default_backend bench
backend bench
{servers}
"""
        )
        return [self.program, "-q", "-db", "-f", str(config)]


class Nginx(Target):
    """nginx's stream module."""

    def version(self) -> str:
        return first_line(self.program, "-v")

    def command(self, bed: Testbed) -> list[str]:
        module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        load = f"load_module {module};" if module.exists() else ""
        config = bed.folder / "nginx.conf"
        servers = " ".join(f"server {one}:{PORT};" for one in SERVERS)
        config.write_text(
            f"""
{load}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {bed.folder}/nginx.pid;
error_log {bed.folder}/error.log;
events {{ worker_connections 18000; multi_accept on; }}
stream {{
    upstream bench {{ {servers} }}
    proxy_buffer_size 64k;
    server {{ listen {FRONT}:{PORT} backlog=4096; proxy_pass bench; tcp_nodelay on; }}
    server {{
        listen {FRONT}:{PORT} udp rcvbuf=4m sndbuf=4m;
        proxy_pass bench;
        proxy_timeout 30s;
    }}
}}
"""
        )
        return [self.program, "-p", str(bed.folder), "-c", str(config)]


def _interfaces(*names: str) -> str:
    return f"interfaces = {json.dumps(names)}\n"


WIRE, ROUTING = Target("wire", to=WIRED), Target("kernel routing", to=ROUTED)
PACKET, PROXY = "l4lb packet", "l4lb proxy"
HAND_OVER, KEPT = "l4lb, sessions handed over", "l4lb, sessions kept"


def paths(l4lb: str) -> list[Target]:
    """Returns all targets of the comparison. l4lb: path of its program."""
    return [
        WIRE,
        ROUTING,
        Nftables("nftables NAT", "nft"),
        L4lb(
            PACKET,
            l4lb,
            packet=_interfaces(*INTERFACES),
            listener='data_path = "packet"',
            in_kernel=PROTOCOLS,
        ),
        L4lb(PROXY, l4lb),
        Haproxy("haproxy", "haproxy", protocols=("tcp",)),
        Nginx("nginx", "nginx"),
    ]


def hand_overs(l4lb: str) -> list[Target]:
    """Returns the targets with and without sessions in the kernel."""
    return [
        WIRE,
        ROUTING,
        L4lb(
            HAND_OVER,
            l4lb,
            packet=_interfaces(*INTERFACES),
            pool="hand_over = true",
            in_kernel=("udp",),
        ),
        L4lb(KEPT, l4lb, packet=_interfaces(*INTERFACES), pool="hand_over = false"),
        Nginx("nginx", "nginx"),
    ]


def shields(l4lb: str) -> list[Target]:
    """Returns l4lb as a proxy with each kind of shield; it refuses DENIED."""
    access = f'access = {{ deny = ["{DENIED[0]}/{DENIED[1]}"], refusal = "drop" }}'
    return [
        L4lb(
            f"shield {one}",
            l4lb,
            listener=access,
            packet=f'{_interfaces("front")}shield = "{one}"',
            xdp=one == "xdp",
        )
        for one in ("off", "tc", "xdp")
    ]


@contextlib.contextmanager
def _started(target: Target, bed: Testbed) -> Iterator[None]:
    command = target.command(bed)
    with contextlib.ExitStack() as stack:
        if command:
            bed.balancer = stack.enter_context(bed.program(BALANCER, *command))
        bed.wait(target.protocols)
        # why: workers serve until the kernel has all that it needs
        until = time.monotonic() + KERNEL_S
        while betrayed := target.betrayed(bed):
            if time.monotonic() > until:
                raise RuntimeError(betrayed)
        yield


@contextlib.contextmanager
def serving(target: Target, generator: str) -> Iterator[Testbed]:
    """Runs a testbed with the target, for the time of the block. Raises RuntimeError."""
    with testbed(generator, target.to) as bed, _started(target, bed):
        yield bed


def left_out(target: Target, generator: str) -> str:
    """Returns why the target cannot run here, "" if it can."""
    if target.program and not shutil.which(target.program):
        return f"{target.program} is not installed"
    with testbed(generator, target.to) as bed:
        refused = target.refused(bed)
        try:
            if not refused:
                with _started(target, bed):
                    pass
        except RuntimeError as error:
            return str(error)
    return refused
