"""Entries of sources are checked by the rules of a configuration, whichever source they come
from."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.discovery import entries, shares
from l4lb.discovery.consul import instances
from l4lb.discovery.etcd import range_end, values
from l4lb.discovery.types import FAULTS_MAX, MEMBERS_MAX, TEXT_MAX, Answer, DiscoveryError, Member


def members(answer: Answer) -> list[Member]:
    """Returns the members of an answer without faults."""
    assert not answer.faults
    return list(answer.members)


def test_addresses_and_tables_in_a_list_or_under_backends() -> None:
    said = ["10.0.0.2:80", {"address": "[::1]:80", "name": "six", "weight": 3, "backup": True}]
    expected = [Member("10.0.0.2:80"), Member("[::1]:80", "six", 3, 0, True)]
    assert members(entries.of_json(json.dumps(said))) == expected
    assert members(entries.of_json(json.dumps({"backends": said, "more": 1}))) == expected
    assert members(entries.of_toml(b'backends = ["10.0.0.2:80"]\n')) == expected[:1]


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
        (json.dumps(["unix:/" + "x" * 80]), "too long for a name"),
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


def consul(**service: object) -> dict[str, object]:
    return {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "a", "Address": "", **service}}


def test_consul_instances() -> None:
    said = [consul(Port=80, Weights={"Passing": 5}), consul(Address="10.0.0.2", Port=81)]
    assert members(instances(json.dumps(said).encode())) == [
        Member("10.0.0.1:80", weight=5),
        Member("10.0.0.2:81"),
    ]


def test_consul_instances_at_one_address_are_one_backend_with_both_shares() -> None:
    said = [
        consul(ID="a", Port=80, Weights={"Passing": 5}),
        consul(ID="b", Port=80, Weights={"Passing": 2}),
        consul(ID="c", Port=81),
        consul(ID="d", Address="0:0::1", Port=80),
        consul(ID="e", Address="::1", Port=80),
        consul(ID="f", Port=82, Weights={"Passing": 65_535}),
    ]
    expected = [
        Member("10.0.0.1:80", weight=7),
        Member("10.0.0.1:81"),
        Member("10.0.0.1:82", weight=256),
        Member("[::1]:80", weight=2),
    ]
    assert members(instances(json.dumps(said).encode())) == expected
    assert members(instances(json.dumps(said[::-1]).encode())) == expected


BAD_INSTANCES = (
    5, None, {}, {"Service": 1}, consul(), consul(Port="http"), consul(Port=0), consul(Port=70_000),
    consul(Port=80, Address="host.example"), consul(Port=80, Address=16_777_343),
    consul(Port=80, Address="fe80::1%eth0"), consul(Port=80, Address="0.0.0.0"),
    consul(Port=80, Weights={"Passing": -1}), consul(Port=80, Weights={"Passing": float("inf")}),
    consul(Port=80, Weights={"Passing": float("nan")}), consul(Port=80, Weights=[1]),
)  # fmt: skip


@pytest.mark.parametrize("bad", BAD_INSTANCES, ids=range(len(BAD_INSTANCES)))
def test_a_bad_consul_instance_is_told_and_the_others_serve(bad: object) -> None:
    answer = instances(json.dumps([bad, consul(Port=1)]).encode())
    assert [one.address for one in answer.members] == ["10.0.0.1:1"]
    assert len(answer.faults) == 1
    with pytest.raises(DiscoveryError):
        instances(json.dumps([bad]).encode())


def test_a_bad_entry_is_told_and_the_good_ones_serve() -> None:
    answer = entries.of_data(
        ["10.0.0.1:1", "0.0.0.0:1", "10.0.0.1:0", {"address": 5}, "a b\x1b[31m"]
    )
    assert [one.address for one in answer.members] == ["10.0.0.1:1"]
    assert len(answer.faults) == 4
    assert all(fault.isprintable() for fault in answer.faults)


def test_what_is_told_of_bad_entries_is_bounded() -> None:
    bad = [{"address": f"host{n}" + "x" * 1_000 + "\n"} for n in range(1_000)]
    answer = entries.of_data(["10.0.0.1:1", *bad])
    assert len(answer.members) == 1
    assert len(answer.faults) == FAULTS_MAX
    with pytest.raises(DiscoveryError) as raised:
        entries.of_data(bad)
    for text in (*answer.faults, str(raised.value)):
        assert len(text) <= TEXT_MAX
        assert text.isprintable()


def test_two_backends_of_one_name_are_one_whatever_their_order() -> None:
    said = [{"address": f"10.0.0.{n}:1", "name": "a", "weight": n} for n in (1, 3, 2)]
    for order in (said, said[::-1]):
        answer = entries.of_data(order)
        assert answer.members == (Member("10.0.0.3:1", "a", 3),)
        assert answer.faults == ('two different backends are named "a"; one is used',)


def test_two_names_at_one_address_are_two_backends() -> None:
    said = [{"address": "10.0.0.1:1", "name": name} for name in "ba"]
    expected = [Member("10.0.0.1:1", "a"), Member("10.0.0.1:1", "b")]
    assert members(entries.of_data(said)) == expected
    assert members(entries.of_data(["10.0.0.1:1", *said])) == [Member("10.0.0.1:1"), *expected]


def test_srv_records_at_one_address_add_up() -> None:
    assert shares.scaled([("a", 10), ("b", 10), ("a", 10)]) == {"a": 20, "b": 10}
    assert shares.scaled([("a", 0), ("b", 0), ("a", 0)]) == {"a": 2, "b": 1}
    assert shares.scaled([("a", 65_535), ("a", 65_535), ("b", 0)]) == {"a": 256, "b": 1}
    assert shares.scaled([]) == {}


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"/a/", b"/a0"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")]
)
def test_the_end_of_an_etcd_range(prefix: bytes, end: bytes) -> None:
    assert range_end(prefix) == end
