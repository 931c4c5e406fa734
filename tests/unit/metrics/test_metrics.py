"""A scrape agrees with the table, with the names of the contract, and with the library's
parsers."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from doors import ended
from prometheus_client import openmetrics, parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from l4lb.metrics.collector import About, Collector, descriptors_left, local_ports, skew
from l4lb.metrics.exposition import OPENMETRICS, TEXT, prefers_openmetrics
from l4lb.metrics.names import METRICS
from l4lb.metrics.processes import Usage
from l4lb.native import cache, session_stats
from l4lb.native.caches import NO_DISKS, RESULTS, mapped
from l4lb.native.rows import Address
from l4lb.native.table import Table
from tests.unit.supervisor.tables import cache_in, closed_port, put_backend, table_of

TOP = Path(__file__).parents[3]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
# The names and labels that interface.md promises, as users may already have them in dashboards.
PROMISED = {
    "l4lb_connections_active": ("listener",),
    "l4lb_connections_total": ("listener",),
    "l4lb_backend_up": ("pool", "backend"),
    "l4lb_backend_connections_active": ("pool", "backend"),
    "l4lb_backend_connections_total": ("pool", "backend"),
    "l4lb_backend_bytes_total": ("pool", "backend", "direction"),
    "l4lb_backend_connect_errors_total": ("pool", "backend"),
    "l4lb_health_checks_total": ("pool", "backend", "result"),
    "l4lb_rejected_total": ("listener", "reason"),
}


def table_with_traffic() -> Table:
    web = {"a": closed_port(1), "b": closed_port(2)}
    table = table_of({"web": web, "db": {"c": closed_port(3)}})
    for row, bind in enumerate(("0.0.0.0:80", "[::]:80")):
        table.set_listener(row, name="front", bind=bind, protocol="tcp", pool=0)
    for worker in range(2):
        table.start_worker(worker, pid=0, cpu=None, now_ms=0)
        session_stats.set_measures(table, True)
        for listener in range(2):
            ended.account(
                table, worker, "client_fin", listener=listener, backend=0, connect_us=150,
                duration_us=30_000, bytes_in=10, bytes_out=5_000,
            )  # fmt: skip
    ended.account(table, 0, "no_backend", reached=False)
    table.record_check(
        1, 1, health="down", passed=False, result=2, errno=0, streak=1, at_ms=1, duration_us=1
    )
    return table


def collector(table: Table, cache_fd: int = -1, disks: Mapping[str, int] = NO_DISKS) -> Collector:
    used = [Usage("worker", "0", 77, 1.5, 30_000_000, 40), Usage("control", "", 78, 0.5, 10, None)]
    about = About(
        "1.2.3", 1_700_000_000.5, 3_000, now_ms=lambda: 10_000, usages=lambda: used
    )  # fmt: skip
    return Collector(table, about, cache_fd, disks)


def scrape(table: Table) -> Samples:
    body, _ = collector(table).render("")
    return samples(body)


def samples(body: bytes) -> Samples:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in parser.text_string_to_metric_families(body.decode())
        for one in family.samples
    }


def test_a_cache_has_its_memory_and_its_counts() -> None:
    table = table_with_traffic()
    assert not [name for name, _ in scrape(table) if name.startswith("l4lb_cache")]
    with cache_in(table) as fd:
        body, _ = collector(table, fd).render("")
        (row,) = cache.rows(table)
        assert not [name for name, _ in samples(body) if name.startswith("l4lb_cache_disk")]
        body, _ = collector(table, fd, {"pages": 1 << 30}).render("")
        uncounted = samples(body)
        with mapped(fd, row.at, row.size) as area:
            cache.disk_set_used(area, 5 << 20)
        body, _ = collector(table, fd, {"pages": 1 << 30}).render("")
    found = samples(body)
    assert found.keys() - uncounted.keys() == {
        ("l4lb_cache_disk_used_bytes", (("cache", "pages"),))
    }
    assert value(found, "l4lb_cache_disk_used_bytes", cache="pages") == 5 << 20
    assert value(found, "l4lb_cache_disk_size_bytes", cache="pages") == 1 << 30
    assert value(found, "l4lb_cache_memory_bytes", cache="pages") > 4 << 20
    assert value(found, "l4lb_cache_used_bytes", cache="pages") == 0
    results = [
        dict(labels)["result"] for name, labels in found if name == "l4lb_cache_requests_total"
    ]
    assert sorted(results) == sorted(RESULTS[1:])
    assert {name for name, _ in found if name.startswith("l4lb_cache")} == {
        name for name in METRICS if name.startswith("l4lb_cache")
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_the_promised_names_have_their_labels() -> None:
    found = scrape(table_with_traffic())
    for name, labels in PROMISED.items():
        assert METRICS[name].labels == labels
        mine = [key for key in found if key[0] == name]
        assert mine
        assert all({label for label, _ in key[1]} == set(labels) for key in mine)
    for name in ("l4lb_connect_seconds", "l4lb_session_seconds"):
        assert METRICS[name].kind == "histogram"


def test_numbers_are_those_of_the_table() -> None:
    found = scrape(table_with_traffic())
    assert value(found, "l4lb_build_info", version="1.2.3") == 1
    assert value(found, "l4lb_sessions_ended_total", listener="front", end="client_fin") == 4
    assert value(found, "l4lb_rejected_total", listener="front", reason="no_backend") == 1
    assert value(found, "l4lb_backend_up", pool="web", backend="a") == 1
    assert value(found, "l4lb_backend_up", pool="web", backend="b") == 0
    assert value(found, "l4lb_pool_backends_up", pool="web") == 1
    checks = {"pool": "web", "backend": "b"}
    assert value(found, "l4lb_health_checks_total", **checks, result="failed") == 1
    assert value(found, "l4lb_health_checks_total", **checks, result="passed") == 0


def test_histograms_are_summed_over_workers_and_grow_with_their_bounds() -> None:
    found = scrape(table_with_traffic())
    assert value(found, "l4lb_connect_seconds_count", pool="web") == 4
    assert value(found, "l4lb_connect_seconds_sum", pool="web") == pytest.approx(600e-6)
    assert value(found, "l4lb_connect_seconds_bucket", pool="web", le="0.0001") == 0
    assert value(found, "l4lb_connect_seconds_bucket", pool="web", le="0.0002") == 4
    assert value(found, "l4lb_session_seconds_bucket", pool="web", le="+Inf") == 5
    assert value(found, "l4lb_session_bytes_sum", pool="web", direction="out") == 20_000
    assert value(found, "l4lb_connect_seconds_count", pool="db") == 0


def test_openmetrics_says_the_same() -> None:
    table = table_with_traffic()
    body, kind = collector(table).render("application/openmetrics-text;version=1.0.0,text/plain")
    assert kind == OPENMETRICS
    found = {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in openmetrics_parser.text_string_to_metric_families(body.decode())
        for one in family.samples
    }
    assert found == scrape(table)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;version=0.0.4;q=0.5", TEXT),
        (openmetrics.exposition.CONTENT_TYPE_LATEST, OPENMETRICS),
        ("application/openmetrics-text;q=0, text/plain", TEXT),
    ],
)
def test_the_form_is_the_one_that_is_asked_for(accept: str, expected: str) -> None:
    assert (OPENMETRICS if prefers_openmetrics(accept) else TEXT) == expected


def test_every_name_is_told_of_and_nothing_else() -> None:
    body, _ = collector(table_with_traffic()).render("")
    assert re.findall(r"^# TYPE (\S+) ", body.decode(), re.MULTILINE) == list(METRICS)


def test_processes_have_what_they_use_and_nothing_that_is_not_known() -> None:
    found = scrape(table_with_traffic())
    of = {"process": "worker", "worker": "0", "pid": "77"}
    assert value(found, "l4lb_process_cpu_seconds", **of) == 1.5
    assert value(found, "l4lb_process_resident_memory_bytes", **of) == 30_000_000
    assert value(found, "l4lb_process_open_fds", **of) == 40
    body, _ = collector(table_with_traffic()).render("")
    assert b'l4lb_process_open_fds{process="control"' not in body


def test_names_that_others_chose_come_back_whole() -> None:
    table = table_of({})
    table.set_pool(
        0, name='a"b\\c', balance="round_robin", when_all_down="refuse", retries=0,
        connect_timeout_ms=1, idle_timeout_ms=1, half_closed_timeout_ms=1,
    )  # fmt: skip
    put_backend(table, 0, name="ü\\n", address=Address("", 0, "/x"))
    assert value(scrape(table), "l4lb_backend_up", pool='a"b\\c', backend="ü\\n") == 1


def test_promtool_has_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    body, _ = collector(table_with_traffic()).render("")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=body, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_small_things() -> None:
    assert skew([]) == skew([0, 0]) == 1
    assert skew([3, 1]) == 1.5
    assert 0 < local_ports() <= 65_535
    assert descriptors_left(1 << 30) is None


def test_the_page_has_every_metric() -> None:
    page = (TOP / "docs" / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(l4lb_\w+)(?:\{([\w,]+)\})?` ", page, re.MULTILINE))
    assert rows == {name: ",".join(metric.labels) for name, metric in METRICS.items()}


NAMES_IN = re.compile(r"\bl4lb_\w+")


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yml"])
def test_what_is_shipped_names_only_metrics_that_there_are(name: str) -> None:
    text = (TOP / "monitoring" / name).read_text()
    known = set(METRICS)
    for metric in METRICS.values():
        if metric.kind == "histogram":
            known |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    used = set(NAMES_IN.findall(text))
    assert used
    assert used <= known


def test_the_alert_rules_are_sound() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    path = TOP / "monitoring" / "alerts.yml"
    done = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
