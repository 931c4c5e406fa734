"""UDP sessions that workers hand over to the kernel, and those that need a worker for each
datagram."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config.draft import Draft, Table, table
from l4lb.config.model import Config, Listener, Pool
from l4lb.config.origin import Finding, path_text
from l4lb.config.rules.packet_checks import is_set, pools_of, stated, uses_packet

# Keys that say something of each datagram, or of the sockets that it goes through.
OF_LISTENERS = ("transparent", "interface", "mark", "dscp")
OF_POOLS = (
    "requests", "per_datagram", "responses", "proxy_protocol_udp", "transparent", "interface",
    "mark", "dscp",
)  # fmt: skip


def hands_over(config: Config, listener_name: str, pool_name: str) -> bool:
    """Returns whether workers hand the sessions of this UDP listener at this pool over to the
    kernel."""
    return (
        config.process.packet is not None
        and not uses_packet(config, listener_name)
        and listener_lets_go(config.listeners[listener_name])
        and pool_lets_go(config.pools[pool_name])
    )


def listener_lets_go(listener: Listener) -> bool:
    """Returns whether sessions of the listener may go to the kernel, if their pool allows it."""
    return listener.protocol == "udp" and not any(_kept(stated(listener), {}))


def pool_lets_go(pool: Pool) -> bool:
    """Returns whether sessions of the pool may go to the kernel, if their listener allows it."""
    return pool.hand_over is not False and not any(_kept({}, stated(pool)))


def _kept(listener: Table, pool: Table) -> Iterator[tuple[bool, str]]:
    """Yields the keys for which a worker must see each datagram. True: a key of the pool."""
    yield from (
        (False, key) for key in OF_LISTENERS if key in listener and is_set(key, listener[key])
    )
    yield from ((True, key) for key in OF_POOLS if key in pool and is_set(key, pool[key]))
    if pool.get("hash_key") == "quic_cid":
        yield True, "hash_key"


def findings(draft: Draft) -> Iterator[Finding]:
    """Yields each hand_over that nothing would come of."""
    for pool in draft.pools:
        if pool.table.get("hand_over") is not True:
            continue
        path = (*pool.path, "hand_over")
        if "packet" not in table(draft.data, "process"):
            hint = 'such as [process.packet] with interfaces = ["eth0"]'
            yield Finding(path, "needs [process.packet]", hint)
        for listener in draft.listeners:
            if listener.protocol != "udp" or pool.name not in pools_of(listener):
                continue
            for is_of_pool, key in _kept(listener.table, pool.table):
                at = path_text((*(pool.path if is_of_pool else listener.path), key))
                message = f"has no effect beside {at}: a worker must see each datagram"
                yield Finding(path, message, "remove one of the two")


RULES = (findings,)
