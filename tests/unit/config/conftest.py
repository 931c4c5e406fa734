"""Shared by the tests of the configuration."""

from __future__ import annotations

import pytest

from l4lb.config.rules import supported


@pytest.fixture
def all_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the configuration accept every feature, supported or not."""
    monkeypatch.setattr(supported, "ROWS", ())
