"""The HTTP server: /metrics, /healthz, the dashboard and its data.

    GET /metrics  /healthz            anybody who can connect
    GET /  /page.css  /page.js  ...   the dashboard; only under a Host that is this service's
    GET /api/state  /api/stream       the dashboard's data, once or as server-sent events
    POST /api/admin                   drain, ready, maint, weight: with `http_admin` and its token

A page of another site can make a browser send requests here. It cannot read the answers (no CORS).
A host name that was rebound to this address is refused. A change needs a header that no HTML form
can send. Clients are bounded in number, in what they send, and in how slowly they read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

import l4lb.log
from l4lb.control.handlers import Handlers
from l4lb.control.serving.dashboard import Live
from l4lb.control.setup import WebSetup
from l4lb.control.views import tls
from l4lb.errors import AdminError
from l4lb.metrics.collector import Collector
from l4lb.native.rows import Address
from l4lb.native.table import Table

LOG = l4lb.log.get("control")
CONNECTIONS_MAX = 256  # past it, the oldest connection that is no stream is closed
STREAMS_MAX = 32
STREAMS_A_SOURCE = 8  # streams of one source; an IPv6 /64 network is one source
BODY_MAX = 4 << 10  # bytes of a request's body
CERTIFICATES_TIMEOUT_S = 1.0  # time that a scrape waits for certificates
WRITE_TIMEOUT_S = 10.0  # a stream whose client reads nothing for this time ends
CHANGES = ("drain", "ready", "maint", "weight")
PAGE = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js",
        "/forward.js": "forward.js"}  # fmt: skip
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Web:
    """The HTTP server of one control process."""

    def __init__(
        self,
        setup: WebSetup,
        table: Table,
        collector: Collector,
        handlers: Handlers,
        live: Live,
    ) -> None:
        self._setup = setup
        self._table = table
        self._collector = collector
        self._handlers = handlers
        self._live = live
        self._scraping = asyncio.Lock()
        self._hosts = {name.lower() for name in ("localhost", socket.gethostname(), *setup.hosts)}
        self._streaming: dict[object, str] = {}  # source of each stream, by connection
        self._server: web.Server | None = None
        folder = resources.files("l4lb.control") / "page"
        self._files = {path: (folder / name).read_bytes() for path, name in PAGE.items()}

    async def run(self) -> None:
        """Serves without end."""
        app = web.Application(client_max_size=BODY_MAX, middlewares=[self._guard])
        app.on_response_prepare.append(_say_who)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        for path in PAGE:
            app.router.add_get(path, self._page)
        app.router.add_get("/api/state", self._state)
        app.router.add_get("/api/stream", self._stream)
        app.router.add_post("/api/admin", self._admin)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, logger=_faults_only())
        await runner.setup()
        self._server = runner.server
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(self._connection, sock=self._setup.sock)
        await listening.serve_forever()

    def _connection(self) -> asyncio.Protocol:
        """Returns the protocol of one more connection. Past CONNECTIONS_MAX the oldest connection
        that is no stream is closed."""
        assert self._server is not None
        known = self._server.connections
        if len(known) >= CONNECTIONS_MAX:
            for one in known:
                if one not in self._streaming and one.transport is not None:
                    one.transport.abort()
                    break
        made: asyncio.Protocol = self._server()
        return made

    # ---- who may ask ----------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if request.path not in ("/metrics", "/healthz") and not self._is_ours(host):
            return _plain(
                403,
                "the dashboard is not served under this host name; use the IP address, or add"
                " the name to [process] http_hosts",
            )
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _plain(error.status, error.reason or "")

    def _is_ours(self, host: str) -> bool:
        """Returns whether this Host header is an IP address, which nobody can rebind, or a name of
        ours."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return name in self._hosts

    # ---- metrics and health ---------------------------------------------------------------------

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        accept = request.headers.get("Accept", "")
        # why: one scrape at a time, so that many scrapers cannot use more than one processor.
        async with self._scraping:
            known = await self._certificates()
            body, kind = await asyncio.to_thread(self._collector.render, accept, known)
        response = web.Response(body=body, headers={"Content-Type": kind})
        response.enable_compression()
        return response

    async def _certificates(self) -> list[Mapping[str, Any]]:
        """Returns the rows of `certs`, or none if the supervisor does not answer in time."""
        found: list[Mapping[str, Any]] = []
        if tls.in_use(self._table):
            with contextlib.suppress(AdminError, TimeoutError):
                async with asyncio.timeout(CERTIFICATES_TIMEOUT_S):
                    found = await self._handlers.answer("certs", {})
        return found

    async def _healthz(self, _: web.Request) -> web.StreamResponse:
        states = {row.state for row in self._table.workers() if row.pid}
        if "runs" in states:
            return _plain(200, "ok")
        return _plain(503, "draining" if "drains" in states else "no worker runs")

    # ---- the dashboard --------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.StreamResponse:
        kind = TYPES[PAGE[request.path].rpartition(".")[2]]
        body = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    async def _state(self, _: web.Request) -> web.StreamResponse:
        return web.Response(
            body=await self._live.once(), content_type="application/json", headers=HEADERS
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._streaming) >= STREAMS_MAX:
            return _plain(503, f"{STREAMS_MAX} dashboards are open; close one")
        source = _source_of(request.remote or "")
        if list(self._streaming.values()).count(source) >= STREAMS_A_SOURCE:
            return _plain(503, f"{STREAMS_A_SOURCE} dashboards of {source} are open; close one")
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        who = request.protocol
        self._streaming[who] = source
        try:
            await response.prepare(request)
            async for state in self._live.states():
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await response.write(b"data: " + state + b"\n\n")
        except (TimeoutError, ConnectionResetError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streaming.pop(who, None)
        return response

    async def _admin(self, request: web.Request) -> web.StreamResponse:
        if not self._setup.token:
            return _refused(403, "read_only", "nothing can be changed here; see http_admin")
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        sent = given.encode(errors="surrogateescape")
        if not hmac.compare_digest(sent, self._setup.token.encode()):
            LOG.warning("a change over HTTP was refused: the token is missing or wrong",
                        client=_client(request))  # fmt: skip
            return _refused(401, "denied", "the token is missing or wrong")
        if request.content_type != "application/json":
            return _refused(415, "bad_request", "the body must be application/json")
        try:
            asked = json.loads(await request.read())
            command, args = asked["command"], asked["args"]
            if command not in CHANGES or not isinstance(args, Mapping):
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError):
            known = ", ".join(CHANGES)
            return _refused(
                400, "bad_request", f"send {{command, args}}, with one of the commands {known}"
            )
        by = {"via": "http", "client": _client(request)}
        try:
            result: Any = await self._handlers.answer(command, args, by)
        except AdminError as error:
            return _refused(500 if error.code == "internal" else 409, error.code, error.message)
        return web.json_response({"ok": True, "result": result}, headers=HEADERS)


