"""The state, beside counts, that one program passes to the next: health of backends, sticky
entries, blocks and rules, the keys of hashes and session tickets, and certificates with their keys.

Everything is by name, as in carried_counts.py: the next program's table may have another layout and
other rows.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import l4lb.log
from l4lb.native import health, sets, sticky, udp
from l4lb.native.sets import BlockRow
from l4lb.native.table import Table
from l4lb.supervisor.access.network_lists import Content
from l4lb.supervisor.access.runtime_rules import Rule
from l4lb.supervisor.access.set_builder import Batch
from l4lb.supervisor.table.membership import Membership

LOG = l4lb.log.get("supervisor")


def taken(table: Table, membership: Membership, secrets: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all of the state except sticky entries."""
    return {
        "hash_key": table.hash_key.hex(),
        **secrets,
        "udp_seed": udp.seed(table),
        "health": [
            [*key, health.exported(table, row)] for key, row in membership.backends.live.items()
        ],
        "rules": [list(dataclasses.astuple(rule)) for rule in membership.policy.rules.rows],
        "blocks": [list(row) for row in membership.policy.blocks.rows],
        "policy": membership.policy.gate.counted(),
        "records": membership.policy.records_counted(),
    }


def sticky_entries(table: Table, membership: Membership, now_ms: int) -> dict[str, Any]:
    """Writes the sticky entries to a file in memory. The caller owns its descriptor. Raises
    OSError."""
    fd = os.memfd_create("l4lb-sticky", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(sticky.exported(table, now_ms))
    return {
        "fd": fd,
        "entry_bytes": sticky.ENTRY_BYTES,
        "pools": [[name, row] for name, row in membership.pools.live.items()],
        "backends": [[*key, row] for key, row in membership.backends.live.items()],
    }


def lists(membership: Membership) -> dict[str, Any]:
    """Writes the sets of networks that were built from files to a file in memory, so that a list
    whose file cannot be read now stays in force. The caller owns the descriptor. Raises OSError."""
    fd = os.memfd_create("l4lb-lists", os.MFD_CLOEXEC)
    rows, at = [], 0
    with os.fdopen(os.dup(fd), "wb") as file:
        for content, stamps, built in membership.policy.sets.of_files():
            file.write(built)
            rows.append([content.lists, content.files, dict(stamps), at, len(built)])
            at += len(built)
    return {"fd": fd, "form": sets.FORMAT, "sets": rows}


def batch_of(told: Mapping[str, Any] | None) -> Batch:
    """Returns the sets that `lists` wrote, with a descriptor of the batch's own. There are none if
    the sets have another format."""
    rows = told["sets"] if told and told["form"] == sets.FORMAT else ()
    fd = os.dup(told["fd"]) if told else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    known = [
        (Content(tuple(map(tuple, texts)), tuple(map(tuple, files))), stamps, (at, size))
        for texts, files, stamps, at, size in rows
    ]
    return Batch(
        fd,
        {content: place for content, _, place in known},
        {
            content: {path: tuple(stamp) for path, stamp in stamps.items()}
            for content, stamps, _ in known
        },
    )


def key_of(told: Mapping[str, Any]) -> bytes:
    """Returns the key that hashed clients; b"" if the old program did not pass it."""
    return bytes.fromhex(told.get("hash_key", ""))


def restore(table: Table, membership: Membership, told: Mapping[str, Any]) -> None:
    """Writes the state into a table that no other process has yet."""
    if "udp_seed" in told:
        udp.set_seed(table, told["udp_seed"])
    for pool, name, known in told.get("health", ()):
        row = membership.backends.live.get((pool, name))
        if row is not None:
            health.restore(table, row, known)
    membership.policy.rules.restore(Rule(*rule) for rule in told.get("rules", ()))
    membership.policy.gate.restore(told.get("policy", {}))
    membership.policy.records.restore(told.get("records", {}))
    membership.policy.blocks.restore(BlockRow(*row) for row in told.get("blocks", ()))


def restore_sticky(
    table: Table, membership: Membership, told: Mapping[str, Any], now_ms: int
) -> None:
    """Enters the sticky entries. The caller still owns their file."""
    packed = os.pread(told["fd"], os.fstat(told["fd"]).st_size, 0)
    if told["entry_bytes"] != sticky.ENTRY_BYTES:
        LOG.warning("sticky entries are lost: the old program kept them in another format")
        return
    pools, backends = membership.pools.live, membership.backends.live
    sticky.restore(
        table,
        packed,
        {row: pools[name] for name, row in told["pools"] if name in pools},
        {
            row: backends[pool, name]
            for pool, name, row in told["backends"]
            if (pool, name) in backends
        },
        now_ms,
    )
