"""What a metric is."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter", "histogram"]


class Metric(NamedTuple):
    """One metric. A counter's name ends in _total, a histogram's in its unit."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
