"""What every unit test starts from, whichever ran before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A log that one test set up writes to a stream that is closed in the next."""
    yield
    structlog.reset_defaults()
