"""Configurations of HAProxy and nginx, imported: l4lb gives requests what those programs, running
beside it with the same file, give them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer, run
from ..harness.servers import need, running
from .test_routes import Answer, backend

HAPROXY = """
global
    maxconn 500
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option forwardfor
frontend web
    bind 127.0.0.1:{port}
    acl assets path_beg /static/ /media/
    acl pictures path_end -i .png
    acl shop hdr(host) -i shop.example
    acl inside src 127.0.0.0/8
    http-request deny if {{ path_beg /admin }} !{{ path_beg /admin/open }}
    http-request deny deny_status 404 if {{ path_beg /inner }} !inside
    http-request redirect prefix https://new.example code 301 if {{ path_beg /old }}
    http-request set-header X-Env prod unless {{ method POST }}
    http-request del-header X-Secret
    http-response set-header X-Frame-Options DENY
    http-response del-header X-Backend
    use_backend static if assets or pictures
    use_backend canary if shop {{ req.cook(beta) 1 }}
    default_backend app
backend static
    server s {static}
backend canary
    http-request set-header X-Canary yes if {{ path_beg /cart }}
    server s {canary}
backend app
    server s {app}
"""
NGINX = """
{user}
worker_processes 1; pid {folder}/nginx.pid; daemon off; error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{ server {app}; }}
    upstream static {{ server {static}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port} default_server;
        return 404;
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name old.example *.old.example;
        return 301 https://$host$request_uri;
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name shop.example;
        proxy_set_header Host $host;
        location = /cart {{ proxy_pass http://{canary}; proxy_set_header Host $host; }}
        location / {{
            proxy_pass http://app;
            proxy_set_header X-Env prod;
            proxy_set_header X-Secret "";
            proxy_set_header Host $host;
            add_header X-Frame-Options DENY;
            proxy_hide_header X-Backend;
        }}
        location ^~ /static/ {{ proxy_pass http://static/assets/; }}
        location ~* [.]png$ {{ proxy_pass http://static; }}
        location /admin {{ deny 127.0.0.0/8; allow all; proxy_pass http://app; }}
        location /inner {{ allow 127.0.0.1; deny all; proxy_pass http://app; }}
        location /post {{ limit_except GET {{ deny all; }} proxy_pass http://app; }}
        location /alive {{ return 200 "yes"; }}
    }}
}}
"""
TARGETS = ("/", "/static/a?b=c", "/static", "/media/x", "/a/B.PNG", "/a.png?x", "/admin",
           "/admin/open", "/admin.png", "/inner/x", "/old/x?y=z", "/cart", "/cart/2", "/post",
           "/alive", "/static/../admin/x")  # fmt: skip
REQUESTS = [
    (method, target, {"Host": host, "X-Secret": "s", "X-Env": "mine", **more})
    for target in TARGETS for method in ("GET", "POST")
    for host in ("shop.example", "www.old.example", "other.example")
    for more in ({}, {"Cookie": "a=1; beta=1"})
]  # fmt: skip
SEEN = ("host", "x-env", "x-secret", "x-canary", "x-forwarded-for")


def ask(port: int, method: str, target: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """Returns what a client and a backend see of a request."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request(method, target, headers=dict(fields))
        answer = Answer(client.getresponse())
    finally:
        client.close()
    found: dict[str, Any] = {"status": answer.status}
    found |= {key: answer.fields.get(key) for key in ("location", "x-frame-options", "x-backend")}
    if answer.fields.get("content-type") is None and answer.status == 200:
        seen = json.loads(answer.body)
        found |= {key: seen["fields"].get(key) for key in SEEN}
        found |= {key: seen[key] for key in ("pool", "target")}
    return found


def imported(file: Path) -> dict[str, Any]:
    made = run("import", str(file))
    assert made.returncode == 0, made.stderr
    return tomllib.loads(made.stdout)


@pytest.fixture
def backends() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(backend(name)) for name in ("app", "static", "canary")}


def test_requests_get_what_haproxy_gives_them(backends: dict[str, str], tmp_path: Path) -> None:
    program, port, mine = need("haproxy"), PORTS.take(), PORTS.take()
    theirs, ours = tmp_path / "haproxy.cfg", tmp_path / "imported.cfg"
    theirs.write_text(HAPROXY.format(port=port, **backends))
    ours.write_text(HAPROXY.format(port=mine, **backends))
    command = [program, "-db", "-f", str(theirs)]
    with (
        running(command, port, tmp_path / "log", stop=signal.SIGUSR1),
        Balancer(imported(ours)),
    ):
        for method, target, fields in REQUESTS:
            if ".." in target:
                continue  # l4lb resolves it, which HAProxy does not
            said = (method, target, fields)
            assert (said, ask(mine, *said)) == (said, ask(port, *said))


def test_requests_get_what_nginx_gives_them(backends: dict[str, str], tmp_path: Path) -> None:
    program, port, mine = need("nginx"), PORTS.take(), PORTS.take()
    theirs, ours = tmp_path / "nginx.conf", tmp_path / "imported.conf"
    said_of = {"folder": tmp_path, "user": "user root;" if os.getuid() == 0 else "", **backends}
    theirs.write_text(NGINX.format(port=port, **said_of))
    ours.write_text(NGINX.format(port=mine, **said_of))
    command = [program, "-p", str(tmp_path), "-c", str(theirs), "-e", "stderr"]
    with (
        running(command, port, tmp_path / "log", stop=signal.SIGQUIT),
        Balancer(imported(ours)),
    ):
        for method, target, fields in REQUESTS:
            if ".." in target and "old" in fields["Host"]:
                continue  # l4lb's redirect has it resolved
            said = (method, target, fields)
            # A location without a host is completed by nginx with its own.
            theirs_said = ask(port, *said)
            place = theirs_said["location"]
            if place and place.startswith("http://shop.example"):
                theirs_said["location"] = "/" + place.split("/", 3)[3]
            assert (said, ask(mine, *said)) == (said, theirs_said)
