"""Merging an answer: which backends are taken, and which are held back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from l4lb.discovery.merge import CONFIRMATIONS, Taken, take
from l4lb.discovery.types import Member


def members(*names: str) -> list[Member]:
    return [Member(f"10.0.0.1:{1 + ord(name[0])}", name) for name in names]


def taken(
    before: str,
    found: str,
    health: dict[str, str] | None = None,
    repeats: int = 1,
    maximum: int = 50,
) -> tuple[str, str]:
    """Returns names in force and names held back, one letter each."""
    result: Taken = take(
        members(*before), members(*found), max_shrink_percent=maximum, health=health or {},
        repeats=repeats,
    )  # fmt: skip
    return "".join(one.known_as for one in result.members), "".join(result.held)


UP = dict.fromkeys("abcdefgh", "up")


def test_what_is_new_is_taken() -> None:
    assert taken("", "abc") == ("abc", "")
    assert taken("ab", "abcd") == ("abcd", "")


def test_a_loss_within_the_limit_is_taken() -> None:
    assert taken("abcd", "ab", UP) == ("ab", "")
    assert taken("ab", "a", UP) == ("a", "")


def test_all_replaced_by_as_many_is_no_loss() -> None:
    assert taken("abc", "def", UP) == ("def", "")


def test_a_larger_loss_is_held_back_while_checks_say_up() -> None:
    assert taken("abcd", "a", UP) == ("abcd", "bcd")
    assert taken("abcd", "", UP) == ("abcd", "abcd")
    assert taken("abcd", "e", UP) == ("eabcd", "abcd")


def test_checks_confirm_a_loss_one_by_one() -> None:
    assert taken("abcd", "a", UP | {"b": "down", "c": "down"}) == ("ad", "d")
    assert taken("abcd", "", dict.fromkeys("abcd", "down")) == ("", "")


def test_without_checks_equal_answers_confirm_it() -> None:
    assert taken("abcd", "a", {}, repeats=CONFIRMATIONS - 1) == ("abcd", "bcd")
    assert taken("abcd", "a", {}, repeats=CONFIRMATIONS) == ("a", "")
    assert taken("abcd", "a", UP, repeats=99) == ("abcd", "bcd")


def test_the_limit_can_be_all_or_nothing() -> None:
    assert taken("abcd", "", UP, maximum=100) == ("", "")
    assert taken("abcd", "abc", UP, maximum=0) == ("abcd", "d")


NAMES = st.sets(st.sampled_from("abcdefgh")).map(sorted).map("".join)
HEALTH = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["up", "down", "unknown"]))


@given(NAMES, NAMES, HEALTH, st.integers(1, 5), st.integers(0, 100))
def test_nothing_found_is_left_out_and_only_the_lost_are_held(
    before: str, found: str, health: dict[str, str], repeats: int, maximum: int
) -> None:
    all_names, held = taken(before, found, health, repeats, maximum)
    assert set(all_names) == set(found) | set(held)
    assert set(held) <= set(before) - set(found)
    assert len(all_names) == len(set(all_names))
    assert not any(health.get(name) == "down" for name in held)
