"""The interactive parts in a real terminal: tmux sends keys and reads the screen."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from ..harness import PORTS, Backends, Balancer, Load, program, run, send_signal, until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")


class Terminal:
    """A program in a tmux of its own."""

    def __init__(self, command: list[str], folder: Path, columns: int = 160) -> None:
        self._columns = str(columns)
        self._label = f"l4lb-{os.getpid()}-{time.monotonic_ns()}"
        state = f"XDG_STATE_HOME={shlex.quote(str(folder))}"
        # why the trap: Ctrl-C then ends the program, and not the shell that reports how it ended.
        self._command = f"trap : INT; {state} {shlex.join(command)}; echo ended with $?; sleep 60"

    def _tmux(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._label, "-f", "/dev/null", *args],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return done.stdout

    def __enter__(self) -> Terminal:
        self._tmux("new-session", "-d", "-x", self._columns, "-y", "45", self._command)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind:
            print(self.screen())
        self._tmux("kill-server")

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-J")

    def type(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def shows(self, *words: str) -> str:
        """Waits until all words are on the screen."""

        def look() -> str | None:
            screen = self.screen()
            return screen if all(word in screen for word in words) else None

        return until(look, f"{words} on the screen", timeout_s=40, every_s=0.1)


@pytest.fixture(scope="module")
def lb() -> Iterator[Balancer]:
    checks = {"type": "tcp", "interval": "500ms"}
    with Backends(2) as backends, Balancer.before(backends.addresses, health=checks) as running:
        yield running


def admin(lb: Balancer, *args: str) -> list[str]:
    return [*program(), "admin", "--socket", lb.socket, *args]


def test_top_shows_rates_of_backends_and_workers_and_obeys_keys(
    lb: Balancer, tmp_path: Path
) -> None:
    name = next(iter(lb.backends()))
    with Terminal(admin(lb, "top", "--interval", "0.2"), tmp_path) as terminal, Load(lb):
        terminal.shows(f"web/{name}", "new/s", "turns/s", "connections", "▁")
        until(lambda: "█" in terminal.screen(), "a rate that is not nothing")
        terminal.shows("connect", "first byte", "99 %", "127.0.0.1", "backend_up")
        terminal.type("s")
        terminal.shows("backends by backend")
        terminal.type("p")
        terminal.shows("paused")
        terminal.type("q")
        terminal.shows("ended with 0")


def test_top_cuts_long_names_so_that_a_narrow_screen_has_the_counts(tmp_path: Path) -> None:
    with Backends(1) as backends:
        row = {"name": "a-name-that-goes-on-" * 3 + "end", "address": backends.address("a")}
        with (
            Balancer.before([row]) as lb,
            Terminal(admin(lb, "top", "--interval", "0.2"), tmp_path, columns=80) as terminal,
        ):
            terminal.shows("web/a-name-th…", "-end", "active", "out B/s")
            terminal.type("q")
            terminal.shows("ended with 0")


def test_top_looks_again_for_a_control_process_that_died(lb: Balancer, tmp_path: Path) -> None:
    with Terminal(admin(lb, "top", "--interval", "0.2"), tmp_path) as terminal:
        terminal.shows("web/")
        send_signal(lb.child("control").pid, signal.SIGKILL)
        until(lb.answers, "the control process is back")
        until(lambda: "closed the connection" not in terminal.screen(), "top found it again")
        terminal.shows("web/", "turns/s")
        terminal.type("q")
        terminal.shows("ended with 0")


def test_the_prompt_completes_carries_out_and_remembers(lb: Balancer, tmp_path: Path) -> None:
    name = f"web/{next(iter(lb.backends()))}"
    with Terminal(admin(lb), tmp_path) as terminal:
        terminal.shows("l4lb>", "Tab completes")
        terminal.type("dra", "Tab")
        terminal.shows("l4lb> drain")
        terminal.type(" " + name, "Enter")
        until(lambda: lb.backends()[name[4:]]["state"] == "drain", "it drains")
        terminal.type("ready no/such", "Enter")
        terminal.shows("no backend is named no/such", "l4lb>")
        terminal.type(f"ready {name}", "Enter")
        until(lambda: lb.backends()[name[4:]]["state"] == "ready", "it is ready")
        terminal.type("C-d")
        terminal.shows("ended with 0")
    with Terminal(admin(lb), tmp_path) as terminal:
        terminal.shows("l4lb>")
        terminal.type("Up")
        terminal.shows(f"l4lb> ready {name}")
        terminal.type("C-c", "C-d")
        terminal.shows("ended with 0")


def test_events_are_followed_until_interrupted(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        nobody = stack.enter_context(PORTS.taken())
        check = {"interval": "100ms", "fall": 1}
        lb = stack.enter_context(Balancer.before([f"127.0.0.1:{nobody}"], health=check))
        follow = admin(lb, "events", "--follow")
        terminal = stack.enter_context(Terminal(follow, tmp_path))
        terminal.shows("backend_down")
        terminal.type("C-c")
        terminal.shows("ended with 0")


def test_without_a_terminal_top_says_what_to_do(lb: Balancer) -> None:
    done = run("admin", "--socket", lb.socket, "top")
    assert (done.returncode, "take --json" in done.stderr) == (2, True)
    rates = lb.admin("top", "--interval", "0.2")
    assert set(rates) == {"totals", "backends", "workers"}
    assert all("total_per_s" in row for row in rates["backends"])
