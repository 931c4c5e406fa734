"""Finds backends at a URL: a JSON list, requested each interval, with its ETag."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import entries, web
from l4lb.discovery.types import MS, REAL_CLOCK, Answer, Clock, DiscoveryError, Member


class Http:
    """Follows one URL."""

    def __init__(self, settings: Discovery, clock: Clock = REAL_CLOCK) -> None:
        self._clock = clock
        self._settings = settings
        self._url = settings.url or ""

    async def follow(self, _: Sequence[Member]) -> AsyncGenerator[Answer | DiscoveryError, None]:
        timeout_s = self._settings.timeout_ms / MS
        etag: str = ""
        said: Answer | None = None
        async with web.session() as client:
            while True:
                headers = {**web.bearer(self._settings.token_file), "Accept": "application/json"}
                if etag and said is not None:
                    headers["If-None-Match"] = etag
                async with web.request(
                    client, "GET", self._url, timeout_s=timeout_s, connect_timeout_s=timeout_s,
                    headers=headers,
                ) as answer:  # fmt: skip
                    if answer.status != 304 or said is None:
                        said = entries.of_json(await web.body(answer))
                        etag = answer.headers.get("ETag", "")
                yield said
                await self._clock.sleep(self._settings.interval_ms / MS)
