"""`l4lb check` tells what this host lacks for the shield."""

from __future__ import annotations

import pytest

from l4lb.config.reading.parse import loads
from l4lb.packet import checked, program


def said(packet: str) -> list[str]:
    config = loads(
        f'[process.packet]\n{packet}\n[listeners.web]\nbind = ["127.0.0.1:80"]\npool = "web"\n'
        '[pools.web]\nbackends = ["127.0.0.1:1"]\n',
        "l4lb.toml",
    )
    return [str(one) for one in checked.warnings(config)]


def test_interfaces_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "is_built", lambda: True)
    (only,) = said('interfaces = ["lo", "eth77"]')
    assert only == "l4lb.toml:2: process.packet.interfaces: this host has no interface eth77"
    assert said('interfaces = ["eth77"]\nshield = "off"') == []


def test_a_package_without_the_shield_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "is_built", lambda: False)
    (only,) = said('interfaces = ["lo"]')
    assert "built without programs" in only
