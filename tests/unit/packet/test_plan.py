"""What the shield takes over of a listener, and what it leaves to the workers."""

from __future__ import annotations

import pytest

from l4lb.config.reading.parse import loads
from l4lb.config.tables.listener import Listener
from l4lb.native.packet_rows import Rate
from l4lb.packet.plan import Numbers, Wanted, left_to_workers, wanted

ALL = Numbers(trusted=1, blocks=0, forwarders=2, rules=3, access=4)
DROPS = 'access = { deny = ["10.0.0.0/8"], refusal = "drop" }'


def listener(text: str) -> Listener:
    config = loads(
        f'[listeners.web]\nbind = ["127.0.0.1:80"]\npool = "web"\n{text}\n'
        '[pools.web]\nbackends = ["127.0.0.1:1"]\n',
        "l4lb.toml",
    )
    return config.listeners["web"]


def test_a_list_that_drops_is_taken_over_with_blocks_and_rules() -> None:
    asked = wanted(listener(DROPS), Numbers(blocks=0, rules=3, access=4), "drop")
    assert asked == Wanted(blocks=0, rules=3, access=4, judges_access=True)
    assert asked.says_something
    assert asked.sets == {0, 3, 4}


def test_a_list_of_those_who_may_come_in_denies_all_others() -> None:
    only = listener('access = { allow = ["10.0.0.0/8"], refusal = "drop" }')
    assert wanted(only, Numbers(access=4), "drop").others_denied


@pytest.mark.parametrize("refusal", ["reject", "tarpit"])
def test_a_refusal_that_is_an_answer_is_the_workers(refusal: str) -> None:
    one = listener(f'access = {{ deny = ["10.0.0.0/8"], refusal = "{refusal}" }}')
    assert wanted(one, Numbers(blocks=0, access=4), "drop") == Wanted(blocks=0)
    assert not wanted(one, Numbers(blocks=0, access=4), refusal).says_something
    assert left_to_workers(one, "drop") == f"access.refusal = {refusal}"
    assert left_to_workers(listener(DROPS), refusal) == f"auto_block.refusal = {refusal}"
    assert left_to_workers(listener(DROPS), "drop") is None


def test_a_rule_in_dry_run_is_the_workers() -> None:
    one = listener('access = { deny = ["10.0.0.0/8"], refusal = "drop", dry_run = true }')
    assert not wanted(one, Numbers(rules=3, access=4), "drop").says_something
    assert left_to_workers(one, "drop") == "access.dry_run"


def test_udp_is_refused_in_silence_whatever_the_refusal() -> None:
    one = listener('protocol = "udp"\naccess = { deny = ["10.0.0.0/8"] }')
    asked = wanted(one, Numbers(blocks=0, access=4), "reject")
    assert asked == Wanted(blocks=0, access=4, judges_access=True)
    assert left_to_workers(one, "reject") is None


def test_a_syn_of_mptcp_may_be_part_of_a_session() -> None:
    one = listener(f"mptcp = true\n{DROPS}")
    assert not wanted(one, ALL, "drop").says_something
    assert left_to_workers(one, "drop") == "mptcp"


def test_proxies_speak_for_others() -> None:
    proxied = listener(f'proxy_protocol = "require"\ntrusted = ["10.9.0.1"]\n{DROPS}')
    assert wanted(proxied, ALL, "drop").proxies == 1
    http = listener(f'protocol = "http"\nhttp = {{ trusted = ["10.9.0.1"] }}\n{DROPS}')
    asked = wanted(http, ALL, "drop")
    assert (asked.proxies, asked.speakers) == (None, 2)


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        (1, Wanted()),
        (0, Wanted(proxies=1, speakers=2, rules=3, access=4, judges_access=True)),
        (2, Wanted(proxies=1, blocks=0)),
        (3, Wanted(proxies=1, blocks=0)),
        (4, Wanted(proxies=1, blocks=0)),
        (5, Wanted(1, 0, 2, 3, 4, judges_access=True)),
    ],
)
def test_a_set_that_is_missing_takes_its_rule_along_with_the_rule_s_exceptions(
    missing: int, left: Wanted
) -> None:
    whole = Wanted(1, 0, 2, 3, 4, judges_access=True)
    assert whole.without(lambda number: number == missing) == left


RATE = 'rate_per_source = { limit = 50, burst = 9, refusal = "drop" }'


def test_a_rate_that_drops_is_taken_over() -> None:
    one = listener(f"limits = {{ {RATE}, source_prefix = [24, 48] }}")
    asked = wanted(one, Numbers(blocks=0), "drop", head=7)
    assert asked == Wanted(blocks=0, rate=Rate(20_000_000, 9, 7, 24, 48))
    assert asked.says_something
    assert left_to_workers(one, "drop") is None
    by_kernel = wanted(one, Numbers(served_by_kernel=True), "drop")
    assert by_kernel.rate is not None
    assert by_kernel.rate.alone


@pytest.mark.parametrize(
    ("text", "block_refusal", "why"),
    [
        ("limits = { rate_per_source = 50 }", "drop", "rate_per_source.refusal = reject"),
        (f"limits = {{ {RATE[:-2]}, dry_run = true }} }}", "drop", "rate_per_source.dry_run"),
        (f'proxy_protocol = "accept"\ntrusted = ["10.0.0.0/8"]\nlimits = {{ {RATE} }}', "drop",
         "rate_per_source with proxy_protocol = accept"),
        (f"limits = {{ {RATE}, connections_per_source = 9 }}", "drop",
         "connections_per_source.refusal = reject"),
        (f"limits = {{ {RATE} }}", "tarpit", "rate_per_source with auto_block.refusal = tarpit"),
    ],
)  # fmt: skip
def test_a_rate_that_workers_count_in_another_way_is_theirs(
    text: str, block_refusal: str, why: str
) -> None:
    one = listener(text)
    assert wanted(one, Numbers(), block_refusal).rate is None
    assert f"limits.{why}" in (left_to_workers(one, block_refusal) or "").split(", ")


def test_a_rate_does_not_count_those_whom_workers_answer() -> None:
    one = listener(f'access = {{ deny = ["10.0.0.0/8"] }}\nlimits = {{ {RATE} }}')
    asked = wanted(one, Numbers(access=4), "drop")
    assert asked.denied_pass
    assert asked.access == 4
    assert asked.without(lambda n: n == 4) == Wanted()
    assert left_to_workers(one, "drop") == "access.refusal = reject"
