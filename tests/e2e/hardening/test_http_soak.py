"""A soak of HTTP (harness/http_soak): each answer names its request, whatever happens to the
service, and its judge."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from ..harness import Balancer
from ..harness.http_soak import run
from ..harness.http_soak.honest import FRAMED, UNTIL_CLOSE, Asked, Failure, Tally
from ..harness.http_soak.judgement import Blast, unexplained
from ..harness.http_soak.talk import BEGUN, ENDED, Plan
from ..harness.http_soak.world import in_progress
from ..harness.soak import leftovers

SEED = int(os.environ.get("L4LB_SEED", "1"))
SOAK_S = float(os.environ.get("L4LB_SOAK_S", "20"))
NAME = 7  # of the request that failed
PORT = 4711


@pytest.mark.timeout(600)
def test_each_answer_names_its_request_whatever_happens_to_the_service() -> None:
    print(f"L4LB_SEED={SEED}")  # shown when the test fails
    reports = os.environ.get("L4LB_REPORTS")  # with sanitizers, freed memory is kept
    end = time.monotonic() + SOAK_S
    outcome = run(SEED, goes_on=lambda: time.monotonic() < end, memory=not reports)
    print("\n".join(outcome.lines()))
    assert not outcome.wrong, "\n".join(outcome.wrong)


def failed(
    method: str = "POST", how: str = "reset", *, looks_whole: str = "", way: str = "length"
) -> Failure:
    """Returns a request that failed between 1.0 and 3.0, on a connection that began at 0.5."""
    asked = Asked(Plan("steady", way, NAME, 0, 100), method, begun=1.0)
    return Failure("kept", PORT, 0.5, asked, how, 3.0, looks_whole)


def a_worker(since: float = 2.0, until: float = 2.1, *, port: int = PORT) -> Blast:
    return Blast("a worker was killed", since, until, frozenset([port]), by_kernel=True)


def an_origin(name: str = "a", *begun: int) -> Blast:
    return Blast("an origin was killed", 2.0, 2.1, origin=name, seeds=frozenset(begun))


@pytest.mark.parametrize(
    "blast",
    [a_worker(), a_worker(0.5, 0.9), a_worker(0.2, 9.0), an_origin("a", NAME), an_origin("b")],
)
def test_a_failure_within_the_blast_radius_of_an_event_is_explained(blast: Blast) -> None:
    lines = {NAME: ["end=backend_reset backend=b reused=no "]}
    assert not unexplained(Tally(failed=[failed()]), [blast], {}, lines)


@pytest.mark.parametrize(
    "blast",
    [
        a_worker(port=PORT + 1),
        a_worker(0.0, 0.4),
        a_worker(4.0, 5.0),
        an_origin("a", NAME + 1),
        an_origin("c"),
    ],
)
def test_a_failure_outside_of_each_blast_radius_is_a_fault(blast: Blast) -> None:
    lines = {NAME: ["end=backend_reset backend=b reused=no "]}
    (wrong,) = unexplained(Tally(failed=[failed()]), [blast], {}, lines)
    assert "nothing explains" in wrong


@pytest.mark.parametrize(("method", "explained"), [("POST", True), ("GET", False), ("PUT", False)])
def test_a_dead_origin_is_no_reason_not_to_send_again_what_may_be_sent_again(
    method: str, explained: bool
) -> None:
    tally = Tally(failed=[failed(method, "status 502")])
    lines = {NAME: ["status=502 retries=0 reused=yes backend=a "]}
    assert bool(unexplained(tally, [an_origin("a", NAME)], {}, lines)) != explained


def test_a_request_whose_client_has_got_100_need_not_be_sent_again() -> None:
    asked = Asked(Plan("steady", "length", NAME, 1, 100), "PUT", 1.0, expects=True)
    tally = Tally(failed=[Failure("kept", PORT, 0.5, asked, "status 502", 3.0)])
    lines = {NAME: ["status=502 retries=0 reused=yes backend=a "]}
    assert not unexplained(tally, [an_origin("a", NAME)], {}, lines)


@pytest.mark.parametrize(
    ("blast", "looks_whole", "way", "explained"),
    [
        (a_worker(), UNTIL_CLOSE, "chunked", True),
        (a_worker(), FRAMED, "until_close", False),
        (an_origin("a", NAME), UNTIL_CLOSE, "chunked", False),
        (an_origin("a", NAME), UNTIL_CLOSE, "until_close", True),
        (an_origin("a", NAME), FRAMED, "until_close", True),
        (Blast("ended", 2.0, 2.1, frozenset([PORT])), UNTIL_CLOSE, "chunked", False),
    ],
)
def test_a_cut_answer_may_look_whole_only_where_nobody_could_tell(
    blast: Blast, looks_whole: str, way: str, explained: bool
) -> None:
    tally = Tally(failed=[failed(looks_whole=looks_whole, way=way)])
    assert bool(unexplained(tally, [blast], {}, {})) != explained


def test_what_a_client_may_send_again_must_not_have_reached_an_origin() -> None:
    tally = Tally(again=[failed()])
    assert not unexplained(tally, [], {("POST", NAME + 1): 1}, {})
    assert unexplained(tally, [], {("POST", NAME): 1}, {})
    assert not unexplained(tally, [a_worker()], {("POST", NAME): 1}, {})


@pytest.mark.parametrize(("method", "wrong"), [("POST", True), ("GET", False)])
def test_a_request_that_is_not_idempotent_may_be_sent_once_only(method: str, wrong: bool) -> None:
    assert not unexplained(Tally(), [], {(method, NAME): 1}, {})
    assert bool(unexplained(Tally(), [], {(method, NAME): 2}, {})) == wrong
    assert not unexplained(Tally(), [an_origin("a", NAME)], {(method, NAME): 2}, {})


def test_a_killed_origin_had_in_progress_what_its_journal_does_not_end(tmp_path: Path) -> None:
    journal = tmp_path / "a.0"
    assert in_progress(journal) == frozenset()
    journal.write_text(f"{BEGUN} GET 1\n{BEGUN} PUT 2\n{ENDED} GET 1\n{BEGUN} GET 3\n")
    assert in_progress(journal) == {2, 3}


def test_a_cut_body_is_a_begin_of_the_whole_one() -> None:
    plan = Plan("steady", "until_close", NAME, 0, 100)
    whole = bytes(plan.downstream().part(0, 100))
    assert plan.is_begin(b"")
    assert plan.is_begin(whole[:50])
    assert not plan.is_begin(whole)
    assert not plan.is_begin(whole[1:50])


def test_a_check_of_health_that_begins_after_all_was_given_back_is_no_leftover(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, with_check = (
        {"checker": leftovers.Belongings(Counter(socket=count), rss=1)} for count in (3, 4)
    )
    looks = iter([with_check, before, with_check])
    monkeypatch.setattr(leftovers, "belongings", lambda _: next(looks))
    lb = cast(Balancer, None)  # it is only given to the function above
    assert leftovers.wait_until_back(lb, before, memory=True) == (before, [])
