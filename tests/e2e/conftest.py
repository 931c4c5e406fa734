"""What all end-to-end tests share: a bound on each, the hard limit of descriptors, and, in a build
with sanitizers, that no process reports anything."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Backends
from .harness.deadline import SLOWNESS

TIMEOUT_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test may hang: where pytest-timeout is installed, each gets a bound."""
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
    """A sanitizer's report, of whatever process, fails the test that the process was of."""
    if not os.environ.get("L4LB_REPORTS"):
        yield
        return
    folder = Path(tempfile.mkdtemp(dir=os.environ["L4LB_REPORTS"]))
    # Processes that have given their rights up report too.
    folder.chmod(0o1777)
    monkeypatch.setenv("L4LB_REPORTS", str(folder))
    yield
    reports = "\n".join(path.read_text(errors="replace") for path in folder.iterdir())
    if not reports:
        shutil.rmtree(folder)
    assert not reports, reports


@pytest.fixture
def default_socket() -> Iterator[None]:
    """The default admin socket is ours: tests of all runs on this machine take turns with it."""
    with (Path(tempfile.gettempdir()) / f"l4lb-test-default-socket-{os.getuid()}").open(
        "wb"
    ) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with socket.socket(socket.AF_UNIX) as probe:
            if os.getuid() == 0 and probe.connect_ex("/run/l4lb/admin.sock") == 0:
                pytest.skip("another l4lb uses /run/l4lb/admin.sock on this machine")
        yield


@pytest.fixture
def three() -> Iterator[Backends]:
    """Three echoing backends that say their names: a, b, c."""
    with Backends(3) as backends:
        yield backends
