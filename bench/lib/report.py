"""Medians, ratios and tables of a comparison. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Rounds = Mapping[str, Sequence[Mapping[str, float]]]  # by balancer, one map for each round


@dataclass(frozen=True)
class Figure:
    """One figure of the comparison. target: minimum (if higher is better) or maximum of its ratio
    to the better peer. absolute: the target is for the figure itself, not for a ratio."""

    key: str
    title: str
    unit: str
    higher: bool
    target: float | None = None
    absolute: bool = False


FIGURES = (
    Figure("bulk_down_gbit", "bulk to the client", "Gbit/s", True, 1.5),
    Figure("bulk_up_gbit", "bulk to the backend", "Gbit/s", True, 1.5),
    Figure("bulk_down_cpu_s_per_gb", "balancer CPU, to the client", "s/GB", False, 0.6),
    Figure("bulk_up_cpu_s_per_gb", "balancer CPU, to the backend", "s/GB", False, 0.6),
    Figure("rr_per_second", "round trips, 64 B over 64", "1/s", True, 1.05),
    Figure("rr_p99_us", "their p99", "us", False, 1.0),
    Figure("conn_per_second", "new connections, 64 at a time", "1/s", True, 1.05),
    Figure("conn_p99_us", "their p99", "us", False, 1.0),
    Figure("idle_bytes_per_session", "private memory, idle session", "bytes", False, 600, True),
)
OURS = "l4lb"
DIRECT = "direct"


def medians(rounds: Rounds) -> dict[str, dict[str, float]]:
    """Returns by balancer the median over the rounds of each figure."""
    found: dict[str, dict[str, float]] = {}
    for name, measured in rounds.items():
        keys = {key for one in measured for key in one}
        found[name] = {
            key: median(one[key] for one in measured if key in one) for key in sorted(keys)
        }
    return found


def better_peer(figure: Figure, values: Mapping[str, Mapping[str, float]]) -> float | None:
    """Returns the best value among the peers; None if none was measured."""
    peers = [
        of[figure.key]
        for name, of in values.items()
        if name not in (OURS, DIRECT) and figure.key in of
    ]
    if not peers:
        return None
    return max(peers) if figure.higher else min(peers)


def ratio(figure: Figure, values: Mapping[str, Mapping[str, float]]) -> float | None:
    """Returns our figure divided by the better peer's, or our figure itself if the target is
    absolute."""
    ours = values.get(OURS, {}).get(figure.key)
    if ours is None:
        return None
    if figure.absolute:
        return ours
    peer = better_peer(figure, values)
    return ours / peer if peer else None


def verdict(figure: Figure, values: Mapping[str, Mapping[str, float]]) -> str:
    """Returns "reached", "not reached", or "" if the figure has no target or was not measured."""
    found = ratio(figure, values)
    if found is None or figure.target is None:
        return ""
    good = found >= figure.target if figure.higher else found <= figure.target
    return "reached" if good else "not reached"


def number(value: float | None) -> str:
    """Returns a number with three significant digits; large ones as whole numbers."""
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(values: Mapping[str, Mapping[str, float]]) -> str:
    """Returns the comparison as a Markdown table."""
    names = list(values)
    head = ["median of the rounds", *names, "l4lb / better peer", "target", ""]
    lines = [head, ["---"] * len(head)]
    for figure in FIGURES:
        cells = [number(values[name].get(figure.key)) for name in names]
        if all(cell == "-" for cell in cells):
            continue
        sign = ">=" if figure.higher else "<="
        of = "" if figure.absolute else " x"
        target = f"{sign} {figure.target:g}{of}" if figure.target else ""
        found = None if figure.absolute else ratio(figure, values)
        lines.append(
            [f"{figure.title} ({figure.unit})", *cells, number(found), target,
             verdict(figure, values)]
        )  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plot(values: Mapping[str, Mapping[str, float]], path: str) -> None:
    """Draws the comparison, one panel for each figure. Needs matplotlib (the extra `bench`)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = [one for one in FIGURES if any(one.key in of for of in values.values())]
    figure, panels = pyplot.subplots(3, 3, figsize=(13, 9), squeeze=False)
    for panel in panels.flat[len(shown) :]:
        panel.axis("off")
    for panel, one in zip(panels.flat, shown, strict=False):
        names = [name for name in values if one.key in values[name]]
        heights = [values[name][one.key] for name in names]
        colors = ["#2a7ab9" if name == OURS else "#b0b0b0" for name in names]
        panel.bar(names, heights, color=colors)
        better = "higher is better" if one.higher else "lower is better"
        panel.set_title(f"{one.title}\n{one.unit}, {better}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
