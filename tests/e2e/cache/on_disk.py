"""What the tests of a cache on disk share: a balancer with a folder, and an origin whose answers
tell what they are."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from ..harness import Balancer
from ..harness.http import Answer, Fields, Request, answer, before, client
from ..harness.origin import Origin
from .conftest import KEPT

MEMORY = {"memory": "8MiB", "max_object": "256KiB"}
PURGE = {"networks": ["127.0.0.0/8"], "method": "PURGE"}
HOST = "example.test"
SMALL, LARGE = 20_000, 2_000_000  # bytes of a body that memory takes, and of one that it does not
SIZES = (0, 1, SMALL, LARGE)


def body_of(target: str, size: int) -> bytes:
    return random.Random(target).randbytes(size)


def by_target(asked: Request) -> bytes:
    """Answers /SIZE/NAME with a body of that size, an ETag and tags."""
    size = int(asked.target.split("/")[1])
    fields = [*KEPT, ("ETag", f'"{asked.target}"'), ("Cache-Tag", f"all,of-{size}")]
    return answer(body_of(asked.target, size), fields=fields)


def on_disk(
    origin: Origin, folder: Path, *, workers: int = 1, size: str = "64MiB", **cache: Any
) -> Balancer:
    disk = {"path": str(folder), "size": size}
    return before([origin.row], workers=workers, cache={**MEMORY, "disk": disk, **cache})


def ask(lb: Balancer, path: str, method: str = "GET", fields: Fields = ()) -> Answer:
    with client(lb) as peer:
        return peer.ask(path, method, fields=fields)


def files(folder: Path) -> list[Path]:
    """The files of answers, without those that are being written."""
    return [one for one in folder.glob("??/*") if not one.name.startswith("t")]
