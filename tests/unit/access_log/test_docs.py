"""docs/logging.md describes every field of the access log, and every way in which a session
ends."""

from __future__ import annotations

import re
from pathlib import Path

from l4lb.native.snapshots import reasons
from tests.unit.access_log.test_lines import FIELDS

PAGE = (Path(__file__).parents[3] / "docs" / "logging.md").read_text()


def test_every_field_has_its_row() -> None:
    rows = " ".join(re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE))
    assert set(FIELDS) <= set(re.findall(r"`(\w+)`", rows))


def test_every_end_is_told() -> None:
    told = set(re.findall(r"`([\w:]+)`", PAGE))
    ends = {word.partition(":")[0] for word in reasons[1:]}
    assert ends <= {word.partition(":")[0] for word in told}
