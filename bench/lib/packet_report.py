"""Ratios, the balancer's processor time and the tables of bench/packet.py. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Test:
    """A job of the load generator. per_byte: what is counted are bytes, in GB."""

    args: tuple[str, ...]
    protocol: str
    per_byte: bool = False


@dataclass(frozen=True)
class Measured:
    """One test in one round. rate: units a second, or Gbit/s. cpu: of client, servers, balancer and
    kernel threads, in microseconds a unit, or seconds a GB. processes: of the balancer's processes
    alone."""

    rate: float
    cpu: float
    bad: int = 0  # units that were lost or failed
    processes: float = 0.0


@dataclass(frozen=True)
class Bar:
    """What a test is to reach. rate: minimum, cpu: maximum of the ratio to `to`."""

    test: str
    to: str
    rate: float | None = None
    cpu: float | None = None


Round = Mapping[str, Measured]  # by test
Rounds = Mapping[str, Sequence[Round]]  # by target, with equally many rounds
WIRE, ROUTING = "wire", "kernel routing"


def measured(test: Test, found: Mapping[str, float]) -> Measured:
    """Returns the figures of a job of the load generator that said this."""
    bad = int(found["errors"] + found.get("lost", 0))
    rate = found["gbit_per_second" if test.per_byte else "per_second"]
    units = max(1.0, found["bytes"] if test.per_byte else found["done"] * 1e3)
    return Measured(rate, found["cpu_ns"] / units, bad, found["balancer_ns"] / units)


def ratios(rounds: Rounds, target: str, test: str, to: str) -> list[float]:
    """Returns the ratio of both rates in each round."""
    pairs = zip(rounds[target], rounds[to], strict=True)
    return [ours[test].rate / theirs[test].rate for ours, theirs in pairs]


def own_cpu(rounds: Rounds, target: str, test: str) -> list[float]:
    """Returns what the target adds to the wire's processor time in each round."""
    pairs = zip(rounds[target], rounds[WIRE], strict=True)
    return [ours[test].cpu - wire[test].cpu for ours, wire in pairs]


def number(value: float) -> str:
    """Returns a number with three digits or more; large ones as whole numbers."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _rows(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    marks = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, marks, *rest))


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _rate(rounds: Rounds, target: str, test: str) -> str:
    mine = [one[test] for one in rounds[target] if test in one]
    if not mine:
        return "-"
    bad = sum(one.bad for one in mine)
    told = number(median(one.rate for one in mine))
    if target != ROUTING:
        told += f", x {_spread(ratios(rounds, target, test, ROUTING))}"
    return told + (f", {bad:,} lost" if bad else "")


def _cpu(rounds: Rounds, target: str, test: str) -> str:
    if target == WIRE:
        return "0"
    mine = [one[test].processes for one in rounds[target] if test in one]
    if not mine:
        return "-"
    told = _spread(own_cpu(rounds, target, test))
    return f"{told}; {median(mine):.2f}" if any(mine) else told


def tables(rounds: Rounds, tests: Mapping[str, Test]) -> str:
    """Returns the tables of rates and of processor time."""
    rates = [["rate; x routing (of each round)", *tests]]
    costs = [["balancer's CPU above the wire (of each round); its processes'", *(
        f"{name}: {'s/GB' if test.per_byte else 'us'}" for name, test in tests.items()
    )]]  # fmt: skip
    for target in rounds:
        rates.append([target, *(_rate(rounds, target, test) for test in tests)])
        costs.append([target, *(_cpu(rounds, target, test) for test in tests)])
    return f"{_rows(rates)}\n\n{_rows(costs)}"


def _verdict(good: bool) -> str:
    return "reached" if good else "not reached"


def bars(rounds: Rounds, target: str, wanted: Sequence[Bar]) -> str:
    """Returns the table of what the target reached. Leaves out what was not measured."""
    if target not in rounds:
        return f"{target} was left out."
    lines = [["target", "found", "wanted", ""]]
    for bar in wanted:
        if any(bar.test not in rounds.get(one, [{}])[0] for one in (target, bar.to)):
            continue
        if bar.rate is not None:
            found = median(ratios(rounds, target, bar.test, bar.to))
            lines.append([f"{bar.test}: rate / {bar.to}", f"{found:.2f}", f">= {bar.rate:g}",
                          _verdict(found >= bar.rate)])  # fmt: skip
        if bar.cpu is not None:
            ours, theirs = (median(own_cpu(rounds, one, bar.test)) for one in (target, bar.to))
            # why: what is within the noise of the wire has no ratio that means anything
            told = f"{ours / theirs:.2f}" if theirs > 0 else "-"
            lines.append([f"{bar.test}: CPU / {bar.to}", told, f"<= {bar.cpu:g}",
                          _verdict(ours <= bar.cpu * theirs)])  # fmt: skip
    lost = sum(one.bad for found in rounds[target] for one in found.values())
    lines.append(["lost or failed", f"{lost:,}", "0", _verdict(not lost)])
    return _rows(lines)


Floods = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]  # shield, flood, rounds, test
QUIET, ELSEWHERE = "none", "to another host"
SENT, EACH = "sent", "ns each"  # beside the tests: the rate and the cost of the flood


def _kept(
    floods: Mapping[str, Sequence[Mapping[str, float]]], flood: str, to: str, test: str
) -> list[float]:
    return [one[test] / base[test] for one, base in zip(floods[flood], floods[to], strict=True)]


def kept(found: Floods, tests: Sequence[str], least: float) -> str:
    """Returns the table of what clients keep of their rate, round by round: of that without a
    flood, and of that beside a flood that this host need not refuse."""
    heads = [f"{one}; of quiet; of elsewhere" for one in tests]
    lines = [["shield", "flood, packets/s", EACH, *heads, f"of elsewhere >= {least:g}"]]
    for shield, floods in found.items():
        for flood, rounds in floods.items():
            cells, worst = [], []
            for test in tests:
                told = number(median(one[test] for one in rounds))
                if flood != QUIET:
                    told += f"; {_spread(_kept(floods, flood, QUIET, test))}"
                if flood not in (QUIET, ELSEWHERE):
                    values = _kept(floods, flood, ELSEWHERE, test)
                    worst.append(median(values))
                    told += f"; {_spread(values)}"
                cells.append(told)
            rate = each = ""
            if flood != QUIET:
                rate = f", {min(one[SENT] for one in rounds):,.0f}"
                each = number(median(one[EACH] for one in rounds))
            verdict = _verdict(min(worst) >= least) if worst else ""
            lines.append([shield, f"{flood}{rate}", each, *cells, verdict])
    return _rows(lines)
