"""Finds and replaces every address of a configuration that may be written as a host name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from l4lb.config.address import Address, BindRange
from l4lb.config.model import Config, Listener, Pool
from l4lb.config.position import Path

Place = Address | BindRange
Exchange = Callable[[Path, Place], Place]


def each(config: Config) -> Iterator[tuple[Path, Place]]:
    """Yields each address with its path."""
    for name, listener in config.listeners.items():
        for index, span in enumerate(listener.bind_ranges):
            yield ("listeners", name, "bind", index), span
    for name, pool in config.pools.items():
        for index, backend in enumerate(pool.backends):
            yield ("pools", name, "backends", index, "address"), backend.address
    if config.process.http is not None:
        yield ("process", "http"), config.process.http


def exchanged(config: Config, exchange: Exchange) -> Config:
    """Returns the configuration with each address replaced."""
    process = config.process
    if process.http is not None:
        http = exchange(("process", "http"), process.http)
        process = process.model_copy(update={"http": http})
    return config.model_copy(
        update={
            "process": process,
            "listeners": {n: _listener(n, one, exchange) for n, one in config.listeners.items()},
            "pools": {name: _pool(name, one, exchange) for name, one in config.pools.items()},
        }
    )


def _listener(name: str, listener: Listener, exchange: Exchange) -> Listener:
    spans = tuple(
        exchange(("listeners", name, "bind", index), span)
        for index, span in enumerate(listener.bind_ranges)
    )
    return listener.model_copy(update={"bind_ranges": spans})


def _pool(name: str, pool: Pool, exchange: Exchange) -> Pool:
    backends = tuple(
        one.model_copy(
            update={"address": exchange(("pools", name, "backends", index, "address"), one.address)}
        )
        for index, one in enumerate(pool.backends)
    )
    return pool.model_copy(update={"backends": backends})
