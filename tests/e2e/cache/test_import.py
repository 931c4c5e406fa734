"""Imported caches, beside the programs that they are from: both give the same requests an answer
that was kept."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path

import pytest

from ..harness.beside import Beside
from ..harness.deadline import PATIENCE_S
from ..harness.http import Fields, Peer, Request, answer
from ..harness.origin import Origin

numbers = itertools.count()
FIELDS = {
    "/lasting": [("Cache-Control", "max-age=60")],
    "/private": [("Cache-Control", "private, max-age=60")],
    "/no-store": [("Cache-Control", "no-store")],
    "/cookie": [("Cache-Control", "max-age=60"), ("Set-Cookie", "sid=1")],
    "/two-ways": [("Cache-Control", "max-age=60"), ("Vary", "X-Way")],
    "/silent": [],
    "/lost": [],
    "/off": [("Cache-Control", "max-age=60")],
}


def numbered(request: Request) -> bytes:
    """Answers with another number each time."""
    path = request.target.partition("?")[0]
    status = 404 if path == "/lost" else 200
    return answer(f"{next(numbers)}".encode(), status, fields=FIELDS[path])


def is_kept(port: int, targets: tuple[str, str], fields: tuple[Fields, Fields] = ((), ())) -> bool:
    """Returns whether the second of two requests gets the answer to the first."""
    with Peer(socket.create_connection(("127.0.0.1", port), PATIENCE_S)) as peer:
        one, other = (
            peer.ask(target, fields=more) for target, more in zip(targets, fields, strict=True)
        )
        return one.body == other.body


def twice(target: str) -> tuple[str, str]:
    return target, target


NGINX = """
proxy_cache_path {folder}/theirs keys_zone=pages:1m max_size=32m;
server {{
  listen 127.0.0.1:PORT;
  proxy_cache pages;
  proxy_cache_valid 1m;
  proxy_cache_valid 404 1m;
  proxy_cache_bypass $cookie_user;
  proxy_no_cache $cookie_user;
  location / {{ proxy_pass http://{origin}; }}
  location /off {{ proxy_pass http://{origin}; proxy_cache off; }}
}}
"""
HAPROXY = """
cache pages
  total-max-size 16
  process-vary on
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
frontend web
  bind 127.0.0.1:PORT
  use_backend off if {{ path /off }}
  default_backend kept
backend kept
  http-request cache-use pages
  http-response cache-store pages
  server a {origin}
backend off
  server a {origin}
"""


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_the_same_answers_are_kept(tmp_path: Path, program: str) -> None:
    with Origin(numbered) as origin:
        text = {"nginx": NGINX, "haproxy": HAPROXY}[program]
        text = text.format(folder=tmp_path, origin=origin.address)
        with Beside(program, tmp_path, text, block="http") as both:
            theirs, ours = (
                {path for path in FIELDS if is_kept(port, twice(path))}
                for port in (both.theirs, both.ours)
            )
            # HAProxy gives one client's cookie to others.
            assert theirs - ours == ({"/cookie"} if program == "haproxy" else set())
            known = {"/lasting", "/two-ways"}
            assert ours == (known | {"/silent", "/lost"} if program == "nginx" else known)
            queries = ("/lasting?a", "/lasting?b")
            assert not both.see(lambda port: is_kept(port, queries))
            ways = ([("X-Way", "1")], [("X-Way", "2")])
            assert not both.see(lambda port: is_kept(port, twice("/two-ways?x"), ways))


def test_requests_that_go_past_nginx_s_cache_go_past_ours(tmp_path: Path) -> None:
    with Origin(numbered) as origin:
        text = NGINX.format(folder=tmp_path, origin=origin.address)
        with Beside("nginx", tmp_path, text, block="http") as both:
            for cookie, kept in (("user=ann", False), ("other=ann", True)):
                fields = ([("Cookie", cookie)], [("Cookie", cookie)])
                target = twice(f"/lasting?{cookie}")
                assert both.see(lambda port, f=fields, t=target: is_kept(port, t, f)) is kept
            fields = ([], [("Cookie", "user=ann")])
            assert not both.see(lambda port: is_kept(port, twice("/lasting?mixed"), fields))
