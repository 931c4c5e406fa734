"""What sources say is held to the rules of a configuration, whoever wrote it."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.discovery import entries
from l4lb.discovery.consul import instances
from l4lb.discovery.etcd import range_end, values
from l4lb.discovery.types import MEMBERS_MAX, DiscoveryError, Member


def test_addresses_and_tables_in_a_list_or_under_backends() -> None:
    said = ["10.0.0.2:80", {"address": "[::1]:80", "name": "six", "weight": 3, "backup": True}]
    expected = [Member("10.0.0.2:80"), Member("[::1]:80", "six", 3, 0, True)]
    assert entries.of_json(json.dumps(said)) == expected
    assert entries.of_json(json.dumps({"backends": said, "more": 1})) == expected
    assert entries.of_toml(b'backends = ["10.0.0.2:80"]\n') == expected[:1]


def test_order_and_repetition_do_not_matter() -> None:
    one = entries.of_data(["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"])
    assert one == entries.of_data(["10.0.0.1:80", "10.0.0.2:80"])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "not JSON"),
        ("[", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1", "no list of backends"),
        ('{"servers": []}', "no list of backends"),
        ("[1]", "is no backend"),
        ('["host.example:80"]', "an IP address is needed"),
        ('["10.0.0.1"]', "has no port"),
        ('[{"address": "10.0.0.1:1", "weight": 999}]', "weight"),
        ('[{"address": "10.0.0.1:1", "wieght": 1}]', "wieght"),
        ('[{"weight": 1}]', "address"),
        ('[{"address": "10.0.0.1:1", "name": "a b"}]', "name"),
        ('[{"address": "10.0.0.1:1", "name": "a"}, {"address": "10.0.0.2:1", "name": "a"}]',
         "two different backends are named"),
        (json.dumps([f"10.0.0.1:{1 + n}" for n in range(MEMBERS_MAX + 1)]), "at most 4096"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_backends_is_a_fault(said: str, why: str) -> None:
    with pytest.raises(DiscoveryError, match=why):
        entries.of_json(said)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda one: (
            st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=9), one, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json_gives_members_or_a_fault(data: object) -> None:
    text = json.dumps(data).encode()
    for reader in (entries.of_json, instances, values):
        with contextlib.suppress(DiscoveryError):
            reader(text)


def test_consul_instances() -> None:
    said = [
        {"Node": {"Address": "10.0.0.1"},
         "Service": {"ID": "a", "Address": "", "Port": 80, "Weights": {"Passing": 5}}},
        {"Node": {"Address": "10.0.0.9"},
         "Service": {"ID": "b", "Address": "10.0.0.2", "Port": 81}},
    ]  # fmt: skip
    assert instances(json.dumps(said).encode()) == [
        Member("10.0.0.1:80", weight=5),
        Member("10.0.0.2:81"),
    ]


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"/a/", b"/a0"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")]
)
def test_the_end_of_an_etcd_range(prefix: bytes, end: bytes) -> None:
    assert range_end(prefix) == end
