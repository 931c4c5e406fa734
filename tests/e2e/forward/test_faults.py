"""A forward proxy whose policy process dies or stands still, and whose files change or break, while
clients ask: nobody gets where he may not go, and tunnels go on.

L4LB_SWAPS: how often the lists are changed; a change is seen within a second or so.
"""

from __future__ import annotations

import collections
import itertools
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from unit.discovery.nameserver import nameserver

from ..harness import PATIENCE_S, Backends, Balancer, send_signal, until
from ..harness.http import answer
from ..harness.origin import Origin
from .proxy import ALL, Tunnel, ask, basic, proxy

SWAPS = int(os.environ.get("L4LB_SWAPS", "3"))
CLIENTS = 4


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with Backends(1, "quiet") as backends:
        yield str(backends.rows()[0]["address"])


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(lambda _: answer(b"hello")) as one:
        yield one


class Asking:
    """Clients that open one tunnel after the other to these targets. statuses: what came of it, by
    target. Each tunnel has another source, so that it needs a decision of its own."""

    def __init__(self, lb: Balancer, *targets: str) -> None:
        self.statuses: dict[str, collections.Counter[int]] = {
            one: collections.Counter() for one in targets
        }
        self._lb = lb
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for target in self.statuses:
                number = next(self._numbers)
                source = f"127.77.{number // 250 % 250}.{number % 250 + 1}"
                with Tunnel(self._lb, target, source=source) as tunnel:
                    self.statuses[target][tunnel.status] += 1

    def wait_for_more(self) -> None:
        """Returns when each target was asked for once more by each client."""
        before = {one: counts.total() for one, counts in self.statuses.items()}
        until(
            lambda: all(self.statuses[one].total() > before[one] + CLIENTS for one in before),
            "clients go on asking",
        )


def kill_policy(lb: Balancer) -> None:
    """Returns when another one has taken its place."""
    policy = lb.child("policy")
    send_signal(policy.pid, signal.SIGKILL)
    until(lambda: lb.child("policy").pid != policy.pid, "another one is there")


def test_what_is_refused_stays_so_while_the_policy_process_dies_or_stands_still(echo: str) -> None:
    refused = "127.0.0.9:" + echo.rsplit(":", 1)[1]
    rules = [{"name": "refused", "domain": ["127.0.0.9"], "action": "deny"}, ALL]
    with (
        proxy(rules=rules, policy_timeout="300ms", workers=2) as lb,
        Tunnel(lb, echo) as tunnel,
        Asking(lb, echo, refused) as asking,
    ):
        for _ in range(3):
            kill_policy(lb)
            assert tunnel.echoes(os.urandom(50_000))
            asking.wait_for_more()
        policy = lb.child("policy")
        policy.suspend()
        try:
            assert tunnel.echoes(os.urandom(50_000))
            before = asking.statuses[refused][503]
            until(lambda: asking.statuses[refused][503] > before, "nobody decides")
            assert tunnel.echoes(os.urandom(50_000))
        finally:
            policy.resume()
        asked = asking.statuses[echo][200]
        until(lambda: asking.statuses[echo][200] > asked, "it decides again")
    assert set(asking.statuses[refused]) <= {403, 503}, asking.statuses
    assert set(asking.statuses[echo]) <= {200, 503}, asking.statuses


def test_a_name_of_every_list_never_gets_through_while_they_change(
    echo: str, tmp_path: Path
) -> None:
    file, beside = tmp_path / "list.txt", tmp_path / "beside.txt"
    port = echo.rsplit(":", 1)[1]
    lists = ["never.example\none.example\n", "never.example\nother.example\n"]
    file.write_text(lists[0])
    with nameserver() as names:
        for name in ("never.example", "one.example", "other.example"):
            names.zone[f"{name} A"] = [f"{name} 0 A 127.0.0.1"]
        lb = proxy(
            rules=[{"name": "listed", "list": ["listed"], "action": "deny"}, ALL],
            lists={"listed": {"files": [str(file)]}},
            resolve={"servers": [names.server], "family": "ipv4", "min_ttl": "100ms"},
            policy_timeout="20s",
            workers=2,
        )
        never, one, other = (f"{name}.example:{port}" for name in ("never", "one", "other"))
        with lb, Asking(lb, never, one, other) as asking:
            for turn in range(SWAPS):
                beside.write_text(lists[1 - turn % 2])
                beside.rename(file)
                opened = (one, other)[turn % 2]
                until(lambda: status(lb, opened) == 200, "the other list is in force")  # noqa: B023
                asking.wait_for_more()
    assert set(asking.statuses[never]) == {403}, asking.statuses
    for target in (one, other):
        assert {200, 403} <= set(asking.statuses[target]) <= {200, 403, 503, 504}, asking.statuses


def status(lb: Balancer, target: str) -> int:
    with Tunnel(lb, target) as tunnel:
        return tunnel.status


# ---- users ---------------------------------------------------------------------------------------


def half_written(file: Path) -> None:
    file.write_text(file.read_text()[:-9] + "\nmallory:$6$")


def without_hashes(file: Path) -> None:
    file.write_text("ann:right\nmallory:mallory\n")


def removed_and_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def of_nobody(file: Path) -> None:
    if os.getuid() == 0:
        shutil.chown(file, "nobody")
    file.chmod(0)


BREAKS: list[Callable[[Path], None]] = [
    of_nobody, half_written, without_hashes, removed_and_a_pipe, endless,
]  # fmt: skip


def looks(lb: Balancer) -> int:
    """Returns how often the users were read, or could not be read."""
    return lb.log().count("cannot be used") + lb.log().count("read again")


def hashed(password: str) -> str:
    command = ["openssl", "passwd", "-6", password]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_users_whose_file_breaks_are_those_that_were_there(origin: Origin, tmp_path: Path) -> None:
    """And if the policy process dies as well, nobody is known."""
    file = tmp_path / "users"
    good = "ann:" + hashed("right")
    file.write_text(good)
    url = f"http://{origin.address}/"
    rules = [{"name": "known", "user": "*", "action": "allow"}]
    auth = {"htpasswd": str(file), "realm": "office", "remember": "1s"}

    def outcomes(lb: Balancer) -> list[int]:
        who = [("ann", "right"), ("ann", "wrong"), ("mallory", "mallory"), ("mallory", "")]
        return [ask(lb, url, fields=[basic(*one)]).status for one in who]

    with proxy(auth=auth, rules=rules) as lb:
        assert outcomes(lb) == [200, 407, 407, 407]
        for breaking in BREAKS:
            file.unlink()
            file.write_text(good)
            before = looks(lb)
            breaking(file)
            until(lambda: looks(lb) > before, f"it is told: {breaking.__name__}")  # noqa: B023
            assert outcomes(lb) == [200, 407, 407, 407], breaking.__name__
        kill_policy(lb)
        until(lambda: outcomes(lb) == [407] * 4, "nobody is known", timeout_s=PATIENCE_S)
        file.unlink()
        file.write_text(good)
        until(lambda: outcomes(lb) == [200, 407, 407, 407], "they are known again")
