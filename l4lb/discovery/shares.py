"""Weights of sources that tell of instances rather than of backends (SRV records, Consul): two of
them at one address are one backend, which gets the share of both. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from l4lb.config.bounds import WEIGHT


def summed(weights: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The weight of each address, at most what a backend may have."""
    sums: dict[str, int] = {}
    for address, weight in weights:
        sums[address] = min(sums.get(address, 0) + weight, WEIGHT[1])
    return sums


def scaled(weights: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """The weight of each address from SRV weights (0 to 65,535), against the greatest sum. None is
    shut out: where all are 0 each record counts the same (RFC 2782)."""
    raw = list(weights)
    floor = 0 if any(weight for _, weight in raw) else 1
    sums: dict[str, int] = {}
    for address, weight in raw:
        sums[address] = sums.get(address, 0) + max(weight, floor)
    top = max(sums.values(), default=1)
    most = WEIGHT[1]
    return {
        address: max(1, weight if top <= most else weight * most // top)
        for address, weight in sums.items()
    }
