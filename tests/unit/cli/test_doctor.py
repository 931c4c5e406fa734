"""`l4lb doctor`, run on this host."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import L4lb

KEYS = {"name", "value", "verdict", "wanted", "meaning", "remedy"}


def test_json_is_a_list_of_what_was_looked_at(l4lb: L4lb) -> None:
    done = l4lb("doctor", "--json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert all(set(one) == KEYS for one in found)
    assert {"open files", "net.core.somaxconn"} <= {one["name"] for one in found}


def test_the_file_says_what_is_asked_of_the_host(l4lb: L4lb, tmp_path: Path) -> None:
    file = tmp_path / "l4lb.toml"
    file.write_text(
        '[limits]\nmax_connections = 10\n[listeners.a]\nbind = [":81"]\npool = "p"\n'
        '[pools.p]\nbackends = ["127.0.0.1:1"]\n'
    )
    found = {one["name"]: one for one in json.loads(l4lb("doctor", "-c", str(file), "--json").out)}
    assert found["open files"]["verdict"] == "ok"
    assert found["open files"]["wanted"].startswith("276 ")
    assert any(name.startswith("ports below") for name in found)


def test_text_has_the_remedy_under_what_will_hurt(l4lb: L4lb, tmp_path: Path) -> None:
    file = tmp_path / "l4lb.toml"
    file.write_text(
        "[limits]\nmax_connections = 60000000\n"
        '[listeners.a]\nbind = [":8081"]\npool = "p"\n[pools.p]\nbackends = ["127.0.0.1:1"]\n'
    )
    done = l4lb("doctor", "-c", str(file), "--strict")
    assert done.status == 1
    assert "do: LimitNOFILE=" in done.out
    assert "things can be better" in done.out


def test_a_wrong_file_is_exit_status_two(l4lb: L4lb, tmp_path: Path) -> None:
    done = l4lb("doctor", "-c", str(tmp_path / "none.toml"))
    assert done.status == 2
    assert "cannot be read" in done.err
