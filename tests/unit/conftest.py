"""The common start of every unit test, whichever test ran before it."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
import structlog

# why: no example is too slow, because the machine may be busy.
hypothesis.settings.register_profile(
    "l4lb", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("l4lb")


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """Sets the log up again: the log of an earlier test writes to a stream that is closed now."""
    yield
    structlog.reset_defaults()
