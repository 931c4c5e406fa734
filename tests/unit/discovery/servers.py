"""An HTTP server in a thread, whose answers a test sets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from tests.e2e.harness.ports import PORTS

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Yields the URL at which every request gets the result of `answer`."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve(port: int) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        await stop.wait()
        await runner.cleanup()

    with PORTS.taken() as port:
        thread = threading.Thread(target=lambda: loop.run_until_complete(serve(port)), daemon=True)
        thread.start()
        assert ready.wait(20)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(20)
            loop.close()
