"""A configuration that changes under traffic: completely, as a difference, or not at all."""

from __future__ import annotations

import copy
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import Backends, Balancer, Load, echo, held, names, read_line, run, toml, until
from ..harness.disk import fill, small_disk
from ..harness.ports import PORTS


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(3, mode="echo") as running:
        yield running


class Service(Balancer):
    """A balancer whose file is rewritten and reloaded."""

    @property
    def file(self) -> Path:
        return self.folder / "l4lb.toml"

    def write(self, config: dict[str, Any]) -> None:
        self.file.write_text(toml(config))

    def reload(self, config: dict[str, Any], *args: str) -> Any:
        self.write(config)
        return self.admin("reload", *args)

    def refused(self, *args: str) -> tuple[int, str]:
        done = run("admin", "--socket", self.socket, *args, command=self.command)
        assert done.returncode != 0
        return done.returncode, done.stderr


@pytest.fixture
def service(backends: Backends) -> Iterator[Service]:
    with Service.before(backends.rows()[:2], workers=2) as running:
        assert isinstance(running, Service)
        yield running


@pytest.fixture
def config(service: Service) -> dict[str, Any]:
    assert service.config is not None
    return copy.deepcopy(service.config)


def test_weights_backends_and_timeouts_change_in_place(
    service: Service, config: dict[str, Any], backends: Backends
) -> None:
    pids, before = service.pids(), service.status()["generation"]
    names(service, 4)
    total = service.backends()["a"]["total"]
    pool = config["pools"]["web"]
    pool["idle_timeout"] = "7m"
    pool["backends"] = [
        {"name": "a", "address": backends.address("a"), "weight": 3},
        {"name": "c", "address": backends.address("c")},
    ]
    service.write(config)
    pool_before = service.ask("pools")[0]
    answer = service.admin("reload")
    assert {(one["kind"], one["name"], one["action"]) for one in answer["changes"]} >= {
        ("backend", "web/c", "added"),
        ("backend", "web/b", "removed"),
    }
    assert (service.pids(), service.status()["generation"]) == (pids, before + 1)
    assert service.ask("pools")[0]["idle_timeout_ms"] == 420_000 != pool_before["idle_timeout_ms"]
    assert names(service, 8) == {"a": 6, "c": 2}
    assert service.backends()["a"]["total"] >= total + 6


def test_sessions_of_a_removed_backend_go_on_and_its_counts_come_back_with_it(
    service: Service, config: dict[str, Any]
) -> None:
    first = copy.deepcopy(config)
    with held(service, 4) as clients:
        before = service.ask("stats")
        config["pools"]["web"]["backends"].pop()
        service.reload(config)
        assert list(service.backends()) == ["a"]
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 50_000)
        during = service.ask("stats")
        assert during["bytes_in"] >= before["bytes_in"] + 4 * 50_000
    service.reload(first)
    assert service.backends()["b"]["total"] == 2
    assert service.backends()["b"]["bytes_in"] == 2 * 50_000


def test_a_backend_that_moves_keeps_its_name_its_counts_and_its_sessions(
    service: Service, config: dict[str, Any], backends: Backends
) -> None:
    with held(service, 2) as clients:
        config["pools"]["web"]["backends"][1] = {"name": "b", "address": backends.address("c")}
        config["pools"]["web"]["backends"][0] = {"name": "a", "address": backends.address("a")}
        service.reload(config)
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 1_000)
    assert set(names(service, 4)) == {"a", "c"}
    assert service.backends()["b"]["total"] == 3


def test_listeners_come_and_go_and_workers_too_while_clients_are_served(
    service: Service, config: dict[str, Any]
) -> None:
    first = config["listeners"]["web"]["bind"]
    with PORTS.taken() as port, Load(service, threads=3) as load:
        for round_ in range(6):
            config["process"]["workers"] = 1 + (round_ * 3) % 4
            config["listeners"]["web"]["bind"] = [*first, f"127.0.0.1:{port}"][: 1 + round_ % 2]
            service.reload(config)
            load.wait_for_more(20)
            count = config["process"]["workers"]
            until(lambda: len(service.pids()) == count, f"{count} workers are left")  # noqa: B023
    assert load.failures == []
    assert service.ask("stats")["connections_lost"] == 0


def test_an_address_that_goes_and_comes_back_at_once_is_served_on(
    service: Service, config: dict[str, Any]
) -> None:
    first = config["listeners"]["web"]["bind"]
    with PORTS.taken() as port:
        for binds in ([*first, f"127.0.0.1:{port}"], first, [*first, f"127.0.0.1:{port}"]):
            config["listeners"]["web"]["bind"] = binds
            service.write(config)
            service.ask("reload", file=str(service.file))
        end = time.monotonic() + 0.6  # why: the old sockets are closed a little later
        while time.monotonic() < end:
            with socket.create_connection(("127.0.0.1", port), 20) as client:
                assert read_line(client) in ("a", "b")


