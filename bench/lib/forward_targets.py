"""Forward proxies that are compared: l4lb, Squid and tinyproxy. Each has one worker, lets the
clients of this host go anywhere, keeps nothing and logs nothing.

l4lb and Squid have a list of one rule, so that they ask for a decision as they do in use. tinyproxy
has a thread for each client, and no rules but those for sources.
"""

from __future__ import annotations

from pathlib import Path

from bench.lib.targets import L4lb, Target, first_line

EVERYWHERE = "/dev/null"


class ForwardL4lb(L4lb):
    """l4lb."""

    rules = '[{ name = "all", action = "allow" }]'
    tables = ""

    def serves(self, _: int) -> str:
        return f"""
            protocol = "http"
            forward = "bench"
            http = {{ max_requests = 0 }}
            [forward.bench]
            private = "allow"
            ports = ["1-65535"]
            connect_ports = ["1-65535"]
            rules = {self.rules}
            {self.tables}
            """


class Squid(Target):
    """Squid in one process, without a cache."""

    def version(self) -> str:
        return first_line(self.program, "-v")

    def command(self, folder: Path, port: int, _: int) -> list[str]:
        config = folder / "squid.conf"
        config.write_text(
            f"""
http_port 127.0.0.1:{port}
acl everybody src all
http_access allow everybody
cache deny all
cache_mem 8 MB
access_log none
cache_store_log none
cache_log {EVERYWHERE}
pid_filename none
pinger_enable off
shutdown_lifetime 0 seconds
max_filedescriptors 8192
forwarded_for on
coredump_dir none
"""
        )
        return [self.program, "-N", "-f", str(config)]


class Tinyproxy(Target):
    """tinyproxy."""

    def version(self) -> str:
        return first_line(self.program, "-v")

    def command(self, folder: Path, port: int, _: int) -> list[str]:
        config = folder / "tinyproxy.conf"
        config.write_text(
            f"""
Port {port}
Listen 127.0.0.1
Timeout 600
LogFile "{EVERYWHERE}"
LogLevel Critical
MaxClients 2000
Allow 127.0.0.1
"""
        )
        return [self.program, "-d", "-c", str(config)]


def known(l4lb: str, squid: str, tinyproxy: str) -> list[Target]:
    """Returns all forward proxies, l4lb first, by the paths of their programs."""
    return [
        ForwardL4lb("l4lb", l4lb),
        Squid("squid", squid),
        Tinyproxy("tinyproxy", tinyproxy),
    ]
