"""HTTP caches that are compared, each in memory and with one worker, in front of one server whose
answers may be kept. All of them log nothing.

nginx has no cache in memory alone: its files are on a file system in memory (/dev/shm).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.lib.http_targets import HttpHaproxy, HttpL4lb, HttpNginx, Proxy, _nginx, ended_with
from bench.lib.targets import first_line, free_port

KEPT_S = 3600


class CachedL4lb(HttpL4lb):
    """l4lb with a cache in memory."""

    more = (
        '\n            protocol = "http"\n            http = { max_requests = 0, cache = "bench" }'
    )
    tables = '\n            [cache.bench]\n            memory = "256MiB"'

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "l4lb.toml"
        config.write_text(config.read_text() + self.tables)
        return command


class OnDiskL4lb(CachedL4lb):
    """l4lb with a cache on disk, whose files are in memory as nginx's are. What is larger than
    256 KiB is there only."""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        files = Path(tempfile.mkdtemp(prefix="l4lb-bench-cache-", dir="/dev/shm"))
        (folder / "cache-files").symlink_to(files)
        disk = f'{{ path = "{files}/l4lb", size = "256MiB" }}'
        self.tables = (
            f'{CachedL4lb.tables}\n            max_object = "256KiB"\n            disk = {disk}'
        )
        return super().command(folder, port, backend)


class CachedHaproxy(HttpHaproxy):
    """HAProxy with its small-object cache."""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "haproxy.cfg"
        found = config.read_text().replace(
            "backend bench\n    balance",
            "backend bench\n    http-request cache-use bench\n"
            "    http-response cache-store bench\n    balance",
        )
        found += f"\ncache bench\n    total-max-size 256\n    max-age {KEPT_S}\n"
        config.write_text(found + "    max-object-size 1048576\n")
        return command


class CachedNginx(HttpNginx):
    """nginx's proxy_cache, with its files in memory."""

    def command(self, folder: Path, port: int, _: int) -> list[str]:
        files = Path(tempfile.mkdtemp(prefix="l4lb-bench-cache-", dir="/dev/shm"))
        files.chmod(0o777)
        (folder / "cache-files").symlink_to(files)
        servers = self._addresses("server {address}; ")
        return _nginx(
            folder,
            f"""
    proxy_cache_path {files} keys_zone=bench:16m max_size=256m use_temp_path=off;
    upstream bench {{ {servers} keepalive 256; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096 reuseport;
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache bench;
        }}
    }}""",
            self.workers,
        )


class CachedVarnish(Proxy):
    """Varnish, in memory."""

    speaks_http2 = False

    def version(self) -> str:
        return first_line(self.program, "-V")

    def command(self, folder: Path, port: int, _: int) -> list[str]:
        config = folder / "bench.vcl"
        config.write_text(
            f'vcl 4.1; backend one {{ .host = "127.0.0.1"; .port = "{self.servers[0]}"; }}\n'
        )
        name = folder / "varnish"
        name.mkdir()
        folder.chmod(0o755)
        return [
            self.program, "-F", "-n", str(name), "-a", f"127.0.0.1:{port}", "-f", str(config),
            "-s", "malloc,256m", "-p", "thread_pools=1", "-T", "none", "-j", "none",
        ]  # fmt: skip


@contextmanager
def origin(sizes: dict[str, int]) -> Iterator[int]:
    """Runs a server whose answers may be kept for an hour; yields its port."""
    with tempfile.TemporaryDirectory(prefix="l4lb-bench-origin-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path, size in sizes.items():
            (folder / path.strip("/")).write_bytes(os.urandom(size))
        port = free_port()
        where = f"listen 127.0.0.1:{port} backlog=4096; root {folder};"
        with ended_with(
            _nginx(folder, f"server {{ {where} add_header Cache-Control max-age={KEPT_S}; }}"),
            folder,
            (port,),
        ):
            yield port


def forget(folder: Path) -> None:
    """Removes what a proxy that ran in this folder has left elsewhere."""
    files = folder / "cache-files"
    if files.is_symlink():
        shutil.rmtree(files.resolve(), ignore_errors=True)
