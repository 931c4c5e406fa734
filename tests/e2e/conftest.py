"""What all end-to-end tests share: a bound on each, and the hard limit of descriptors."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Backends

TIMEOUT_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test may hang: where pytest-timeout is installed, each gets a bound."""
    for item in items:
        if "e2e" in item.path.parts and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(autouse=True, scope="session")
def _all_descriptors() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
