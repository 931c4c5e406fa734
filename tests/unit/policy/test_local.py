"""This host's own addresses, as the kernel tells them."""

from __future__ import annotations

import psutil

from l4lb.policy.local import Local, local_addresses


def test_they_are_those_that_another_program_finds() -> None:
    rows = [one for row in psutil.net_if_addrs().values() for one in row]
    known = {one.address.partition("%")[0] for one in rows if one.family.name.startswith("AF_INET")}
    assert known <= Local((("0.0.0.0", 80), ("::", 80))).own()[80] | {"::1"}


def test_a_listener_of_one_address_has_no_other() -> None:
    assert Local((("192.0.2.7", 3128),)).own() == {3128: {"192.0.2.7"}}


def test_texts_without_an_address_have_none() -> None:
    assert local_addresses("", "x\n") == set()
