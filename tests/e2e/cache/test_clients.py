"""What is kept reaches clients of every kind whole: HTTP/1.1 and HTTP/2, plain and over TLS, out of
memory and from the disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer
from ..harness.http import before
from ..harness.origin import Origin
from ..harness.secure import Authority
from ..harness.servers import need
from .conftest import running
from .on_disk import body_of, by_target

SIZES = (0, 1, 30_000, 200_000, 3_000_000)  # the last one does not fit memory
KINDS = {
    "HTTP/1.1": ("http", "--http1.1"),
    "HTTP/2": ("http", "--http2-prior-knowledge"),
    "HTTP/1.1 over TLS": ("https", "--http1.1"),
    "HTTP/2 over TLS": ("https", "--http2"),
}


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as one:
        yield one


@pytest.fixture(scope="module")
def both(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Balancer, Balancer, Origin]]:
    """A plain balancer and one with TLS."""
    folder = tmp_path_factory.mktemp("disks")
    tls = {"tls": {"certificates": [authority.issue("localhost")]}}

    def one(name: str, listener: Mapping[str, Any] | None) -> Balancer:
        disk = {"path": str(folder / name), "size": "64MiB"}
        cache = {"memory": "8MiB", "max_object": "256KiB", "disk": disk}
        return before([origin.row], listener=listener, cache=cache)

    with (
        Origin(by_target) as origin,
        running(one("plain", None)) as plain,
        running(one("secured", tls)) as secured,
    ):
        yield plain, secured, origin


class Curl:
    """curl with one version of HTTP, at one balancer."""

    def __init__(self, lb: Balancer, authority: Authority, kind: str, folder: Path) -> None:
        scheme, version = KINDS[kind]
        self._base = f"{scheme}://localhost:{lb.address[1]}"
        self._command = [need("curl"), "-sS", "--cacert", authority.path, "-m", "60", version]
        self._body = folder / "body"

    def ask(self, path: str, *args: str) -> tuple[str, bytes]:
        """Returns the status and the body. Raises CalledProcessError if an answer is not whole."""
        told = ["-o", str(self._body), "-w", "%{http_code}"]
        self._body.unlink(missing_ok=True)
        done = subprocess.run(
            [*self._command, *told, *args, self._base + path], capture_output=True, check=True
        )
        return done.stdout.decode(), self._body.read_bytes() if self._body.exists() else b""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_reaches_every_kind_of_client(
    both: tuple[Balancer, Balancer, Origin], authority: Authority, tmp_path: Path, kind: str
) -> None:
    plain, secured, origin = both
    lb = plain if kind in ("HTTP/1.1", "HTTP/2") else secured
    client = Curl(lb, authority, kind, tmp_path)
    for size in SIZES:
        path = f"/{size}/{kind.replace(' ', '-')}"
        whole = body_of(path, size)
        for _ in range(3):
            assert client.ask(path) == ("200", whole)
        assert client.ask(path, "-I")[0] == "200"
        assert client.ask(path, "-H", f'If-None-Match: "{path}"') == ("304", b"")
        if size > 1:
            part = whole[size // 3 : size // 3 + 1_000]
            asked = f"{size // 3}-{size // 3 + 999}"
            assert client.ask(path, "-r", asked) == ("206", part)
            assert client.ask(path, "-r", f"{size // 2}-") == ("206", whole[size // 2 :])
            slow = client.ask(path, "--limit-rate", str(max(50_000, size // 2)))
            assert slow == ("200", whole)
        assert origin.targets().count(path) == 1
