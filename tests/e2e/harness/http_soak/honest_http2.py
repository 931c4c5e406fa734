"""Honest clients of HTTP/2: many requests at a time on one connection."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter

import h2.exceptions

from ..http2 import GoneError, Http2
from ..soak.honest import WAIT_S
from .honest import SLOW_WINDOW, Asked, Got, Honest
from .talk import Plan

METHODS = ("GET", "GET", "GET", "HEAD", "PUT", "POST", "DELETE")
REFUSED = 7  # REFUSED_STREAM: nothing of the request was processed
AT_ONCE = (1, 3, 10)


class Streams(Honest):
    """A client with prior knowledge."""

    kind, scheme, at_once = "h2", "http", max(AT_ONCE)

    def once(self) -> None:
        rng = self.rng
        window = rng.choice((1 << 20, 1 << 20, 65_535, 1_000))
        sock = self.connected(SLOW_WINDOW if rng.random() < 0.1 else 0)
        if sock is None:
            return
        asked: dict[int, Asked] = {}
        with contextlib.closing(sock):
            try:
                client = Http2(sock, window=window)
                sock.settimeout(WAIT_S)
            except OSError as error:
                first = Asked(Plan("", "connect", 0, 0, 0), "", time.monotonic())
                self.tally.fail(self, first, repr(error))
                return
            self._use_to_its_end(client, asked, small=window < 65_535)

    def _use_to_its_end(self, client: Http2, asked: dict[int, Asked], *, small: bool) -> None:
        try:
            self._use(client, asked, small=small)
        except TimeoutError:
            self.tally.stuck.append(f"{self.kind}: {asked}: nothing within {WAIT_S:g} s")
        except h2.exceptions.ProtocolError as error:
            self.tally.wrong.append(f"{self.kind}: {error!r}, {asked}")
        except (GoneError, OSError) as error:
            client.last_words()
            self._gone(client, asked, repr(error))

    def _use(self, client: Http2, asked: dict[int, Asked], *, small: bool) -> None:
        """Asks in batches until the server says that it goes away."""
        for _ in range(self.rng.choice((1, 5, 20))):
            if self.stop.is_set() or client.goaway:
                break
            for _ in range(self.rng.choice(AT_ONCE)):
                self._ask(client, asked, small=small)
                if client.goaway:
                    break
            for stream in list(asked):
                client.answer(stream)
                self._judge(client, stream, asked.pop(stream))
            if self.rng.random() < 0.1:
                time.sleep(self.rng.random() * 0.2)

    def _ask(self, client: Http2, asked: dict[int, Asked], *, small: bool) -> None:
        method = self.rng.choice(METHODS)
        plan = Plan.drawn(self.rng, method)
        if small:
            plan = Plan(plan.area, plan.way, plan.seed, plan.up, min(plan.down, 5_000), 1)
        has_body = method in ("PUT", "POST")
        stream = client.h2.get_next_available_stream_id()
        asked[stream] = Asked(plan, method, time.monotonic())
        fields = [("x-id", str(plan.seed))]
        if has_body and self.rng.random() < 0.5:
            fields.append(("content-length", str(plan.up)))
        client.begin(plan.target, method, fields, ends=not has_body, scheme=self.scheme)
        if has_body:
            # It may have been answered or reset before its body has gone.
            with contextlib.suppress(h2.exceptions.StreamClosedError):
                client.send(stream, plan.body())

    def _judge(self, client: Http2, stream: int, asked: Asked) -> None:
        got = client.answers.pop(stream)
        if got.reset is not None and not got.ended:
            refused = got.reset == REFUSED and not got.status
            self.tally.fail(self, asked, f"reset {got.reset}", again=refused)
            return
        if got.trailers or Counter(name for name, _ in got.fields)["x-id"] > 1:
            self.tally.wrong.append(f"{self.kind}: {asked}: {got.fields}")
        self.tally.judge(self, asked, Got(got.status, got.get("x-id"), bytes(got.body)))

    def _gone(self, client: Http2, asked: dict[int, Asked], how: str) -> None:
        """Notes the requests that the connection's end has left without an answer."""
        last = min((last for _, last in client.goaway), default=1 << 31)
        for stream, one in asked.items():
            got = client.answers.get(stream)
            if got is not None and got.ended:
                self._judge(client, stream, one)
                continue
            said = f"stream {stream}, {client.goaway=}: {how}"
            self.tally.fail(self, one, said, again=stream > last)


class StreamsSecurely(Streams):
    """A client over TLS."""

    kind, scheme, listener = "h2 over TLS", "https", "secure"

    def dial(self, window: int = 0) -> socket.socket:
        self.tls.set_alpn_protocols(["h2"])
        return super().dial(window)
