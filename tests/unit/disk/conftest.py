"""A folder with a keeper, for each test of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .keeping import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "pages")
    yield made
    made.folder.close()
