"""An upgrade from another build to this one keeps sessions. Each build is installed in its own
place.

The other build is the commit L4LB_UPGRADE_FROM (such as HEAD~1). Building it takes a minute, so the
test is skipped without the variable.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import Backends, Balancer, echo, held, names, program, until

TOP = Path(__file__).resolve().parents[3]
COMMIT = os.environ.get("L4LB_UPGRADE_FROM", "")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """Returns the program of the other build."""
    if not COMMIT:
        pytest.skip("L4LB_UPGRADE_FROM names no commit to upgrade from")
    tree, venv = tmp_path / "tree", tmp_path / "venv"
    subprocess.run(
        ["git", "-C", str(TOP), "worktree", "add", "--detach", str(tree), COMMIT],
        check=True, capture_output=True,
    )  # fmt: skip
    try:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", str(tree)], check=True)
        yield venv / "bin" / "l4lb"
    finally:
        subprocess.run(
            ["git", "-C", str(TOP), "worktree", "remove", "--force", str(tree)], check=True
        )


@pytest.mark.timeout(400)
def test_sessions_and_counts_come_over_from_the_other_build(other: Path, tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.symlink_to(other.parent)
    with Backends(2) as backends:
        config = Balancer.before(backends.rows(), workers=2).config
        with (
            Balancer(config, command=[str(current / "l4lb")]) as lb,
            held(lb, 20) as clients,
        ):
            names(lb, 6)
            pid, old = lb.status()["pid"], lb.pids()
            current.unlink()
            current.symlink_to(Path(program()[0]).parent)
            lb.admin("upgrade")
            until(lambda: set(lb.pids()).isdisjoint({*old, 0}), "workers of this build serve")
            for seed, (client, _) in enumerate(clients):
                echo(client, seed, 20_000)
            assert lb.status()["pid"] == pid
            assert sum(names(lb, 4).values()) == 4
            until(lambda: lb.ask("stats")["accepted"] == 30, "all counts have come over")
            assert lb.ask("stats")["connections_lost"] == 0
