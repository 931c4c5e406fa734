"""nginx.conf: the stream part, with what it includes; what is left is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.config import parse
from l4lb.errors import L4lbError
from l4lb.importer import nginx
from tests.unit.cli.conftest import L4lb, l4lb

__all__ = ["l4lb"]

FILE = """\
worker_processes 2;
events { worker_connections 1000; }
http {
    server { listen 80; }
}
stream {
    proxy_timeout 10m;
    include more.conf;
    upstream app {
        least_conn;
        server 10.0.0.1:80 weight=3 max_conns=9;
        server 10.0.0.2:80 backup;
        server unix:/run/app.sock down;
        server 10.0.0.3:80 resolve;
    }
    server {
        listen 8080;
        listen [::]:8080 ipv6only=on;
        proxy_pass app;
        proxy_connect_timeout 1s;
        proxy_next_upstream_tries 3;
        proxy_upload_rate 1m;
    }
    server { listen 53 udp reuseport; proxy_pass dns; proxy_timeout 5; }
    server { listen 9000; proxy_pass 10.0.0.9:9000; }
    server { listen 9001; proxy_pass $where; }
}
"""
MORE = "upstream dns { hash $remote_addr consistent; server 10.0.0.5:53 max_fails=2; }\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "more.conf").write_text(MORE)
    path = tmp_path / "nginx.conf"
    path.write_text(FILE)
    return path


def test_the_stream_part_is_carried_over(file: Path) -> None:
    config = parse.loads(nginx.read(str(file)).toml(), "made.toml")
    assert (config.process.workers, config.limits.max_connections) == (2, 1_000)
    app = config.pools["app"]
    assert (app.balance, app.retries) == ("least_connections", 2)
    assert (app.connect_timeout_ms, app.idle_timeout_ms) == (1_000, 600_000)
    one, two, three, four = app.backends
    assert (one.weight, one.max_connections, two.backup) == (3, 9, True)
    assert (str(three.address), three.weight, four.weight) == ("unix:/run/app.sock", 0, 1)
    dns = config.pools["dns"]
    assert (dns.balance, dns.idle_timeout_ms) == ("maglev", 5_000)
    assert dns.passive is not None
    assert dns.passive.failures == 2
    assert config.listeners["dns-udp"].protocol == "udp"
    assert [str(bind) for bind in config.listeners["app-tcp"].bind] == ["0.0.0.0:8080", "[::]:8080"]
    assert str(config.pools["10.0.0.9:9000"].backends[0].address) == "10.0.0.9:9000"


def test_every_line_that_is_left_is_named(file: Path) -> None:
    left = [str(one).removeprefix(f"{file}:") for one in nginx.read(str(file)).left]
    assert sorted(int(one.split(":")[0]) for one in left) == [3, 4, 4, 13, 14, 18, 22, 26]


def test_the_command_prints_the_one_and_names_the_other(l4lb: L4lb, file: Path) -> None:
    done = l4lb("import", str(file))
    assert done.status == 0
    assert parse.loads(done.out, "made.toml").pools
    assert f"left: {file}:22: proxy_upload_rate 1m: there is nothing like it here" in done.err
    assert l4lb("import", "--strict", str(file)).status == 1


def test_what_cannot_be_read_is_an_error(l4lb: L4lb, tmp_path: Path) -> None:
    done = l4lb("import", str(tmp_path / "none"))
    assert (done.status, "cannot be read" in done.err) == (2, True)
    (tmp_path / "nginx.conf").write_text("stream {")
    with pytest.raises(L4lbError):
        nginx.read(str(tmp_path / "nginx.conf"))


def test_a_result_that_needs_a_hand_says_where(l4lb: L4lb, tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text("global\n maxconn 1\n")
    done = l4lb("import", str(path))
    assert done.status == 1
    assert "to be put right by hand: " in done.err
    assert "there is no listener" in done.err


def test_socket_options_are_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(
        "stream { server { listen 9000 so_keepalive=30m::10; proxy_pass 10.0.0.9:9000;"
        " proxy_bind $remote_addr transparent; proxy_socket_keepalive on; } }"
    )
    draft = nginx.read(str(path))
    config = parse.loads(draft.toml(), "made.toml")
    (listener,), (pool,) = config.listeners.values(), config.pools.values()
    assert listener.options == {
        "keepalive": 1, "keepalive_idle_s": 1_800, "keepalive_probes": 10
    }  # fmt: skip
    assert (pool.transparent, pool.options) == (True, {"keepalive": 1})
    assert not draft.left
