"""Sessions whose backends answer the TLS handshake too late, and all at the same time."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

from ..harness import PORTS, Balancer, until
from ..harness.secure import Authority

EACH = 60  # sessions of each backend: more handshakes than a worker can make in time
CONNECT_S = 0.6


class Late:
    """A TLS server that sends its part of each handshake when the test says so, and nothing after
    that. Its curve costs a client milliseconds."""

    def __init__(self, row: dict[str, str]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(row["cert"], row["key"])
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2  # no retry with another curve
        self._context.set_ecdh_curve("secp521r1")
        self.port = PORTS.take()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=4 * EACH)
        self.waiting: list[tuple[socket.socket, bytes]] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Late:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for sock, _ in self.waiting:
            sock.close()
        PORTS.release(self.port)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(5)
            with contextlib.suppress(OSError):
                self.waiting.append((sock, self._answer(sock.recv(16384))))

    def _answer(self, hello: bytes) -> bytes:
        said, answer = ssl.MemoryBIO(), ssl.MemoryBIO()
        said.write(hello)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._context.wrap_bio(said, answer, server_side=True).do_handshake()
        return answer.read()

    def speak(self) -> None:
        """Answers all handshakes that wait."""
        for sock, answer in self.waiting:
            with contextlib.suppress(OSError):
                sock.sendall(answer)


def test_handshakes_that_are_late_while_they_wait_for_their_turn_cost_no_session_its_row() -> None:
    with Authority() as ca, contextlib.ExitStack() as stack:
        row = ca.issue("localhost")
        servers = [stack.enter_context(Late(row)) for _ in range(2)]
        lb = Balancer.before(
            [{"address": f"127.0.0.1:{one.port}", "max_connections": EACH} for one in servers],
            tls={"ca": ca.path, "server_name": "localhost"},
            workers=1,
            connect_timeout=f"{int(CONNECT_S * 1000)}ms",
            retries=1,
            queue={"length": 4 * EACH, "timeout": "1s"},
        )
        stack.enter_context(lb)
        for _ in range(2 * EACH):
            stack.enter_context(lb.connect())
        until(lambda: sum(len(one.waiting) for one in servers) >= 2 * EACH, "all have said hello")
        states = {row["state"] for row in lb.ask("sessions")}
        assert "tls_backend" in states
        for one in servers:
            one.speak()
        until(lambda: lb.ask("stats")["connections"] == 0, "all have ended", timeout_s=30)
        held = {row["held"] for row in lb.ask("workers")}
        assert held == {0}
        assert lb.log().count("broken") == 0
