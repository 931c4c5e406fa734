"""Cookies that a cache ignores: what differs in them only is one object (`ignore_cookies`)."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer, toml
from ..harness.http import Answer, Request, answer, before, client
from ..harness.origin import Origin
from .conftest import KEPT, again, running
from .on_disk import on_disk

IGNORED = ["_ga*", "seen"]
_numbers = itertools.count(1)


def by_user(request: Request) -> bytes:
    """Answers with the cookies that came, and the number of the answer in a field."""
    said = (request.get("cookie") or "none").encode()
    return answer(said, fields=[*KEPT, ("Vary", "Cookie"), ("X-Number", str(next(_numbers)))])


def ask(lb: Balancer, path: str, *cookies: str) -> Answer:
    with client(lb) as peer:
        return peer.ask(path, fields=[("Cookie", cookie) for cookie in cookies])


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Balancer, Origin]]:
    with Origin(by_user) as origin, before([origin.row], cache={"ignore_cookies": IGNORED}) as lb:
        yield lb, origin


def test_requests_that_differ_in_ignored_cookies_only_get_one_object(
    shared: tuple[Balancer, Origin],
) -> None:
    lb, origin = shared
    first = ask(lb, "/one", "_ga=1; lang=de; _ga_X1=7; user=ann")
    assert first.body == b"_ga=1; lang=de; _ga_X1=7; user=ann"  # the backend gets all of them
    for cookies in (
        ["lang=de; user=ann"],
        ["lang=de;_ga=2;user=ann;  seen"],
        ["seen=1; lang=de", "user=ann; _ga=3"],
    ):
        assert ask(lb, "/one", *cookies).get("x-number") == first.get("x-number"), cookies
    assert origin.targets().count("/one") == 1


@pytest.mark.parametrize(
    "other",
    ["lang=de; user=ben", "user=ann; lang=de", "lang=de", "lang=de; user=ann; x_ga=1",
     "lang=de; user=ann; seen2=1", "lang=de; user=ann; Seen=1", "lang=de; user=ann=1"],
)  # fmt: skip
def test_every_other_cookie_and_their_order_count(
    shared: tuple[Balancer, Origin], other: str
) -> None:
    lb, _ = shared
    path = f"/other/{next(_numbers)}"
    first, second = ask(lb, path, "lang=de; user=ann"), ask(lb, path, other)
    assert (first.body, second.body) == (b"lang=de; user=ann", other.encode())


def test_a_request_with_ignored_cookies_only_is_one_without_cookies(
    shared: tuple[Balancer, Origin],
) -> None:
    lb, _ = shared
    assert ask(lb, "/none").body == b"none"
    assert [ask(lb, "/none", said).body for said in ("_ga=1", "seen=1; _gat=2")] == [b"none"] * 2
    assert ask(lb, "/none", "a=1").body == b"a=1"


def test_cookies_that_come_in_crumbs_are_compared_as_one_list(
    shared: tuple[Balancer, Origin],
) -> None:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    lb, _ = shared

    def ask2(*cookies: str) -> bytes:
        fields = [part for cookie in cookies for part in ("-H", f"Cookie: {cookie}")]
        url = f"http://{lb.address[0]}:{lb.address[1]}/crumbs"
        asked = ["curl", "-s", "--max-time", "20", "--http2-prior-knowledge", *fields, url]
        return subprocess.run(asked, capture_output=True, timeout=30, check=True).stdout

    assert ask2("a=1", "_ga=1", "b=2") == b"a=1; _ga=1; b=2"
    assert ask2("_ga=2", "a=1", "b=2") == b"a=1; _ga=1; b=2"
    assert ask2("a=1", "b=3") == b"a=1; b=3"


def test_variants_on_disk_are_found_by_the_cookies_that_count(tmp_path: Path) -> None:
    with Origin(by_user) as origin:
        with running(on_disk(origin, tmp_path / "disk", ignore_cookies=IGNORED)) as lb:
            first = ask(lb, "/a", "_ga=1; user=ann")
            other = ask(lb, "/a", "_ga=1; user=ben")
        with running(again(lb)) as lb:
            assert ask(lb, "/a", "user=ann; _ga=2").body == first.body
            assert ask(lb, "/a", "user=ben").body == other.body
            assert len(origin.requests) == 2


def test_a_reload_changes_what_is_ignored() -> None:
    def reload(lb: Balancer, cache: dict[str, Any]) -> None:
        assert lb.config is not None
        lb.config["cache"]["pages"] = cache
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")

    with Origin(by_user) as origin, before([origin.row], cache={}) as lb:
        assert ask(lb, "/a", "_ga=1").body == b"_ga=1"
        assert ask(lb, "/a", "_ga=2").body == b"_ga=2"
        reload(lb, {"ignore_cookies": ["_ga"]})
        assert ask(lb, "/a", "_ga=3").body == b"_ga=3"
        assert ask(lb, "/a", "_ga=4").body == b"_ga=3"
        reload(lb, {})
        assert ask(lb, "/a", "_ga=4").body == b"_ga=4"
