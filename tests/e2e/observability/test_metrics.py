"""Metrics over HTTP from a running balancer: exact, never falling, and readable by Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..harness import (
    PATIENCE_S,
    PORTS,
    Backends,
    Balancer,
    Load,
    echo,
    greet,
    kill_and_wait,
    one_pool,
    turned_away,
    until,
)  # fmt: skip

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


def balancer(backends: list[Any], **pool: Any) -> Balancer:
    http = f"127.0.0.1:{PORTS.take()}"
    return Balancer.before(backends, process={"http": http}, **pool)


def fetch(lb: Balancer, path: str, **headers: str) -> tuple[int, str, Any]:
    """Returns status, body and headers."""
    assert lb.config
    url = f"http://{lb.config['process']['http']}{path}"
    request = urllib.request.Request(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def metrics(lb: Balancer) -> dict[str, float]:
    """Returns samples by `name{labels}`."""
    status, body, _ = fetch(lb, "/metrics")
    assert status == 200
    return {
        f"{name}{{{labels}}}" if labels else name: float(value)
        for name, labels, value in SAMPLE.findall(body)
    }


def total(samples: dict[str, float], name: str) -> float:
    return sum(value for key, value in samples.items() if key.partition("{")[0] == name)


def never_falls(before: dict[str, float], after: dict[str, float]) -> None:
    for key, value in before.items():
        if key.partition("{")[0].endswith(("_total", "_bucket", "_count", "_sum")):
            assert after[key] >= value, key


def test_a_load_is_counted_exactly_and_no_counter_falls_when_processes_die(
    three: Backends,
) -> None:
    with balancer(three.addresses) as lb:
        first = metrics(lb)
        with Load(lb, threads=4) as load:
            load.wait_for_more(60)
            before = metrics(lb)
            never_falls(first, before)
            lb.wait_for_new_worker(0, lb.kill(0))
            load.wait_for_more(60)
        kill_and_wait(lb.child("control").pid)
        until(lambda: _answers(lb), "metrics are served again")
        until(lambda: lb.status()["connections"] == 0, "all sessions have ended")
        after = metrics(lb)
    never_falls(before, after)
    clients = load.done.total() + len(load.failures)
    assert after['l4lb_connections_total{listener="web"}'] == clients
    assert total(after, "l4lb_sessions_ended_total") == clients
    assert total(after, "l4lb_worker_connections_total") == clients
    assert total(after, "l4lb_backend_connections_total") <= clients
    reached = total(after, "l4lb_backend_connections_total")
    assert after['l4lb_connect_seconds_count{pool="web"}'] == reached
    assert after['l4lb_session_seconds_count{pool="web"}'] == clients
    assert after['l4lb_connections_active{listener="web"}'] == 0
    for way in ("in", "out"):
        backends = sum(
            value
            for key, value in after.items()
            if key.startswith("l4lb_backend_bytes_total") and f'direction="{way}"' in key
        )
        assert after[f'l4lb_session_bytes_sum{{pool="web",direction="{way}"}}'] == backends
    assert total(after, "l4lb_worker_restarts_total") == 1
    assert after['l4lb_tcp_sampled_sessions_total{pool="web"}'] > 0


def _answers(lb: Balancer) -> bool:
    try:
        return fetch(lb, "/healthz")[0] == 200
    except OSError:
        return False


def test_a_client_that_is_turned_away_is_counted_with_the_reason(three: Backends) -> None:
    with balancer(three.addresses) as lb:
        for address in three.addresses:
            lb.admin("drain", f"web/{address}")
        assert turned_away(lb)

        def counted() -> bool:
            return metrics(lb)['l4lb_rejected_total{listener="web",reason="no_backend"}'] == 1

        until(counted, "it is counted")
        assert metrics(lb)['l4lb_pool_backends_up{pool="web"}'] == 0


def test_a_backend_that_goes_down_is_seen(three: Backends) -> None:
    with balancer(
        three.addresses, health={"type": "tcp", "interval": "50ms", "fall": 2, "rise": 1}
    ) as lb:
        address = three.addresses[1]
        name = f'l4lb_backend_up{{pool="web",backend="{address}"}}'
        until(lambda: metrics(lb)[name] == 1, "it is up")
        three.stop("b")
        until(lambda: metrics(lb)[name] == 0, "it is down")
        failed = f'l4lb_health_checks_total{{pool="web",backend="{address}",result="failed"}}'
        assert metrics(lb)[failed] >= 2
        assert metrics(lb)["l4lb_checker_up"] == 1


def test_each_process_shows_what_it_uses_of_the_host(three: Backends) -> None:
    with balancer(three.addresses) as lb:
        found = metrics(lb)
        for name, pid in (
            ("worker", lb.pids()[1]),
            ("checker", lb.child("checker").pid),
            ("control", lb.child("control").pid),
            ("supervisor", lb.process.pid),
        ):
            worker = "1" if name == "worker" else ""
            labels = f'{{process="{name}",worker="{worker}",pid="{pid}"}}'
            assert found[f"l4lb_process_resident_memory_bytes{labels}"] > 1 << 20
            assert found[f"l4lb_process_open_fds{labels}"] > 5
            assert found[f"l4lb_process_cpu_seconds{labels}"] >= 0
        for row in lb.admin("workers"):
            assert row["resident_bytes"] > 1 << 20
            assert row["open_files"] > 5
            assert row["cpu_seconds"] >= 0


def test_forms_and_faces(three: Backends) -> None:
    with balancer(three.addresses) as lb:
        _, body, headers = fetch(lb, "/metrics", Accept="application/openmetrics-text")
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert body.endswith("# EOF\n")
        assert fetch(lb, "/metrics")[2]["Content-Type"].startswith("text/plain; version=0.0.4")
        assert fetch(lb, "/healthz")[:2] == (200, "ok\n")
        assert fetch(lb, "/nothing")[0] == 404
        assert fetch(lb, "/healthz")[2]["Server"] == "l4lb"
        assert fetch(lb, "/metrics", Host="anything.example")[0] == 200
        assert fetch(lb, "/", Host="anything.example")[0] == 403
        assert fetch(lb, "/", Host="localhost:1")[0] == 200


def test_an_address_in_use_is_told_at_the_start(three: Backends) -> None:
    from ..harness import run, toml

    with balancer(three.addresses) as lb:
        assert lb.config
        other = one_pool(
            f"127.0.0.1:{PORTS.take()}",
            three.addresses,
            process={"http": lb.config["process"]["http"], "admin": str(lb.folder / "other.sock")},
        )
        path = lb.folder / "other.toml"
        path.write_text(toml(other))
        done = run("run", "-c", str(path))
    assert done.returncode != 0
    assert "cannot listen on 127.0.0.1:" in done.stderr


def query(port: int, expression: str) -> list[Any]:
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found
    except (OSError, ValueError):
        return []


def test_prometheus_scrapes_it_and_answers(three: Backends, tmp_path: Path) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    port = PORTS.take()
    with balancer(three.addresses) as lb:
        assert lb.config
        client, _ = greet(lb)
        with client:
            echo(client, 1, 1_000)
        config = tmp_path / "prometheus.yml"
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s"},
                    "rule_files": [str(ALERTS)],
                    "scrape_configs": [
                        {
                            "job_name": "l4lb",
                            "static_configs": [{"targets": [lb.config["process"]["http"]]}],
                        }
                    ],
                }
            )
        )
        process = subprocess.Popen(
            [
                "prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            expression = 'l4lb_connections_total{listener="web"}'
            answer: Callable[[], list[Any]] = lambda: query(port, expression)  # noqa: E731
            (sample,) = until(answer, "prometheus has scraped", timeout_s=60)
            assert float(sample["value"][1]) == 1
            assert query(port, "sum(l4lb_session_seconds_count)")
        finally:
            process.terminate()
            process.wait(timeout=30)


ALERTS = Path(__file__).parents[3] / "monitoring" / "alerts.yml"
