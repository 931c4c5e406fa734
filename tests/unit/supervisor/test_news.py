"""What workers tell, in words."""

from __future__ import annotations

import socket

import pytest

from l4lb.supervisor.news import shed_source


@pytest.mark.parametrize(
    ("family", "bits", "source"),
    [
        (socket.AF_INET, 0x7F000002, "127.0.0.2"),
        (socket.AF_INET6, 0x20010DB800000001, "2001:db8:0:1::/64"),
        (socket.AF_UNIX, 0, "unix:"),
        (0, 0, "unix:"),
    ],
)
def test_the_source_in_an_event_reads_as_talkers_shows_it(
    family: int, bits: int, source: str
) -> None:
    assert shed_source(family, bits) == source
