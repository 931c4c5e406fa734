"""Blocked sources: blocked by an operator, or by the rule for sources that are turned away too
often.

All blocks are one set of networks (network_sets.py). Every listener looks at it while there are
blocks. A block may have an end. It does not end live sessions of its source.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import l4lb.log
from l4lb.config.tables.process import AutoBlock
from l4lb.errors import AdminError
from l4lb.native import sets, talkers
from l4lb.native.sets import BlockRow
from l4lb.native.table import Table
from l4lb.supervisor.access.network_lists import network_of, term
from l4lb.supervisor.access.network_sets import NetworkSets, Tell

REAL, DRY = 1, 2  # values in the set: blocked, blocked in a dry run
LOG = l4lb.log.get("supervisor")


class Blocks:
    """The blocked sources of one table. Methods get the time as an argument."""

    def __init__(self, table: Table, sets: NetworkSets) -> None:
        self._table = table
        self._sets = sets
        self.tell: Tell = lambda _kind, _fields: None
        self._blocks: dict[str, BlockRow] = {}
        self._rule: AutoBlock | None = None
        self._seen: dict[str, deque[tuple[int, int]]] = {}

    def configure(self, rule: AutoBlock | None) -> None:
        """Sets the rule that blocks automatically; None: there is none."""
        if rule != self._rule:
            self._rule = rule
            self._seen.clear()
            if self._blocks:
                self._publish()

    def block(self, args: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
        """Blocks `source` (an address or network) for `for_ms`, or without an end."""
        source = network_of(args.get("source"))
        for_ms, until_ms = term(args, now_ms)
        self._add({source: BlockRow(source, now_ms, until_ms, "admin", False)})
        LOG.warning("blocked", source=source, for_ms=for_ms)
        self._told(source, "blocked", by="admin", for_ms=for_ms, dry_run=False)
        return {"source": source, "for_ms": for_ms}

    @property
    def rows(self) -> list[BlockRow]:
        """The blocked sources."""
        return list(self._blocks.values())

    def restore(self, rows: Iterable[BlockRow]) -> None:
        """Restores the blocks of the old program."""
        self._blocks = {one.source: one for one in rows}
        if self._blocks:
            self._publish()

    @property
    def refusal(self) -> str:
        """How blocked clients are turned away."""
        return self._rule.refusal if self._rule else "drop"

    def unblock(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Ends the block of exactly this `source`."""
        source = network_of(args.get("source"))
        if self._blocks.pop(source, None) is None:
            raise AdminError("not_found", f"{source} is not blocked; see `l4lb admin blocks`")
        self._publish()
        LOG.warning("unblocked", source=source)
        self._told(source, "unblocked")
        return {"source": source}

    def tick(self, now_ms: int) -> bool:
        """Ends blocks whose time is over, and blocks by the rule. Returns whether anything has
        changed."""
        over = [
            source
            for source, one in self._blocks.items()
            if one.until_ms is not None and one.until_ms <= now_ms
        ]
        for source in over:
            del self._blocks[source]
            LOG.info("a block has run out", source=source)
            self._told(source, "expired")
        if over:
            self._publish()
        return self._judge(now_ms) or bool(over)

    def _judge(self, now_ms: int) -> bool:
        rule = self._rule
        if rule is None:
            return False
        new = {}
        seen: dict[str, deque[tuple[int, int]]] = {}
        for row in talkers.read(self._table, active=False):
            past = self._seen.get(row.source, deque([(now_ms, 0)]))
            if past[-1][1] > row.rejected:  # its count was dropped and has started again
                past = deque([(now_ms, 0)])
            past.append((now_ms, row.rejected))
            while len(past) > 1 and past[0][0] < now_ms - rule.window_ms:
                past.popleft()
            seen[row.source] = past
            known = row.source == "unix:" or network_of(row.source) in self._blocks
            if past[-1][1] - past[0][1] >= rule.rejections and not known:
                until_ms = now_ms + rule.duration_ms
                name = network_of(row.source)
                new[name] = BlockRow(name, now_ms, until_ms, "auto", rule.dry_run)
                # why: rejections that led to this block must not lead to the next one too.
                seen[row.source] = deque([(now_ms, row.rejected)])
        self._seen = seen
        try:
            if new:
                self._add(new)
        except AdminError as error:
            LOG.error("a source cannot be blocked", why=error.message)
            return True
        for source in new:
            LOG.warning("blocked by the rule", source=source, for_ms=rule.duration_ms,
                        dry_run=rule.dry_run)  # fmt: skip
            self._told(source, "blocked", by="auto", for_ms=rule.duration_ms, dry_run=rule.dry_run)
        return bool(new)

    def _told(self, source: str, what: str, **more: Any) -> None:
        self.tell("block_changed", {"source": source, "what": what, **more})

    def _add(self, new: Mapping[str, BlockRow]) -> None:
        if len(self._blocks | dict(new)) > sets.BLOCKS_MAX:
            raise AdminError("bad_argument", f"more than {sets.BLOCKS_MAX} would be blocked")
        self._blocks |= new
        self._publish()

    def _publish(self) -> None:
        lists = [
            ("\n".join(source for source, one in self._blocks.items() if one.dry_run == dry), value)
            for value, dry in ((REAL, False), (DRY, True))
        ]
        self._sets.block([(text.encode(), value) for text, value in lists])
        sets.write_blocks(self._table, list(self._blocks.values()), self.refusal)
