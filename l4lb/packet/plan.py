"""What the shield should say of each listener: the configuration as rules of the kernel's program.
Pure.

The shield takes over what a worker would do without a word: refusals by `drop`, and those of UDP.
A reset and the tarpit are answers, which only a worker can give. A rule in dry run stays with the
workers too, who count it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from l4lb.config.tables.admission import Access
from l4lb.config.tables.listener import Listener


@dataclass(frozen=True)
class Numbers:
    """The sets of a listener in the shared table; None: it has no such set. blocks: only if a
    source is blocked."""

    trusted: int | None = None
    blocks: int | None = None
    forwarders: int | None = None
    rules: int | None = None
    access: int | None = None


@dataclass(frozen=True)
class Wanted:
    """The rules of one listener for the program, with sets of the shared table."""

    proxies: int | None = None
    blocks: int | None = None
    speakers: int | None = None
    rules: int | None = None
    access: int | None = None
    judges_access: bool = False
    others_denied: bool = False

    @property
    def sets(self) -> frozenset[int]:
        """The sets that it names."""
        named = (self.proxies, self.blocks, self.speakers, self.rules, self.access)
        return frozenset(one for one in named if one is not None)

    @property
    def says_something(self) -> bool:
        return self.blocks is not None or self.judges_access

    def without(self, missing: Callable[[int], bool]) -> Wanted:
        """Returns the rules as far as they can be applied without these sets. The program must not
        be stricter than a worker, so a rule goes together with its exceptions."""

        def lacks(*numbers: int | None) -> bool:
            return any(one is not None and missing(one) for one in numbers)

        if lacks(self.proxies):
            return Wanted()
        left = replace(self, blocks=None) if lacks(self.blocks) else self
        if lacks(self.speakers, self.rules, self.access):
            left = Wanted(proxies=left.proxies, blocks=left.blocks)
        return left


def wanted(listener: Listener, numbers: Numbers, block_refusal: str) -> Wanted:
    """Returns the rules of a listener. block_refusal: how blocked clients are turned away."""
    silent = listener.transport == "udp"
    # why: a SYN may be another path of a session in progress.
    if listener.mptcp and not silent:
        return Wanted()
    access = listener.access or Access()
    listed = numbers.access is not None or numbers.rules is not None
    judges = listed and not access.dry_run and (silent or access.refusal == "drop")
    blocks = numbers.blocks if silent or block_refusal == "drop" else None
    return Wanted(
        proxies=numbers.trusted if listener.proxy_protocol != "off" else None,
        blocks=blocks,
        speakers=numbers.forwarders if judges and listener.protocol == "http" else None,
        rules=numbers.rules if judges else None,
        access=numbers.access if judges else None,
        judges_access=judges,
        others_denied=judges and access.others_denied,
    )


def left_to_workers(listener: Listener, block_refusal: str) -> str | None:
    """Returns why workers turn this listener's clients away themselves; None: the shield does."""
    if listener.transport == "udp":
        return None
    if listener.mptcp:
        return "mptcp"
    access = listener.access
    if access is not None and access.dry_run:
        return "access.dry_run"
    if access is not None and access.refusal != "drop":
        return f"access.refusal = {access.refusal}"
    return f"auto_block.refusal = {block_refusal}" if block_refusal != "drop" else None
