"""Records for tests: a balancer that has some, and what lies in their folders."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from .balancer import Balancer
from .configuration import toml
from .deadline import until
from .http import Request, answer, before
from .origin import Origin

FILES = {"request", "answer", "about.json"}


@dataclass(frozen=True)
class Kept:
    """What was kept of one request. answer: None if there was none."""

    name: str
    request: bytes
    answer: bytes | None
    about: dict[str, Any]

    @property
    def target(self) -> str:
        """The target in the request's first line."""
        return self.request.split(b" ")[1].decode()

    @property
    def request_body(self) -> bytes:
        return self.request.partition(b"\r\n\r\n")[2]

    @property
    def answer_body(self) -> bytes:
        assert self.answer is not None
        return self.answer.partition(b"\r\n\r\n")[2]


def kept_in(folder: Path) -> list[Kept]:
    """Returns what is kept in a folder, the oldest first; all of it has owner-only modes."""
    found = []
    for one in sorted(folder.iterdir()) if folder.is_dir() else ():
        if one.name.startswith("."):
            continue
        files = {file.name: file for file in one.iterdir()}
        assert files.keys() <= FILES
        modes = {stat.S_IMODE(os.lstat(path).st_mode) for path in files.values()}
        assert (modes, stat.S_IMODE(one.stat().st_mode)) == ({0o600}, 0o700)
        answer = files["answer"].read_bytes() if "answer" in files else None
        about = json.loads(files["about.json"].read_text())
        found.append(Kept(one.name, files["request"].read_bytes(), answer, about))
    return found


def all_in(folder: Path, count: int) -> list[Kept]:
    """Waits until so many are kept, and returns them."""
    until(lambda: len(kept_in(folder)) >= count, f"{count} requests are kept")
    found = kept_in(folder)
    assert len(found) == count, [one.target for one in found]
    return found


@contextlib.contextmanager
def recorded(
    origins: Sequence[Origin],
    folder: Path,
    *,
    rules: Sequence[dict[str, Any]] = ({},),
    record: dict[str, Any] | None = None,
    http: dict[str, Any] | None = None,
    tables: dict[str, Any] | None = None,
    **more: Any,
) -> Iterator[Balancer]:
    """A balancer whose listener has requests kept in `folder`, by these rules: all, by default.
    tables: further tables of the configuration."""
    named = [{"name": f"rule{at}", "record": "kept", **rule} for at, rule in enumerate(rules)]
    rows = [origin.row for origin in origins]
    lb = before(rows, http={"record": named, **(http or {})}, **more)
    lb.config |= {"record": {"kept": {"folder": str(folder), **(record or {})}}, **(tables or {})}
    with lb:
        yield lb


def shown(lb: Balancer) -> dict[str, Any]:
    """Returns the row of the record, without what is 0."""
    (row,) = lb.admin("records")
    return {key: value for key, value in row.items() if value}


def recorder(lb: Balancer) -> psutil.Process:
    """Returns its recorder process."""
    return lb.child("recorder")


def reload(lb: Balancer) -> None:
    """Reloads its configuration as the test has changed it."""
    assert lb.config is not None
    (lb.folder / "l4lb.toml").write_text(toml(lb.config))
    lb.admin("reload")


def echoing(asked: Request) -> bytes:
    """Answers with the body of the request, or with "fine"."""
    return answer(asked.body or b"fine", fields=[("X-Own", "1")])