def test_a_listener_moves_to_another_pool_in_place(
    service: Service, config: dict[str, Any], backends: Backends
) -> None:
    config["pools"]["other"] = {"backends": [backends.address("c")]}
    config["listeners"]["web"]["pool"] = "other"
    service.reload(config)
    assert set(names(service, 3)) == {"c"}


def test_live_sessions_survive_a_worker_that_is_one_too_many(
    service: Service, config: dict[str, Any]
) -> None:
    with held(service, 40) as clients:
        config["process"]["workers"] = 1
        service.reload(config)
        until(lambda: service.active() == [40], "one worker has all sessions")
        assert service.ask("stats")["connections_lost"] == 0
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 20_000)
    until(lambda: service.status()["connections"] == 0, "every session has ended")
    assert service.total("active") == 0


def test_rebalance_evens_out_sessions(service: Service, config: dict[str, Any]) -> None:
    config["process"]["workers"] = 1
    service.reload(config)
    until(lambda: len(service.pids()) == 1, "one worker is left")
    with held(service, 31) as clients:
        config["process"]["workers"] = 3
        service.reload(config)
        assert service.admin("rebalance") == {"moved": 20}
        until(lambda: sorted(service.active()) == [10, 10, 11], "all have the same")
        assert service.admin("rebalance") == {"moved": 0}
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 20_000)


# ---- wrong ones --------------------------------------------------------------------------------


def test_forty_wrong_files_change_nothing(service: Service, config: dict[str, Any]) -> None:
    good = toml(config)
    before = (service.status(), service.ask("backends"), service.ask("pools"))
    for number in range(40):
        wrong = good.replace(
            "pool = ", ("poool = ", "pool = 7 #", "[[", 'pool = "nope" #')[number % 4]
        )
        service.file.write_text(wrong)
        status, said = service.refused("reload")
        assert status == 2
        assert f"{service.file}:" in said, said
    after = (service.status(), service.ask("backends"), service.ask("pools"))
    assert after[0]["generation"] == before[0]["generation"]
    assert [row["pid"] for row in after[0]["workers"]] == service.pids()
    assert [row["name"] for row in after[1]] == [row["name"] for row in before[1]]
    assert after[2] == before[2]


def test_a_file_that_cannot_be_read_is_told(service: Service) -> None:
    status, said = service.refused("reload", str(service.folder / "none.toml"))
    assert status == 2
    assert "cannot be read: No such file or directory" in said


def test_an_address_that_cannot_be_had_undoes_nothing(
    service: Service, config: dict[str, Any]
) -> None:
    config["listeners"]["web"]["bind"].append("192.0.2.1:1")
    config["pools"]["web"]["backends"].pop()
    service.write(config)
    status, said = service.refused("reload")
    assert (status, "192.0.2.1:1" in said) == (1, True)
    assert list(service.backends()) == ["a", "b"]
    assert service.status()["generation"] == 1


def test_a_hup_reloads_and_says_in_the_log_why_not(
    service: Service, config: dict[str, Any]
) -> None:
    config["pools"]["web"]["backends"].pop()
    service.write(config)
    service.signal(signal.SIGHUP)
    until(lambda: list(service.backends()) == ["a"], "the file is in force")
    service.file.write_text("nonsense")
    service.signal(signal.SIGHUP)
    until(lambda: "nothing was changed" in service.log(), "the log says why not")
    assert list(service.backends()) == ["a"]


# ---- at run time -------------------------------------------------------------------------------


def test_run_time_changes_survive_a_reload_are_shown_and_saved(
    service: Service, backends: Backends
) -> None:
    service.admin("weight", "web/a", "5")
    service.admin("drain", "web/b")
    added = service.admin("add", "web", backends.address("c"), "--name", "c", "--weight", "2")
    assert added == {"pool": "web", "name": "c", "address": backends.address("c"), "weight": 2}
    service.admin("reload")
    rows = service.backends()
    shown = {name: (row["weight"], row["state"]) for name, row in rows.items()}
    assert shown == {"a": (5, "ready"), "b": (1, "drain"), "c": (2, "ready")}
    assert {(one["name"], one["action"]) for one in service.admin("diff")} == {
        ("web/a", "changed"), ("web/c", "added"), ("web/b", "changed"),
    }  # fmt: skip
    saved = service.folder / "saved.toml"
    service.admin("save", str(saved))
    service.admin("reload", str(saved))
    assert [one["keys"] for one in service.admin("diff")] == [{"state": ["ready", "drain"]}]
    service.admin("remove", "web/c")
    assert list(service.backends()) == ["a", "b"]
    assert set(names(service, 3)) == {"a"}


