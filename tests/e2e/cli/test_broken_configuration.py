"""Broken configurations: every problem is reported with its place, and nothing starts.

Each text marks its own errors: a line that ends in `# wrong: KEY` must be reported with its number
and that key, and no other line may be.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ..harness import PORTS, run
from ..harness.servers import accepts

PROBLEM = re.compile(r"^(?P<file>.+?):(?P<line>\d+): (?P<key>[^:]*): (?P<what>.+)$")
MARK = re.compile(r"# wrong: (?P<keys>.+)$")

LISTENER = """
[listeners.web]
bind = ["127.0.0.1:PORT"]
pool = "web"
"""
POOL = """
[pools.web]
backends = ["127.0.0.1:9"]
"""

BROKEN = {
    "unknown section": LISTENER + POOL + "[listenerz.x]  # wrong: listenerz\n",
    "unknown key of a pool": LISTENER
    + POOL
    + 'balanse = "round_robin"  # wrong: pools.web.balanse',
    "unknown key of process": "[process]\nworker = 2  # wrong: process.worker\n" + LISTENER + POOL,
    "unknown key of a backend": LISTENER
    + "[pools.web]\nbackends = [\n"
    + '  { address = "127.0.0.1:9", wait = 2 },  # wrong: pools.web.backends[0].wait\n]\n',
    "unknown algorithm": LISTENER + POOL + 'balance = "rund_robin"  # wrong: pools.web.balance',
    "pool that no one defined": """
[listeners.web]
bind = ["127.0.0.1:PORT"]
pool = "wep"  # wrong: listeners.web.pool
"""
    + POOL,
    "two listeners on one address": LISTENER
    + POOL
    + '[listeners.two]\nbind = ["127.0.0.1:PORT"]  # wrong: listeners.two.bind[0]\npool = "web"\n',
    "address bound twice by one listener": """
[listeners.web]
bind = [
  "127.0.0.1:PORT",
  "127.0.0.1:PORT",  # wrong: listeners.web.bind[1]
]
pool = "web"
"""
    + POOL,
    "range over an address bound elsewhere": """
[listeners.web]
bind = ["127.0.0.1:PORT"]
pool = "web"
[listeners.range]
bind = ["127.0.0.1:BEFORE-PORT"]  # wrong: listeners.range.bind[0]
pool = "web"
"""
    + POOL,
    "bind that is no address": LISTENER.replace("127.0.0.1:PORT", "nowhere").replace(
        '"]', '"]  # wrong: listeners.web.bind[0]'
    )
    + POOL,
    "port too large": LISTENER.replace("PORT", "65536").replace(
        '"]', '"]  # wrong: listeners.web.bind[0]'
    )
    + POOL,
    "port range backwards": LISTENER.replace("PORT", "7010-7000").replace(
        '"]', '"]  # wrong: listeners.web.bind[0]'
    )
    + POOL,
    "bind that is a number": LISTENER.replace(
        '["127.0.0.1:PORT"]', "8080  # wrong: listeners.web.bind"
    )
    + POOL,
    "no bind": '[listeners.web]  # wrong: listeners.web.bind\npool = "web"\n' + POOL,
    "no pool": '[listeners.web]  # wrong: listeners.web.pool\nbind = ["127.0.0.1:PORT"]\n' + POOL,
    "unknown protocol": LISTENER + 'protocol = "sctp"  # wrong: listeners.web.protocol\n' + POOL,
    "backend without a port": LISTENER
    + '[pools.web]\nbackends = ["127.0.0.1"]  # wrong: pools.web.backends[0]\n',
    "backend without an address": LISTENER
    + '[pools.web]\nbackends = [{ name = "x" }]  # wrong: pools.web.backends[0].address\n',
    "two backends of one name": LISTENER
    + """
