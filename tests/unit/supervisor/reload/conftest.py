"""The fixture of this folder."""

from __future__ import annotations

import pytest

from l4lb.supervisor.reload import reload

from .running import Loads, Running


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    loads = Loads()
    monkeypatch.setattr(reload, "Loader", loads)
    return Running(loads)
