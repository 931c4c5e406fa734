"""Formats samples: the Prometheus format 0.0.4 and OpenMetrics 1.0.0.

why not the client library: a thousand backends are twelve thousand samples, on which it spends ten
times as long. The tests use its parsers. Names and labels are those of names.py, so only label
values and help texts need escaping.
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
    """Returns a label's value in the form that it has between the quotes."""
    return value.translate(ESCAPES)


def labelled(names: Iterable[str], values: Iterable[str]) -> str:
    """Returns name="value",... without the braces."""
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{escaped(value)}"' for name, value in pairs)


class Scrape:
    """The samples of one scrape. A sample's labels are a result of `labelled`."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {name: [] for name in METRICS}

    def lines_of(self, name: str) -> list[str]:
        """Returns the list of this metric's lines, for callers with very many samples; `sample`
        makes a line."""
        return self._lines[name]

    def add(self, name: str, value: float, *labels: str) -> None:
        """Adds one sample of a gauge or counter; labels in the order of names.py."""
        self._lines[name].append(sample(name, labelled(METRICS[name].labels, labels), value))

    def add_histogram(
        self, name: str, labels: Iterable[str], bounds: Iterable[str], counts: Iterable[int],
        total: float,
    ) -> None:  # fmt: skip
        """Adds one histogram. counts are each bucket's own; this function adds them up."""
        named = labelled(METRICS[name].labels, labels)
        below, lines = 0, self._lines[name]
        for bound, count in zip((*bounds, "+Inf"), counts, strict=True):
            below += count
            lines.append(sample(f"{name}_bucket", f'{named},le="{bound}"', below))
        lines.append(sample(f"{name}_sum", named, total))
        lines.append(sample(f"{name}_count", named, below))

    def text(self) -> str:
        """Returns all samples in the Prometheus format."""
        return "".join(self._parts(bare_counters=False))

    def openmetrics(self) -> str:
        """Returns all samples as OpenMetrics, where a counter's family has no _total."""
        return "".join(self._parts(bare_counters=True)) + "# EOF\n"

    def _parts(self, *, bare_counters: bool) -> Iterable[str]:
        for name, metric in METRICS.items():
            bare = bare_counters and metric.kind == "counter"
            family = name.removesuffix("_total") if bare else name
            yield f"# HELP {family} {metric.help}\n# TYPE {family} {metric.kind}\n"
            yield from self._lines[name]


def sample(name: str, labels: str, value: float) -> str:
    """Returns one line."""
    return f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n"


def prefers_openmetrics(accept: str) -> bool:
    """True if a client with this Accept header accepts OpenMetrics. Prometheus asks for it."""
    kinds = [one.partition(";") for one in accept.split(",")]
    return any(
        kind.strip() == "application/openmetrics-text" and "q=0" not in rest.split(";")
        for kind, _, rest in kinds
    )
