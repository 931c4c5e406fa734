"""A cache under fire: workers are killed, the configuration is loaded again and the program is
replaced while clients ask and change. Nobody ever gets a part of an object, one of another URL, or
one that is older than a change that was over before."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer, send_signal, until
from ..harness.http import CutOffError, Request, answer, before, client
from ..harness.origin import Origin

URLS = [f"/{number}" for number in range(12)]
CLIENTS, ROUNDS = 4, 8
SIZES = (10, 3_000, 90_000)


class World:
    """The version of each URL, and the version that a change has set before it was over."""

    def __init__(self) -> None:
        self.versions: Counter[str] = Counter()
        self.floors: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.got: Counter[str] = Counter()
        self.wrong: list[str] = []

    def body(self, url: str, version: int) -> bytes:
        line = f"{url} {version}\n".encode()
        size = SIZES[len(url) % len(SIZES)] + 1_000 * (version % 5)
        return line * (size // len(line))

    def answering(self, request: Request) -> bytes:
        with self.lock:
            if request.method == "POST":
                self.versions[request.target] += 1
            version = self.versions[request.target]
        fields = [("Cache-Control", "max-age=1000"), ("ETag", f'"{version}"')]
        return answer(self.body(request.target, version), fields=fields)

    def judge(self, url: str, body: bytes, floor: int) -> None:
        version = int(body.split(b"\n", 1)[0].split()[1])
        if body != self.body(url, version):
            self.wrong.append(f"{url}: a body of version {version} that is none")
        elif version < floor:
            self.wrong.append(f"{url}: version {version} after {floor}")
        self.got["answers"] += 1


def kill_one(lb: Balancer, rng: random.Random) -> None:
    """Kills a worker. Returns when it is replaced."""
    row = rng.choice(lb.ask("workers"))
    send_signal(row["pid"], signal.SIGKILL)

    def is_replaced() -> bool:
        rows = {one["index"]: one["restarts"] for one in lb.ask("workers")}
        return bool(rows.get(row["index"], 0) > row["restarts"])

    until(is_replaced, "it is replaced")


def disturb(lb: Balancer, number: int, rng: random.Random) -> None:
    match number % 4:
        case 1:
            lb.admin("reload")
        case 3:
            lb.admin("upgrade")
            until(lb.answers, "the new program answers")
        case _:
            kill_one(lb, rng)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("on_disk", [False, True], ids=["in memory", "on disk"])
def test_nobody_gets_a_part_or_what_is_older_than_a_change(
    tmp_path: Path, seed: int, on_disk: bool
) -> None:
    world, rng = World(), random.Random(seed)
    cache: dict[str, Any] = {"memory": "8MiB", "max_object": "256KiB"}
    if on_disk:  # the largest ones are only there
        disk = {"path": str(tmp_path / "disk"), "size": "16MiB", "max_object": "256KiB"}
        cache |= {"max_object": "64KiB", "disk": disk}
    with (
        Origin(world.answering) as origin,
        before([origin.row], workers=2, cache=cache) as lb,
    ):

        def ask(one: random.Random) -> None:
            url = one.choice(URLS)
            change = one.random() < 0.1
            floor = world.floors[url]
            with client(lb) as peer:
                body = peer.ask(url, "POST" if change else "GET").body
            world.judge(url, body, floor)
            if change:
                version = int(body.split(b"\n", 1)[0].split()[1])
                with world.lock:
                    world.floors[url] = max(world.floors[url], version)

        def work(number: int) -> None:
            one = random.Random(f"{seed} {number}")
            while not world.stop.is_set():
                try:
                    ask(one)
                except (OSError, CutOffError):
                    world.got["cut"] += 1

        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            for number in range(ROUNDS):
                more = world.got["answers"] + 50
                until(lambda: world.got["answers"] > more, "clients are served")  # noqa: B023
                disturb(lb, number, rng)
        finally:
            world.stop.set()
            for thread in threads:
                thread.join(60)
        assert not world.wrong, world.wrong[:5]
        assert world.got["cut"] <= CLIENTS * ROUNDS
