"""The meaning of a configuration, and that it can be written and read back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from l4lb.config import schema
from l4lb.config.address import Address
from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.plain import to_plain, to_stated
from l4lb.config.reading.parse import loads
from l4lb.config.schema import json_schema, keys
from l4lb.cpus import usable_cpus
from l4lb.errors import ConfigError

REFERENCE = Path(__file__).parents[3] / "docs" / "configuration.md"

# Every key of the public interface, as it is promised to users.
EVERYTHING = """\
[process]
workers = 2                        # default: the CPUs this process may run on
admin = "/run/l4lb/admin.sock"     # default: $XDG_RUNTIME_DIR/l4lb/admin.sock, or /run/l4lb
http = "127.0.0.1:9180"            # /metrics, /healthz and the dashboard; absent: off
user = "nobody"                    # drop to, after binding; absent: stay
drain_timeout = "30s"
log = { level = "info", format = "text", access = "off" }

[limits]
max_connections = 100000           # whole process
max_udp_sessions = 65536

[listeners.web]
bind = ["0.0.0.0:8080", "[::]:8080"]   # also "unix:/path", and port ranges "0.0.0.0:7000-7010"
protocol = "tcp"                   # tcp | udp
pool = "web"

[pools.web]
balance = "round_robin"
hash_key = "source_ip"             # for ip_hash and maglev: source_ip | source_ip_port | sni
connect_timeout = "2s"
idle_timeout = "10m"
retries = 2                        # on other backends, before any byte was forwarded
when_all_down = "refuse"           # refuse | try_all
backends = [
  "10.0.0.1:80",
  { name = "b", address = "10.0.0.2:80", weight = 3, max_connections = 200, backup = false },
]

[pools.web.health]
type = "tcp"                       # tcp | http | https | tls | udp | dns | exec
interval = "2s"
timeout = "1s"
rise = 2
fall = 3

[pools.web.passive]
failures = 5
eject = "10s"                      # doubles each time, up to max_eject
max_eject = "5m"
max_ejected = "50%"

