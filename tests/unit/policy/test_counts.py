"""What is counted of the answers that workers use, and what operators see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from l4lb import tally
from l4lb.config.model import Config
from l4lb.errors import AdminError
from l4lb.policy.operators import read_place

from .test_process import Process, config

RULES = [
    {"name": "ads", "list": "ads", "action": "deny"},
    {"name": "all", "action": "allow"},
]
ASKED = {"by": "domain", "limit": 10, "forward": None}


def run(found: Config, story: Callable[[Process], Awaitable[None]]) -> None:
    async def told(stack: ExitStack) -> None:
        await story(Process(found, stack))

    with ExitStack() as stack:
        asyncio.run(told(stack))


async def ask(process: Process, op: str, **args: Any) -> Any:
    """Asks as the supervisor does."""
    answers: list[dict[str, Any]] = []

    async def send(frame: bytes) -> None:
        answers.append(tally.msgpack.unpackb(frame))

    process.policy.told({"op": op, "number": 1, "args": args}, send)
    async with asyncio.timeout(20):
        while not answers:
            await asyncio.sleep(0.005)
    if "error" in answers[0]:
        raise AdminError(*answers[0]["error"])
    return answers[0]["result"]


def ads(tmp_path: Path) -> Config:
    names = tmp_path / "ads"
    names.write_text("# of the office\nads.example\n192.0.2.9\n")
    return config({"rules": RULES}, {"ads": {"files": [str(names)]}})


def test_each_use_counts_by_host_rule_list_and_verdict(tmp_path: Path) -> None:
    async def story(process: Process) -> None:
        key = process.worker.ask("192.0.2.9", row=0)
        other = process.worker.ask("1.1.1.1", row=1)
        await process.answers(key, other)  # a use each
        process.worker.find(key)
        process.worker.find(key)
        told = await ask(process, "top", **ASKED)
        assert told["requests"] == 4
        assert told["verdicts"] == {"deny": 3, "allow": 1}
        rows = [(row["name"], row["requests"], row["denied"], row["rule"]) for row in told["top"]]
        assert rows == [("192.0.2.9", 3, 3, "ads"), ("1.1.1.1", 1, 0, "all")]
        rules = await ask(process, "top", **ASKED | {"by": "rule"})
        assert [(row["name"], row["requests"]) for row in rules["top"]] == [("ads", 3), ("all", 1)]
        denied = await ask(process, "top", **ASKED | {"by": "denied", "limit": 1})
        assert [row["name"] for row in denied["top"]] == ["192.0.2.9"]
        (row,) = await ask(process, "lists", list=None)
        assert (row["entries"], row["hits"], row["files"]) == (2, 3, 1)
        process.policy.tell()
        written = tally.read(process.gate.tally_fd)
        assert written["requests"] == {"office": {"deny": 3, "allow": 1}}
        assert written["hits"] == {"ads": 3}

    run(ads(tmp_path), story)


def test_an_allowed_host_that_is_inside_counts_as_private() -> None:
    async def story(process: Process) -> None:
        await process.answers(process.worker.ask("10.0.0.1"))
        told = await ask(process, "top", **ASKED | {"by": "denied"})
        assert told["verdicts"] == {"private": 1}
        assert [(row["name"], row["rule"]) for row in told["top"]] == [("10.0.0.1", "private")]

    run(config({}), story)


def test_a_log_in_of_socks_is_no_request() -> None:
    async def story(process: Process) -> None:
        await process.answers(process.worker.ask("", socks=True))
        assert (await ask(process, "top", **ASKED))["requests"] == 0

    run(config({}), story)


def test_counts_outlive_the_process_and_uses_before_it_count(tmp_path: Path) -> None:
    async def story(process: Process) -> None:
        key = process.worker.ask("192.0.2.9")
        await process.answers(key)
        process.policy.tell()
        process.policy.counts.save()
        process.worker.find(key)  # nobody has counted it when the process dies
        process.start()
        told = await ask(process, "top", **ASKED)
        assert told["verdicts"] == {"deny": 2}
        assert [row["requests"] for row in told["top"]] == [2]

    run(ads(tmp_path), story)


def test_a_replaced_answer_is_counted_before(tmp_path: Path) -> None:
    async def story(process: Process) -> None:
        key = process.worker.ask("192.0.2.9")
        await process.answers(key)
        process.policy.renew()  # the same question is answered again, in the same place
        await process.answers(key)
        told = await ask(process, "top", **ASKED)
        assert told["requests"] == 2

    run(ads(tmp_path), story)


def test_the_line_that_has_a_name_is_found(tmp_path: Path) -> None:
    async def story(process: Process) -> None:
        told = await ask(process, "find", list=None, find="https://www.ads.example:443/x")
        file = str(tmp_path / "ads")
        assert told["found"] == [{"list": "ads", "name": "ads.example", "file": file, "line": 2}]
        assert (await ask(process, "find", list="ads", find="other.example"))["found"] == []
        with pytest.raises(AdminError, match="no list social; the lists are ads"):
            await ask(process, "lists", list="social")

    run(ads(tmp_path), story)


def test_lists_are_read_again_when_asked_for_and_decisions_are_made_anew(tmp_path: Path) -> None:
    async def story(process: Process) -> None:
        key = process.worker.ask("192.0.2.9")
        await process.answers(key)
        (row,) = await ask(process, "reload_lists")
        assert (row["entries"], row["error"]) == (2, None)
        assert process.worker.find(key) is None

    run(ads(tmp_path), story)


def test_a_flush_forgets_answers(tmp_path: Path) -> None:
    async def story(process: Process) -> None:
        key = process.worker.ask("192.0.2.7")
        await process.answers(key)
        told = await ask(process, "flush", forward=None)
        assert told == {"flushed": "verdicts", "forwards": ["office"]}
        assert process.worker.find(key) is None
        with pytest.raises(AdminError, match="which forward proxy"):
            await ask(process, "flush", forward="other")

    run(ads(tmp_path), story)


def test_users_are_shown_without_their_hashes(tmp_path: Path) -> None:
    users = tmp_path / "users"
    # openssl passwd -apr1 -salt saltsalt secret
    hashed = "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0"
    users.write_text(f"alice:{hashed}\nbob:{hashed}\n")

    async def story(process: Process) -> None:
        right, wrong = b"Basic YWxpY2U6c2VjcmV0", b"Basic Ym9iOm90aGVy"
        keys = (
            process.worker.ask("192.0.2.7", credentials=right, row=0),
            process.worker.ask("192.0.2.7", credentials=wrong, row=1),
        )
        await process.answers(*keys)
        rows = await ask(process, "users", forward=None, user=None, limit=10)
        seen = [(row["user"], row["failures"], row["remembered"]) for row in rows]
        assert seen == [("alice", 0, True), ("bob", 1, False)]
        assert hashed not in str(rows)
        top = await ask(process, "top", **ASKED | {"by": "user"})
        assert [row["name"] for row in top["top"]] == ["alice"]
        await ask(process, "flush", forward="office")
        (row,) = await ask(process, "users", forward="office", user="alice", limit=10)
        assert not row["remembered"]

    run(config({"auth": {"htpasswd": str(users)}}), story)


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("Ads.Example", "ads.example", None),
        ("ads.example:443", "ads.example", None),
        ("ads.example/x?y", "ads.example", "/x?y"),
        ("http://ads.example:80/", "ads.example", "/"),
        ("[2001:db8::1]:80", "[2001:db8::1]", None),
        ("192.0.2.1", "192.0.2.1", None),
    ],
)
def test_a_place_is_a_host_a_url_or_a_part_of_one(text: str, host: str, path: str | None) -> None:
    assert read_place(text) == (host, path)


def test_what_is_no_place_is_refused() -> None:
    for text in ("", "http://", "a b", "x" * 300, "//"):
        with pytest.raises(AdminError):
            read_place(text)
