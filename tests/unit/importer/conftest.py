"""Shared by the tests of the import."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.importer.made import Stream, of_nginx


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    """stream("server { ... }") imports that, with an upstream u of two servers."""
    upstream = "upstream u { server 10.0.0.1:1; server 10.0.0.2:1; }"
    return lambda text: of_nginx(tmp_path, f"stream {{\n{upstream}\n{text}\n}}\n")