[pools.web]
backends = [
  { name = "x", address = "127.0.0.1:1" },
  { name = "x", address = "127.0.0.1:2" },  # wrong: pools.web.backends[1]
]
""",
    "negative weight": LISTENER
    + '[pools.web]\nbackends = [{ address = "127.0.0.1:1", weight = -1 }]'
    + "  # wrong: pools.web.backends[0].weight\n",
    "weight too large": LISTENER
    + '[pools.web]\nbackends = [{ address = "127.0.0.1:1", weight = 100000 }]'
    + "  # wrong: pools.web.backends[0].weight\n",
    "weight that is text": LISTENER
    + '[pools.web]\nbackends = [{ address = "127.0.0.1:1", weight = "3" }]'
    + "  # wrong: pools.web.backends[0].weight\n",
    "duration without a unit": LISTENER
    + POOL
    + 'connect_timeout = "5"  # wrong: pools.web.connect_timeout\n',
    "duration that is none": LISTENER
    + POOL
    + 'idle_timeout = "soon"  # wrong: pools.web.idle_timeout\n',
    "negative duration": LISTENER
    + POOL
    + 'idle_timeout = "-1s"  # wrong: pools.web.idle_timeout\n',
    "duration beyond all bounds": LISTENER
    + POOL
    + 'idle_timeout = "99999999999h"  # wrong: pools.web.idle_timeout\n',
    "retries that are a boolean": LISTENER + POOL + "retries = true  # wrong: pools.web.retries\n",
    "unknown when_all_down": LISTENER
    + POOL
    + 'when_all_down = "panic"  # wrong: pools.web.when_all_down\n',
    "no worker": "[process]\nworkers = 0  # wrong: process.workers\n" + LISTENER + POOL,
    "workers that are a fraction": "[process]\nworkers = 1.5  # wrong: process.workers\n"
    + LISTENER
    + POOL,
    "unknown log level": '[process]\nlog = { level = "loud" }  # wrong: process.log.level\n'
    + LISTENER
    + POOL,
    "no connections at all": "[limits]\nmax_connections = 0  # wrong: limits.max_connections\n"
    + LISTENER
    + POOL,
    "unknown check": LISTENER
    + POOL
    + '[pools.web.health]\ntype = "icmp"  # wrong: pools.web.health.type\n',
    "fall of 0": LISTENER + POOL + "[pools.web.health]\nfall = 0  # wrong: pools.web.health.fall\n",
    "a section that is a number": "limits = 3  # wrong: limits\n" + LISTENER + POOL,
    "many at once": """
[process]
workers = "two"  # wrong: process.workers
[listeners.web]
bind = ["127.0.0.1:PORT"]
pool = "wep"  # wrong: listeners.web.pool
[pools.web]
balance = "best"  # wrong: pools.web.balance
backends = ["127.0.0.1:9"]
retries = -1  # wrong: pools.web.retries
[pools.web.health]
interval = 2  # wrong: pools.web.health.interval
""",
}

NOT_TOML = {
    "an unfinished string": '[listeners.web]\nbind = ["127.0.0.1:PORT\n',
    "a key twice": "[process]\nworkers = 1\nworkers = 2\n",
    "no TOML at all": "frontend web\n  bind :80\n",
}


def wanted(text: str) -> list[tuple[int, str]]:
    """Returns line and key of each error that a text marks."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := MARK.search(line):
            found.append((number, match["keys"].strip()))
    return found


def reported(stderr: str, path: Path) -> list[tuple[int, str]]:
    """Returns line and key of each problem that the program reported; each line must have the right
    form."""
    found = []
    for line in stderr.splitlines():
        if match := PROBLEM.match(line):
            assert match["file"] == str(path), line
            found.append((int(match["line"]), match["key"]))
    return found


@pytest.mark.parametrize("name", BROKEN)
def test_each_problem_is_told_with_file_line_and_key_and_nothing_starts(
    name: str, tmp_path: Path
) -> None:
    with PORTS.taken() as port:
        text = BROKEN[name].replace("PORT", str(port)).replace("BEFORE", str(port - 1))
        want = wanted(text)
        assert want, "the text does not say what is wrong with it"
        path = tmp_path / "broken.toml"
        path.write_text(text)
        for command in ("check", "run"):
            done = run(command, "-c", str(path))
            assert done.returncode == 2, (command, done.stdout, done.stderr)
            told = reported(done.stdout + done.stderr, path)
            assert sorted(told) == sorted(want), done.stdout + done.stderr
            assert "Traceback" not in done.stderr
            assert not accepts(port)
        machine = run("check", "-c", str(path), "--json")
        assert machine.returncode == 2
        json.loads(machine.stdout)


@pytest.mark.parametrize("name", NOT_TOML)
def test_what_is_no_toml_is_told_with_file_and_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(NOT_TOML[name].replace("PORT", "1"))
    for command in ("check", "run"):
        done = run(command, "-c", str(path))
        assert done.returncode == 2
        assert re.search(rf"^{re.escape(str(path))}:\d+: ", done.stdout + done.stderr, re.MULTILINE)
        assert "Traceback" not in done.stderr


def test_a_near_miss_gets_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(BROKEN["unknown algorithm"].replace("PORT", "1"))
    done = run("check", "-c", str(path))
    assert "did you mean" in done.stdout + done.stderr
    assert "round_robin" in done.stdout + done.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 100, b"a = 1\r\rb = 2"])
def test_bytes_that_are_no_text_exit_2_without_a_traceback(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    done = run("check", "-c", str(path))
    assert done.returncode == 2
    assert str(path) in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
