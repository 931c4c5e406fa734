"""Shared by the tests of the configuration."""

from __future__ import annotations

import pytest

from l4lb.config.rules import supported


@pytest.fixture
def all_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every feature had landed."""
    monkeypatch.setattr(supported, "ROWS", ())
