"""Turns counters into rates with a history, for `top`. Pure: times are arguments."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

KEPT = 120  # rates kept for each object
BARS = "▁▂▃▄▅▆▇█"
ROW_COUNTS = {
    "backends": ("total", "bytes_in", "bytes_out", "connect_errors"),
    "workers": ("accepted", "turns"),
}
TOTAL_COUNTS = ("accepted", "bytes_in", "bytes_out", "connect_errors", "requests")


class Sample(NamedTuple):
    """The counters at a time (seconds, of a clock that only runs forward)."""

    at_s: float
    status: Mapping[str, Any]
    stats: Mapping[str, Any]
    backends: Sequence[Mapping[str, Any]]
    workers: Sequence[Mapping[str, Any]]
    talkers: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Mapping[str, Any]] = ()


def quantile(bounds_us: Sequence[int], counts: Sequence[int], share: float) -> float | None:
    """Returns the bucket bound, in milliseconds, below which this share of all values lies; None:
    there is no value. Values above every bound count as the last bound."""
    due, so_far = share * sum(counts), 0
    if not due:
        return None
    for bucket, count in enumerate(counts):
        so_far += count
        if so_far >= due:
            return bounds_us[min(bucket, len(bounds_us) - 1)] / 1000
    return None


def row_name(kind: str, row: Mapping[str, Any]) -> str:
    """Returns a row's identity from one sample to the next."""
    return f"{row['pool']}/{row['name']}" if kind == "backends" else str(row["index"])


def bars(values: Sequence[float], width: int) -> str:
    """Draws the last values as a line of bars; the greatest is a full bar."""
    shown = list(values)[-width:]
    maximum = max(shown, default=0)
    if maximum <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[min(7, int(value / maximum * 7.999))] for value in shown)


def amount(value: float) -> str:
    """Formats a rate or count in at most five characters: 0, 12.3, 999, 12.3k, 4.5M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            scaled = value / size
            return f"{scaled:.0f}{suffix}" if scaled >= 99.95 else f"{scaled:.1f}{suffix}"
    return f"{value:.0f}" if value >= 99.95 or value == int(value) else f"{value:.1f}"


class Rates:
    """Collects samples and computes the growth in each second, with its history."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._past: dict[tuple[str, str, str], deque[float]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {"backends": [], "workers": []}
        self.totals: dict[str, float] = dict.fromkeys(TOTAL_COUNTS, 0.0)
        self.latency_ms: dict[str, tuple[float | None, float | None]] = {}  # median, 99 % of new

    @property
    def last(self) -> Sample | None:
        """The newest sample."""
        return self._last

    def past(self, kind: str, name: str, count: str) -> Sequence[float]:
        """Returns the rates of a counter of one object, oldest first; kind "totals" has the name
        ""."""
        return self._past.get((kind, name, count), ())

    def add(self, sample: Sample) -> None:
        """Adds a sample; a sample that is not later than the last one only replaces its values."""
        before = self._last
        span_s = sample.at_s - before.at_s if before is not None else 0.0
        for kind, counts in ROW_COUNTS.items():
            old = {row_name(kind, row): row for row in getattr(before, kind, ())}
            self.rows[kind] = [
                self._row(kind, counts, row, old.get(row_name(kind, row)), span_s)
                for row in getattr(sample, kind)
            ]
        for count in TOTAL_COUNTS:
            rate = _rate(sample.stats, before.stats if before else None, count, span_s)
            self.totals[count] = rate
            self._note("totals", "", count, rate)
        self.latency_ms = _latency(sample.stats, before.stats if before else {})
        self._last = sample
        self._forget()

    def _row(
        self,
        kind: str,
        counts: Sequence[str],
        row: Mapping[str, Any],
        old: Mapping[str, Any] | None,
        span_s: float,
    ) -> dict[str, Any]:
        name = row_name(kind, row)
        rates = {f"{count}_per_s": _rate(row, old, count, span_s) for count in counts}
        self._note(kind, name, counts[0], rates[f"{counts[0]}_per_s"])
        return {**row, **rates}

    def _note(self, kind: str, name: str, count: str, rate: float) -> None:
        self._past.setdefault((kind, name, count), deque(maxlen=KEPT)).append(rate)

    def _forget(self) -> None:
        """Removes the history of objects that are gone."""
        known = {(kind, row_name(kind, row)) for kind, rows in self.rows.items() for row in rows}
        for key in [key for key in self._past if key[0] != "totals" and key[:2] not in known]:
            del self._past[key]


def _latency(
    stats: Mapping[str, Any], old: Mapping[str, Any]
) -> dict[str, tuple[float | None, float | None]]:
    """Returns the durations of sessions that ended between two samples."""
    now = stats.get("latency", {"bounds_us": (), "counts": {}})
    before = old.get("latency", {}).get("counts", {})
    found = {}
    for measure, counts in now["counts"].items():
        known = before.get(measure, [0] * len(counts))
        new = [max(0, a - b) for a, b in zip(counts, known, strict=False)]
        found[measure] = (
            quantile(now["bounds_us"], new, 0.5),
            quantile(now["bounds_us"], new, 0.99),
        )
    return found


def _rate(
    row: Mapping[str, Any], old: Mapping[str, Any] | None, count: str, span_s: float
) -> float:
    """Returns growth a second; 0 if there is nothing to compare with, or if a new row has an old
    name."""
    if old is None or span_s <= 0:
        return 0.0
    return max(0.0, float(row.get(count, 0) - old.get(count, 0)) / span_s)