def test_a_save_onto_a_full_disk_leaves_the_file_as_it_was(
    service: Service, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        saved = disk / "saved.toml"
        service.admin("save", str(saved))
        before = saved.read_text()
        fill(disk)
        service.admin("weight", "web/a", "5")
        status, why = service.refused("save", str(saved))
        assert (status, saved.read_text()) == (1, before)
        assert "No space left on device; it is as it was" in why
        assert sorted(one.name for one in disk.iterdir()) == ["ballast", "saved.toml"]


def test_a_file_that_includes_itself_or_what_is_not_there_changes_nothing(
    service: Service, config: dict[str, Any]
) -> None:
    loop, gone = service.folder / "loop.toml", service.folder / "gone.toml"
    loop.write_text(f'include = ["{loop}"]\n')
    gone.write_text(f'include = ["{service.folder}/not-there.toml"]\n')
    binary = service.folder / "binary.toml"
    binary.write_bytes(b"\xff\x00\xfe")
    before = service.status()["generation"]
    for file, word in (
        (loop, "an include loop"),
        (gone, "not-there.toml"),
        (binary, "binary.toml"),
        (service.folder, "directory"),
    ):
        status, why = service.refused("reload", str(file))
        assert (status, word in why) == (2, True), why
        assert "Traceback" not in why
    assert service.status()["generation"] == before
    assert set(names(service, 4)) == {"a", "b"}
    assert service.reload(config)["changes"] == []


def test_the_file_wins_where_it_changed(service: Service, config: dict[str, Any]) -> None:
    service.admin("weight", "web/a", "5")
    config["pools"]["web"]["backends"][0]["weight"] = 2
    answer = service.reload(config)
    assert answer["replaced"] == ["web/a: weight 2 of the file replaces 5"]
    assert service.backends()["a"]["weight"] == 2


def test_what_cannot_be_added_or_removed_is_refused(service: Service, backends: Backends) -> None:
    for args, word in (
        (("add", "nope", "127.0.0.1:1"), "no pool"),
        (("add", "web", "nonsense"), "address"),
        (("add", "web", backends.address("c"), "--name", "a"), "named"),
        (("remove", "web/nope"), "no backend"),
    ):
        assert word in service.refused(*args)[1]
    service.admin("remove", "web/b")
    assert "maint" in service.refused("remove", "web/a")[1]


def test_a_reload_that_is_not_confirmed_goes_back(service: Service, config: dict[str, Any]) -> None:
    config["pools"]["web"]["backends"].pop()
    service.reload(config, "--confirm", "4s")
    assert list(service.backends()) == ["a"]
    assert "confirm" in service.refused("reload")[1]
    until(lambda: list(service.backends()) == ["a", "b"], "it goes back")
    assert service.refused("confirm")[0] == 1
    service.reload(config, "--confirm", "60s")
    service.admin("confirm")
    assert list(service.backends()) == ["a"]
    service.admin("reload")


def test_a_plan_changes_nothing(service: Service, config: dict[str, Any]) -> None:
    before = (service.status()["generation"], service.backends())
    config["process"]["workers"] = 3
    config["pools"]["web"]["backends"].pop()
    service.write(config)
    with held(service, 4):
        plan = service.admin("plan", str(service.file))
    assert [(one["kind"], one["name"], one["action"]) for one in plan["changes"]] == [
        ("process", "", "changed"), ("backend", "web/b", "removed"),
    ]  # fmt: skip
    assert plan["sessions"] == {"live": 4, "on_removed_backends": 2}
    assert service.status()["generation"] == before[0]
    assert list(service.backends()) == list(before[1])


def test_a_reload_during_a_reload_is_refused(service: Service) -> None:
    pipe = service.folder / "slow.toml"
    os.mkfifo(pipe)
    answers: list[Any] = []
    first = threading.Thread(
        target=lambda: answers.append(service.refused("reload", str(pipe))), daemon=True
    )
    first.start()
    until(
        lambda: "under way" in service.refused("remove", "web/nope")[1],
        "the first reload is under way",
    )
    assert "under way" in service.refused("reload")[1]
    pipe.write_text("nonsense\n")
    first.join(20)
    assert answers[0][0] == 2


def test_a_plan_tells_which_share_of_clients_would_get_another_backend(three: Backends) -> None:
    with Balancer.before(three.rows(), workers=1, balance="maglev") as lb:
        config = copy.deepcopy(lb.config or {})
        file = lb.folder / "next.toml"

        def planned(**pool: Any) -> list[dict[str, Any]]:
            changed = copy.deepcopy(config)
            changed["pools"]["web"].update(pool)
            file.write_text(toml(changed))
            pools: list[dict[str, Any]] = lb.admin("plan", str(file))["pools"]
            return pools

        generation = lb.status()["generation"]
        assert planned(connect_timeout="9s") == []
        (removed,) = planned(backends=three.rows()[:2])
        assert removed["pool"] == "web"
        assert 0.3 < removed["hash_keys_moved"] < 0.37, "its clients, and hardly another"
        (weighed,) = planned(backends=[{**three.rows()[0], "weight": 2}, *three.rows()[1:]])
        assert 0.1 < weighed["hash_keys_moved"] < 0.25
        (other,) = planned(hash_key="source_ip_port")
        assert other["hash_keys_moved"] == 1.0
        (turns,) = planned(balance="round_robin")
        assert turns["hash_keys_moved"] == 1.0
        assert lb.status()["generation"] == generation