class _Faults(logging.Handler):
    """Logs our own faults in the service's log, one line each. Requests that are not valid HTTP and
    lost connections are not our faults and are not logged."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | ConnectionError):
            what = repr(error or record.getMessage())
            LOG.error("a request over HTTP failed", error=what, exc_info=record.exc_info)


def _faults_only() -> logging.Logger:
    """Returns the logger that aiohttp uses."""
    logger = logging.Logger("l4lb.web", logging.WARNING)
    logger.addHandler(_Faults())
    return logger


async def _say_who(_: web.Request, response: web.StreamResponse) -> None:
    """Hides in the Server header which library serves."""
    response.headers["Server"] = "l4lb"


def _client(request: web.Request) -> str:
    """Returns the client's address as the kernel reports it: a proxy's, if there is one between."""
    where = request.transport.get_extra_info("peername") if request.transport else None
    return str(Address(*where[:2])) if where else "?"


def _source_of(address: str) -> str:
    """Returns the source that a client's address counts as."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def _plain(status: int, text: str) -> web.Response:
    return web.Response(
        status=status, text=text + "\n", headers={"X-Content-Type-Options": "nosniff"}
    )


def _refused(status: int, code: str, message: str) -> web.Response:
    body = {"ok": False, "error": {"code": code, "message": message}}
    return web.json_response(body, status=status, headers=HEADERS)
