"""A fault of l4lb itself ends only the one thing that it happens in. Faults are injected at every
handler."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, echo, greet, one_pool, run, send_signal, until
from ..harness.program import python
from ..harness.wire import AdminError

SCRIPT = str(Path(__file__).parents[1] / "harness" / "faulty.py")
CALLS = (
    "l4lb.supervisor.table.membership.Membership._write",
    "l4lb.supervisor.tls_secrets.Secrets.adopt",
    "l4lb.supervisor.workers.resize.WorkerChanges.resize",
    "l4lb.supervisor.workers.resize.WorkerChanges.listen",
    "l4lb.supervisor.reload.install.Installer._move",
    "l4lb.supervisor.process.child.Child.reap",
    "l4lb.supervisor.workers.workers.Workers._settle",
    "l4lb.supervisor.upgrade.old_program.Departure._give_way",
    "l4lb.supervisor.reload.loader.Loader._deliver",
)


class Faulty(Balancer):
    """A balancer into which a test injects faults."""

    def environment(self) -> dict[str, str]:
        self.fault_path = self.folder / "fault"
        return super().environment() | {
            "L4LB_TEST_FAULT": str(self.fault_path),
            "L4LB_TEST_CALLS": ",".join(CALLS),
        }

    def __exit__(self, *args: Any) -> None:
        log = self.log()
        if args[0] is None:
            told = [line for line in log.splitlines() if "Traceback" in line]
            assert all("InjectedError" in line for line in told), told
        self.log_path.write_text(log.replace("Traceback", "(injected)"))
        super().__exit__(*args)

    def next_fault(self, what: str) -> None:
        """Sets the next fault."""
        written = self.fault_path.with_suffix(".new")
        written.write_text(what)
        written.rename(self.fault_path)

    def until_it_happened(self, what: str) -> None:
        until(lambda: not self.fault_path.exists(), f"the fault has happened: {what}")

    def told(self, what: str) -> bool:
        """Returns whether the fault is in the log, complete and in one line."""
        return any(
            f"InjectedError: {what}" in line and "faults.py" not in line.partition("Traceback")[0]
            for line in self.log().splitlines()
            if "Traceback" in line and "a fault of l4lb" in line
        )

    def config_now(self) -> Any:
        """Returns everything that can be asked about the configuration in force."""
        rows = [
            {key: row[key] for key in ("pool", "name", "address", "weight", "state")}
            for row in self.ask("backends")
        ]
        binds = [(row["name"], row["bind"], row["pool"]) for row in self.ask("listeners")]
        return self.ask("save"), rows, binds, self.ask("diff"), self.ask("blocks")


def is_served(lb: Balancer) -> None:
    """Checks byte by byte that a client is served."""
    client, _ = greet(lb)
    with client:
        echo(client, 1, 10_000)


@pytest.fixture
def lb(three: Backends) -> Iterator[Faulty]:
    config = one_pool(
        f"127.0.0.1:{PORTS.take()}",
        three.rows(),
        process={"workers": 2},
        sticky={"key": "source_ip", "ttl": "1m"},
        health={"type": "tcp", "interval": "200ms"},
    )
    with Faulty(config, command=[python(), SCRIPT]) as balancer:
        yield balancer


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "state": ("drain", {"backend": "web/a"}),
    "weight": ("weight", {"backend": "web/a", "weight": 7}),
    "kill": ("kill", {"session": "0.0.1"}),
    "kill_backend": ("kill", {"backend": "web/a"}),
    "sticky_set": ("sticky", {"pool": "web", "set": "127.0.0.9", "to": "a"}),
    "sticky_clear": ("sticky", {"pool": "web", "clear": "all"}),
    "certificates": ("certs", {}),
    "checks": ("why", {"backend": "web/a"}),
    "block": ("block", {"source": "192.0.2.1"}),
    "unblock": ("unblock", {"source": "192.0.2.1"}),
    "allow": ("allow", {"listener": "web", "network": "192.0.2.0/24"}),
    "deny": ("deny", {"listener": "web", "network": "192.0.2.0/24"}),
    "forget": ("forget", {"listener": "web", "network": "192.0.2.0/24"}),
    "access": ("access", {}),
    "routes": ("routes", {"listener": "web"}),
    "filters": ("filters", {"listener": "web"}),
    "inspections": ("inspections", {"listener": "web"}),
    "records": ("records", {}),
    "packets": ("packets", {}),
    "shield": ("shield", {}),
    "cache_keys": ("cache", {"action": "show", "url": "http://a.test/"}),
    "cache_purge": ("cache", {"action": "purge", "all": True}),
    "forward": ("forward", {"action": "check", "url": "http://a.test/"}),
    "lists": ("lists", {}),
    "users": ("users", {}),
    "flush": ("flush", {"what": "verdicts"}),
    "reload": ("reload", {}),
    "plan": ("plan", {}),
    "confirm": ("confirm", {}),
    "rollback": ("rollback", {}),
    "add": ("add", {"pool": "web", "address": "127.0.0.1:9"}),
    "remove": ("remove", {"backend": "web/a"}),
    "diff": ("diff", {}),
    "save": ("save", {}),
    "rebalance": ("rebalance", {}),
    "upgrade": ("upgrade", {}),
}
# Operations that discovery and the checker ask for (tested below), and the one by which the control
# process records its own refusals.
OTHERS = {
    "discovered", "all_answered", "refused", "publish", "close", "agent_state",
    "agent_max_connections",
}  # fmt: skip


def test_a_fault_in_any_request_answers_internal_is_logged_whole_and_changes_nothing(
    lb: Faulty,
) -> None:
    before, workers = lb.config_now(), lb.pids()
    for name, (command, args) in REQUESTS.items():
        lb.next_fault(f"request {name}")
        with pytest.raises(AdminError, match="internal"):
            lb.ask(command, **args)
        assert not lb.fault_path.exists(), name
        assert lb.told(f"request {name}"), name
    assert lb.config_now() == before
    assert lb.pids() == workers
    is_served(lb)
    lb.ask("weight", backend="web/a", weight=9)  # the refused client may ask again
    lb.ask("add", pool="web", address="127.0.0.1:9")
    known = lb.fault_path.with_suffix(".known").read_text().splitlines()
    requests = {one.removeprefix("request ") for one in known if one.startswith("request")}
    assert requests == REQUESTS.keys() | OTHERS, "each request has its line in this test"


def found_in(source: dict[str, Any]) -> Faulty:
    """A balancer whose only pool uses discovery."""
    config = one_pool(f"127.0.0.1:{PORTS.take()}", [], process={"workers": 1}, discovery=source)
    del config["pools"]["web"]["backends"]
    return Faulty(config, command=[python(), SCRIPT])


def test_a_fault_while_discovery_is_applied_is_tried_again(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    found.write_text("[]")
    with found_in({"type": "file", "path": str(found)}) as lb:
        lb.next_fault("request discovered")
        found.write_text(json.dumps(["127.0.0.1:9"]))
        lb.until_it_happened("discovered")
        until(lambda: "127.0.0.1:9" in lb.backends(), "what was found is in force")
        refused = run("admin", "--socket", lb.socket, "remove", "web/127.0.0.1:9")
        assert refused.returncode == 1
        assert "found by the pool's discovery" in refused.stderr


def test_a_backend_can_be_added_to_a_pool_that_has_only_discovery() -> None:
    source = {
        "type": "dns",
        "name": "nowhere.test",
        "port": 80,
        "servers": [f"127.0.0.1:{PORTS.take()}"],
    }
    with found_in(source) as lb:
        added = lb.ask("add", pool="web", address="127.0.0.1:9", name="mine")
        assert added == {"pool": "web", "name": "mine", "address": "127.0.0.1:9", "weight": 1}
        assert list(lb.backends()) == ["mine"]
        lb.ask("remove", backend="web/mine")
        assert lb.backends() == {}


@pytest.mark.parametrize("call", CALLS[:5] + CALLS[8:])
def test_a_reload_that_meets_a_fault_half_way_is_undone(lb: Faulty, call: str) -> None:
    lb.ask("drain", backend="web/b")
    before = lb.config_now()
    config = lb.config
    assert config is not None
    path = lb.folder / "other.toml"
    port = PORTS.take()
    file = (lb.folder / "l4lb.toml").read_text()
    path.write_text(
        file.replace("workers = 2", "workers = 3")
        + f'\n[listeners.more]\nbind = ["127.0.0.1:{port}"]\npool = "more"\n'
        + '[pools.more]\nbackends = ["127.0.0.1:9"]\n'
    )
    lb.next_fault(f"call {call}")
    with pytest.raises(AdminError, match="internal"):
        lb.ask("reload", file=str(path))
    assert lb.told(f"call {call}")
    until(lambda: len([pid for pid in lb.pids() if pid]) == 2, "there are two workers again")
    assert lb.config_now() == before
    is_served(lb)
    lb.ask("reload", file=str(path))
    assert {row["name"] for row in lb.ask("listeners")} == {"web", "more"}


def killed(lb: Faulty, title: str) -> None:
    """Kills a child."""
    send_signal(lb.child(title).pid, signal.SIGKILL)


def test_a_fault_in_a_timer_a_signal_or_an_event_ends_nothing(lb: Faulty) -> None:
    acts: list[tuple[str, Callable[[], object]]] = [
        ("timer", lambda: None),
        ("descriptor", lambda: killed(lb, "checker")),
        ("signal", lambda: lb.signal(signal.SIGHUP)),
        ("signal", lambda: lb.signal(signal.SIGTERM)),
        ("call l4lb.supervisor.process.child.Child.reap", lambda: killed(lb, "worker 0")),
        ("call l4lb.supervisor.workers.workers.Workers._settle", lambda: killed(lb, "worker 1")),
    ]
    for what, act in acts:
        lb.next_fault(what)
        act()
        lb.until_it_happened(what)
        until(lambda what=what: lb.told(what), f"it is told: {what}")
    until(lambda: all(lb.pids()), "both workers run")
    until(lambda: lb.child("checker"), "there is a checker")
    is_served(lb)


def test_a_fault_in_what_the_checker_asks_ends_nothing(three: Backends) -> None:
    lb = Faulty(
        one_pool(
            f"127.0.0.1:{PORTS.take()}",
            three.rows(),
            process={"workers": 1},
            health={"type": "tcp", "interval": "100ms", "fall": 1},
            on_down="close",
        ),
        command=[python(), SCRIPT],
    )
    with lb:
        lb.next_fault("request close")
        client, _ = greet(lb)
        with client:
            for name in ("a", "b", "c"):
                three.stop(name)
            lb.until_it_happened("close")
            until(lambda: lb.told("request close"), "it is told")
        for name in ("a", "b", "c"):
            three.start(name)
        until(lambda: all(row["health"] == "up" for row in lb.ask("backends")), "all are up")


def test_an_upgrade_that_meets_a_fault_leaves_everything_as_it_was(lb: Faulty) -> None:
    call = "l4lb.supervisor.upgrade.old_program.Departure._give_way"
    before = lb.config_now()
    lb.next_fault(f"call {call}")
    with pytest.raises(AdminError, match="internal"):
        lb.ask("upgrade")
    until(lambda: lb.answers() and lb.config_now() == before, "it is as it was")
    lb.ask("weight", backend="web/a", weight=2)
