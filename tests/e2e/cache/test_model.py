"""A whole cache beside a naive model, over random histories of requests, changes and purges: each
answer is the one that the model says, and the origin is asked when the model asks."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer
from ..harness.http import Answer, Request, answer, before, client
from ..harness.origin import Origin
from .conftest import again, running

HOSTS, PATHS, LANGUAGES = ("a.test", "b.test"), ("/x", "/x/y", "/z"), ("de", "fr")
KEEPS = ("max-age=1000", "no-store", "max-age=0")
KINDS = ("get", "change", "post", "purge", "keep", "restart")
STEPS = 150


@dataclass
class World:
    """What the origin says of each URL now, and what the model has kept of it."""

    versions: dict[str, int] = field(default_factory=dict)
    keeps: dict[str, str] = field(default_factory=dict)
    kept: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def body(self, url: str, language: str) -> bytes:
        return f"{url} {language} {self.versions.get(url, 0)}".encode()

    def answering(self, request: Request) -> bytes:
        url = f"{request.get('host')}{request.target}"
        fields = [
            ("Cache-Control", self.keeps.get(url, KEEPS[0])),
            ("Vary", "Accept-Language"),
            ("Cache-Tag", f"all,tag-{request.target.strip('/')[:1]}"),
        ]
        return answer(self.body(url, request.get("accept-language") or ""), fields=fields)

    def expected(self, url: str, language: str) -> tuple[bytes, bool]:
        """Returns what a GET gets, and whether the origin is asked."""
        if (url, language) in self.kept:
            return self.kept[url, language], False
        body = self.body(url, language)
        if self.keeps.get(url, KEEPS[0]) == KEEPS[0]:
            self.kept[url, language] = body
        return body, True

    def forget(self, url: str) -> None:
        self.kept = {key: body for key, body in self.kept.items() if key[0] != url}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("workers", "on_disk"), [(1, False), (2, False), (2, True)], ids=["1", "2", "2 on disk"]
)
def test_a_random_history_is_what_the_model_says(
    tmp_path: Path, seed: int, workers: int, on_disk: bool
) -> None:
    rng, world = random.Random(seed), World()
    cache: dict[str, Any] = {"purge": {"networks": ["127.0.0.0/8"], "method": "PURGE"}}
    if on_disk:
        cache["disk"] = {"path": str(tmp_path / "disk"), "size": "16MiB"}
    with Origin(world.answering) as origin, contextlib.ExitStack() as stack:

        def start(lb: Balancer) -> Balancer:
            stack.enter_context(running(lb) if on_disk else lb)
            return lb

        lb = start(before([origin.row], workers=workers, cache=cache))

        def ask(url: str, method: str = "GET", language: str = "de") -> Answer:
            host, _, path = url.partition("/")
            head = f"{method} /{path} HTTP/1.1\r\nHost: {host}\r\nAccept-Language: {language}\r\n"
            length = "Content-Length: 0\r\n" if method == "POST" else ""
            with client(lb) as peer:
                peer.say(f"{head}{length}\r\n".encode())
                return peer.answer(method)

        for _ in range(STEPS):
            url = rng.choice(HOSTS) + rng.choice(PATHS)
            match rng.choices(KINDS, (70, 12, 6, 6, 6, 3 * on_disk))[0]:
                case "get":
                    language = rng.choice(LANGUAGES)
                    body, asks = world.expected(url, language)
                    asked = len(origin.requests)
                    assert ask(url, language=language).body == body
                    assert len(origin.requests) - asked == asks
                case "change":
                    world.versions[url] = world.versions.get(url, 0) + 1
                case "post":
                    ask(url, "POST")
                    world.forget(url)
                case "purge":
                    ask(url, "PURGE")
                    world.forget(url)
                case "restart":
                    stack.close()
                    lb = start(again(lb))
                case "keep":  # and purged: for some seconds nobody keeps what was not to be kept
                    world.keeps[url] = rng.choice(KEEPS)
                    ask(url, "PURGE")
                    world.forget(url)
