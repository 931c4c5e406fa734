"""Samples as text: the Prometheus format 0.0.4 and OpenMetrics 1.0.0.

Why our own: a thousand backends are twelve thousand samples, on which the client library spends ten
times as long. Its parsers read ours in the tests. Names and labels are those of names.py, so only
label values and help texts need escaping.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from l4lb.metrics.names import METRICS

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@lru_cache(maxsize=4_096)
def escaped(value: str) -> str:
    """A label's value as it stands between the quotes."""
    return value.translate(ESCAPES)


def labelled(names: Iterable[str], values: Iterable[str]) -> str:
    """name="value",... without the braces."""
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{escaped(value)}"' for name, value in pairs)


class Scrape:
    """The samples of one scrape. A sample's labels are what `labelled` made of them."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {name: [] for name in METRICS}

    def lines_of(self, name: str) -> list[str]:
        """Where lines of this metric go, for who has very many: `sample` makes one."""
        return self._lines[name]

    def add(self, name: str, value: float, *labels: str) -> None:
        """One sample of a gauge or counter; labels in the order of names.py."""
        self._lines[name].append(sample(name, labelled(METRICS[name].labels, labels), value))

    def add_histogram(
        self, name: str, labels: Iterable[str], bounds: Iterable[str], counts: Iterable[int],
        total: float,
    ) -> None:  # fmt: skip
        """One histogram: counts are each bucket's own; they are added up here."""
        named = labelled(METRICS[name].labels, labels)
        below, lines = 0, self._lines[name]
        for bound, count in zip((*bounds, "+Inf"), counts, strict=True):
            below += count
            lines.append(sample(f"{name}_bucket", f'{named},le="{bound}"', below))
        lines.append(sample(f"{name}_sum", named, total))
        lines.append(sample(f"{name}_count", named, below))

    def text(self) -> str:
        """All of it in the Prometheus format."""
        return "".join(self._parts(bare_counters=False))

    def openmetrics(self) -> str:
        """All of it as OpenMetrics, where a counter's family has no _total."""
        return "".join(self._parts(bare_counters=True)) + "# EOF\n"

    def _parts(self, *, bare_counters: bool) -> Iterable[str]:
        for name, metric in METRICS.items():
            bare = bare_counters and metric.kind == "counter"
            family = name.removesuffix("_total") if bare else name
            yield f"# HELP {family} {metric.help}\n# TYPE {family} {metric.kind}\n"
            yield from self._lines[name]


def sample(name: str, labels: str, value: float) -> str:
    """One line."""
    return f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n"


def prefers_openmetrics(accept: str) -> bool:
    """Does a client that sends this Accept header take OpenMetrics? Prometheus asks for it."""
    kinds = [one.partition(";") for one in accept.split(",")]
    return any(
        kind.strip() == "application/openmetrics-text" and "q=0" not in rest.split(";")
        for kind, _, rest in kinds
    )