[pools.web.sticky]
key = "source_ip"
ttl = "30m"
"""


@pytest.fixture
def everything(all_supported: None) -> Config:  # noqa: ARG001 - a fixture cannot use usefixtures
    return loads(EVERYTHING, "l4lb.toml")


def small(**pool: object) -> dict[str, Any]:
    return {
        "listeners": {"web": {"bind": [":80"], "pool": "web"}},
        "pools": {"web": {"backends": ["h:1"], **pool}},
    }


def test_every_promised_key_is_read_into_its_unit(everything: Config) -> None:
    assert everything.process.workers == 2
    assert everything.process.http == Address("127.0.0.1", 9180)
    assert everything.process.drain_timeout_ms == 30_000
    pool = everything.pools["web"]
    assert (pool.connect_timeout_ms, pool.idle_timeout_ms) == (2_000, 600_000)
    first, second = pool.backends
    assert (first.name, first.host, first.port) == ("10.0.0.1:80", "10.0.0.1", 80)
    assert (second.name, second.weight, second.max_connections) == ("b", 3, 200)
    assert pool.health is not None
    assert (pool.health.interval_ms, pool.health.timeout_ms) == (2_000, 1_000)
    assert pool.passive is not None
    assert (pool.passive.eject_ms, pool.passive.max_ejected_percent) == (10_000, 50)
    assert pool.sticky is not None
    assert pool.sticky.ttl_ms == 1_800_000


def test_tables_know_their_names(everything: Config) -> None:
    assert everything.listeners["web"].name == "web"
    assert everything.pools["web"].name == "web"


def test_defaults_are_those_promised() -> None:
    config = build(small(health={}), Origin())
    process, pool = config.process, config.pools["web"]
    assert process.workers == usable_cpus()
    assert process.drain_timeout_ms == 30_000
    assert (process.log.level, process.log.format, process.log.access) == ("info", "text", "off")
    assert (config.limits.max_connections, config.limits.max_udp_sessions) == (100_000, 65_536)
    assert (pool.balance, pool.retries, pool.when_all_down) == ("round_robin", 2, "refuse")
    assert (pool.connect_timeout_ms, pool.idle_timeout_ms) == (2_000, 600_000)
    assert pool.half_closed_timeout_ms == 300_000
    assert pool.health is not None
    assert (pool.health.rise, pool.health.fall, pool.health.jitter_percent) == (2, 3, 10)
    assert build(small(), Origin()).pools["web"].health is None


@pytest.mark.parametrize(
    ("uid", "run", "path"),
    [
        (0, "/run/user/0", "/run/l4lb/admin.sock"),
        (7, "/run/user/7", "/run/user/7/l4lb/admin.sock"),
        (7, "", "/tmp/l4lb-7/admin.sock"),
    ],
)
def test_the_admin_socket_is_where_its_user_may_make_it(
    monkeypatch: pytest.MonkeyPatch, uid: int, run: str, path: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("XDG_RUNTIME_DIR", run)
    assert build(small(), Origin()).process.admin == path


def test_a_range_of_ports_is_as_many_addresses() -> None:
    data = small()
    data["listeners"]["web"]["bind"] = ["[::1]:7000-7002", "unix:/x", "*:80"]
    bind = build(data, Origin()).listeners["web"].bind
    assert [str(one) for one in bind] == [
        "[::1]:7000", "[::1]:7001", "[::1]:7002", "unix:/x", "0.0.0.0:80",
    ]  # fmt: skip


def test_both_families_may_have_one_port() -> None:
    data = small()
    data["listeners"]["web"]["bind"] = ["0.0.0.0:80", "[::]:80", "127.0.0.1:81", "127.0.0.2:81"]
    assert len(build(data, Origin()).listeners["web"].bind) == 4


@pytest.mark.usefixtures("all_supported")
def test_tcp_and_udp_may_have_one_port() -> None:
    data = small()
    data["listeners"]["dns"] = {"bind": [":80"], "pool": "web", "protocol": "udp"}
    assert build(data, Origin()).listeners["dns"].protocol == "udp"


def test_a_configuration_cannot_be_changed(everything: Config) -> None:
    with pytest.raises(ValidationError):
        everything.process.workers = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("pool", "told"),
    [
        ({"hash_key": "source_ip"}, 'hash_key: has no effect with balance = "round_robin"'),
        ({"backends": [{"address": "h:1", "weight": 0}]}, "backends: all weights are 0"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(pool: dict[str, Any], told: str) -> None:
    (warning,) = build(small(**pool), Origin()).warnings
    assert told in str(warning)


def test_a_pool_that_no_listener_uses_is_a_warning_with_its_line() -> None:
    text = "[listeners.w]\nbind=[':1']\npool='w'\n[pools.w]\nbackends=['h:1']\n"
    config = loads(text + "[pools.x]\nbackends=['h:1']", "f.toml")
    assert list(map(str, config.warnings)) == ["f.toml:6: pools.x: no listener uses this pool"]


def test_routes_of_all_listeners_together_are_bounded() -> None:
    def listeners(rows: int) -> dict[str, Any]:
        route = {"sni": [f"n{number}.example" for number in range(rows)], "pool": "w"}
        return {
            name: {"bind": [f":{port}"], "pool": "w", "routes": [route]}
            for port, name in enumerate(("a", "b"), 1)
        }

    pools = {"w": {"backends": ["h:1"]}}
    build({"listeners": listeners(2_048), "pools": pools}, Origin())
    with pytest.raises(ConfigError, match="listeners: have 4098 routes, more than 4096, each"):
        build({"listeners": listeners(2_049), "pools": pools}, Origin())


class TestPlainData:
    def test_it_reads_back_as_an_equal_configuration(self, everything: Config) -> None:
        plain = to_plain(everything)
        assert Config.model_validate(plain) == everything
        assert to_plain(build(to_stated(everything), Origin())) == plain

    def test_it_has_no_null_and_is_json(self, everything: Config) -> None:
        assert "null" not in json.dumps(to_plain(everything))

    def test_a_unix_backend_without_a_name_reads_back(self) -> None:
        config = build(small(backends=["unix:/run/x", "[2001:DB8::1]:80"]), Origin())
        assert build(to_stated(config), Origin()) == config

    @pytest.mark.usefixtures("all_supported")
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.data())
    def test_any_configuration_reads_back(self, data: st.DataObject) -> None:
        duration = st.integers(1_000, 600_000).map(lambda ms: f"{ms}ms")
        pool = {
            "balance": data.draw(st.sampled_from(["maglev", "first", "round_robin"])),
            "idle_timeout": data.draw(duration),
            "connect_timeout": data.draw(duration),
            "retries": data.draw(st.integers(0, 8)),
            "backends": [
                {"address": f"{host}:{number}", "weight": data.draw(st.integers(0, 256))}
                for number, host in enumerate(
                    data.draw(st.lists(st.ip_addresses(v=4).map(str), min_size=1)), 1
                )
                if not host.startswith("0.")
            ]
            or ["h:1"],
            "health": {"interval": data.draw(duration), "jitter": "7%"},
        }
        config = build(small(**pool), Origin())
        assert build(to_stated(config), Origin()) == config


class TestSchema:
    def test_a_mistake_is_told_without_reading_the_program_s_files(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(*_: object) -> str:
            raise OSError("could not get source code")

        monkeypatch.setattr("l4lb.config.meanings.inspect.getsource", gone)
        for known in (schema._model, schema.json_schema):
            known.cache_clear()
        with pytest.raises(ConfigError, match='did you mean "balance"'):
            loads('[pools.web]\nbalanc = "random"\nbackends = ["127.0.0.1:1"]\n', "l4lb.toml")

    def test_it_is_a_valid_json_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(json_schema())

    def test_it_takes_what_is_promised_and_what_is_written_out(self, everything: Config) -> None:
        jsonschema.validate(to_plain(everything), json_schema())
        jsonschema.validate(small(), json_schema())

    @pytest.mark.parametrize(
        "pool",
        [{"idle_timeout": 3}, {"idle_timeout": "3 min"}, {"retries": 9}, {"x": 1},
         {"backends": [{"name": "x"}]}, {"balance": "x"}],
    )  # fmt: skip
    def test_it_refuses_what_the_model_refuses(self, pool: dict[str, Any]) -> None:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(small(**pool), json_schema())
        with pytest.raises(ConfigError):
            build(small(**pool), Origin())


def test_the_reference_has_every_key_with_its_type_default_and_bounds() -> None:
    written = REFERENCE.read_text().splitlines()
    missing = [str(key) for key in keys() if str(key) not in written]
    assert not missing, "docs/configuration.md needs these lines:\n" + "\n".join(missing)


def test_the_reference_has_no_key_that_is_not_there() -> None:
    known = {key.path for key in keys()}
    rows = [line for line in REFERENCE.read_text().splitlines() if line.startswith("| `")]
    assert {row.split("`")[1] for row in rows} == known
