"""`save`: the configuration in force is written to a file, reads back equal, and is private,
whatever it contains."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, run, toml, until
from ..harness.secure import Authority

SECRETS = ("first-seed", "second-seed", "Bearer-one", "Bearer-two", "pass-one", "pass-two")


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(4, mode="echo") as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as one:
        yield one


class Mixed(Balancer):
    """A configuration with listeners and pools of every kind: TLS without client certificates, UDP,
    a pool filled only by discovery, host names, and texts that look like environment variables."""

    @classmethod
    def of(cls, backends: Backends, authority: Authority, folder: Path) -> Mixed:
        found = folder / "found.json"
        found.write_text(json.dumps([backends.address("c")]))
        port = backends.address("a").rpartition(":")[2]
        config: dict[str, Any] = {
            "process": {"workers": 1},
            "listeners": {
                "web": {
                    "bind": [f"127.0.0.1:{PORTS.take()}"],
                    "pool": "web",
                    "tls": {"certificates": [authority.issue("localhost")]},
                },
                "plain": {"bind": [f"127.0.0.1:{PORTS.take()}"], "pool": "found"},
                "dns": {"bind": [f"localhost:{PORTS.take()}"], "pool": "dns", "protocol": "udp"},
            },
            "pools": {
                "web": {
                    "backends": [
                        f"localhost:{port}",
                        {"name": "b", "address": backends.address("b")},
                    ],
                    "agent": {"port": 1, "send": "$${x}\n", "interval": "1h"},
                },
                "found": {"discovery": {"type": "file", "path": str(found), "interval": "1s"}},
                "dns": {"backends": ["127.0.0.1:53"]},
            },
        }
        return cls(config)

    @property
    def file(self) -> Path:
        return self.folder / "l4lb.toml"

    @property
    def saved(self) -> Path:
        return self.folder / "saved.toml"


@pytest.fixture
def service(backends: Backends, authority: Authority, tmp_path: Path) -> Iterator[Mixed]:
    with Mixed.of(backends, authority, tmp_path) as running:
        until(lambda: backends.address("c") in running.backends(), "discovery has found its own")
        yield running


def test_what_is_saved_is_taken_by_check_and_changes_nothing(
    service: Mixed, backends: Backends
) -> None:
    service.admin("weight", "web/b", "5")
    service.admin("add", "web", backends.address("d"), "--name", "d")
    service.admin("save", str(service.saved))
    checked = run("check", "-c", str(service.saved), command=service.command)
    assert (checked.returncode, checked.stderr) == (0, "")
    text = service.saved.read_text()
    assert "localhost:" in text
    assert backends.address("c") not in text, "what discovery finds is not the file's"
    assert "connect_timeout" not in text, "defaults are left out"
    answer = service.admin("reload", str(service.saved))
    assert (answer["changes"], answer["replaced"]) == ([], [])
    assert [one["name"] for one in service.admin("diff")] == [f"found/{backends.address('c')}"]
    assert {name: row["weight"] for name, row in service.backends().items()}["b"] == 5


def test_a_new_file_is_its_owners_only_and_an_old_one_keeps_its_mode(service: Mixed) -> None:
    service.admin("save", str(service.saved))
    assert stat.S_IMODE(service.saved.stat().st_mode) == 0o600
    service.saved.chmod(0o640)
    service.admin("save", str(service.saved))
    assert stat.S_IMODE(service.saved.stat().st_mode) == 0o640
    assert sorted(os.listdir(service.folder)) == sorted(
        ["l4lb", "l4lb.toml", "log", "out", "saved.toml"]
    )


def test_what_no_file_can_say_is_told(service: Mixed, backends: Backends) -> None:
    service.admin("drain", "web/b")
    service.admin("weight", f"found/{backends.address('c')}", "7")
    done = run("admin", "--socket", service.socket, "save", command=service.command)
    assert done.returncode == 0
    assert "web/b is in drain" in done.stderr
    assert f"found/{backends.address('c')}, which was discovered, has weight 7" in done.stderr


def test_a_backend_is_added_beside_those_that_discovery_found(
    service: Mixed, backends: Backends
) -> None:
    added = service.admin("add", "found", backends.address("d"), "--name", "mine")
    assert added["name"] == "mine"
    assert {"mine", backends.address("c")} <= set(service.backends())
    refused = run(
        "admin", "--socket", service.socket, "remove", f"found/{backends.address('c')}",
        command=service.command,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "was found by the pool's discovery" in refused.stderr
    service.admin("remove", "found/mine")
    assert "mine" not in service.backends()


def test_no_log_and_no_answer_shows_what_may_be_secret(service: Mixed) -> None:
    assert service.config is not None
    web = service.config["pools"]["web"]
    shown: list[Any] = []
    for word in ("one", "two"):
        number = {"one": "first", "two": "second"}[word]
        service.config["process"]["hash_seed"] = f"{number}-seed"
        web["health"] = {
            "type": "http", "interval": "1h", "headers": [f"Authorization: Bearer-{word}"],
            "fall": len(word) + len(number),
        }  # fmt: skip
        web["agent"]["send"] = f"pass-{word}"
        service.file.write_text(toml(service.config))
        shown += [service.admin("plan"), service.admin("reload")]
    keys = {key for one in shown[-1]["changes"] for key in one["keys"]}
    assert keys >= {"hash_seed", "health.headers", "health.fall", "agent.send"}
    assert "health.fall 8 -> 9" in service.log()
    for secret in SECRETS:
        assert secret not in json.dumps(shown) + service.log()
    service.admin("save", str(service.saved))
    assert "Bearer-two" in service.saved.read_text(), "a file has to have it"


def test_an_operators_word_outlives_a_reload_that_goes_back(service: Mixed) -> None:
    assert service.config is not None
    service.config["pools"]["web"]["retries"] = 1
    service.file.write_text(toml(service.config))
    service.admin("reload", "--confirm", "60s")
    service.admin("drain", "web/b")
    service.admin("weight", "web/b", "9")
    service.admin("rollback")
    keys = {key for one in service.admin("diff") for key in one["keys"]}
    assert keys == {"weight", "state"}
    row = service.backends()["b"]
    assert (row["weight"], row["state"]) == (9, "drain")
