"""Weights for sources that list instances, not backends (SRV records, Consul): two instances at one
address are one backend with the share of both. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from l4lb.config.bounds import WEIGHT


def summed(weights: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Returns the weight of each address, at most the maximum weight of a backend."""
    sums: dict[str, int] = {}
    for address, weight in weights:
        sums[address] = min(sums.get(address, 0) + weight, WEIGHT[1])
    return sums


def scaled(weights: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """Returns the weight of each address from SRV weights (0 to 65,535), relative to the greatest
    sum. No address gets 0: if all weights are 0, each record counts the same (RFC 2782)."""
    raw = list(weights)
    floor = 0 if any(weight for _, weight in raw) else 1
    sums: dict[str, int] = {}
    for address, weight in raw:
        sums[address] = sums.get(address, 0) + max(weight, floor)
    top = max(sums.values(), default=1)
    maximum = WEIGHT[1]
    return {
        address: max(1, weight if top <= maximum else weight * maximum // top)
        for address, weight in sums.items()
    }
