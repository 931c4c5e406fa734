"""A provider of discovery, followed in a thread; its answers come one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery.providers import provider
from l4lb.discovery.types import Answer, DiscoveryError, Member

PATIENCE_S = 30


class Following:
    """The answers of a provider; it is ended by the end of the block."""

    def __init__(self, settings: dict[str, Any], before: Sequence[Member] = ()) -> None:
        self._before = before
        self._provider = provider(Discovery.model_validate(settings))
        self._said: queue.Queue[Answer | DiscoveryError] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._follow())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _follow(self) -> None:
        try:
            async with contextlib.aclosing(self._provider.follow(self._before)) as answers:
                async for said in answers:
                    self._said.put(said)
        except DiscoveryError as error:
            self._said.put(error)

    def answer(self) -> Answer:
        """The next answer."""
        said = self._said.get(timeout=PATIENCE_S)
        assert not isinstance(said, DiscoveryError), said
        return said

    def next(self) -> list[Member]:
        """Returns the members of the next answer, also if parts of it failed."""
        return list(self.answer().members)

    def said(self) -> list[Member] | str:
        """Returns the members of the next answer, or the source's failure."""
        said = self._said.get(timeout=PATIENCE_S)
        return str(said) if isinstance(said, DiscoveryError) else list(said.members)

    def addresses(self) -> list[str]:
        """The addresses of the next answer."""
        return [one.address for one in self.next()]

    def until(self, *addresses: str) -> None:
        """Reads answers until one has exactly these addresses."""
        while self.addresses() != sorted(addresses):
            pass

    def fault(self) -> str:
        """Returns the source's failure, after any answers before it."""
        while True:
            said = self._said.get(timeout=PATIENCE_S)
            if isinstance(said, DiscoveryError):
                return str(said)

    def quiet(self) -> bool:
        """Returns whether no answer is waiting."""
        return self._said.empty()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "a provider does not end when it is cancelled"


@contextlib.contextmanager
def following(before: Sequence[Member] = (), **settings: Any) -> Iterator[Following]:
    """Follows a provider with these settings of a configuration."""
    one = Following(settings, before)
    try:
        yield one
    finally:
        one.close()
