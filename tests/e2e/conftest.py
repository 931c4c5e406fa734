"""Shared by all end-to-end tests: a time limit for each, the hard limit of descriptors, and, in a
build with sanitizers, a check that no process reports anything."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Backends
from .harness.deadline import SLOWNESS

TIMEOUT_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test a time limit, where pytest-timeout is installed: no test may hang."""
    for item in items:
        if "e2e" not in item.path.parts:
            continue
        own = item.get_closest_marker("timeout")
        bound_s = own.args[0] if own else TIMEOUT_S
        item.add_marker(pytest.mark.timeout(bound_s * SLOWNESS), append=False)


@pytest.fixture(autouse=True, scope="session")
def _all_descriptors() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(autouse=True)
def _no_reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test whose process wrote a sanitizer's report."""
    if not os.environ.get("L4LB_REPORTS"):
        yield
        return
    folder = Path(tempfile.mkdtemp(dir=os.environ["L4LB_REPORTS"]))
    # Processes that have given up their rights must be able to write reports too.
    folder.chmod(0o1777)
    monkeypatch.setenv("L4LB_REPORTS", str(folder))
    yield
    reports = "\n".join(path.read_text(errors="replace") for path in folder.iterdir())
    if not reports:
        shutil.rmtree(folder)
    assert not reports, reports


@pytest.fixture
def three() -> Iterator[Backends]:
    """Three echoing backends that send their names: a, b, c."""
    with Backends(3) as backends:
        yield backends
