"""What every unit test starts from, whichever ran before it."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
import structlog

# A busy machine is no fault of the code: no example is too slow.
hypothesis.settings.register_profile(
    "l4lb", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("l4lb")


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A log that one test set up writes to a stream that is closed in the next."""
    yield
    structlog.reset_defaults()
