"""The house rules that a machine can check: sizes, layers, names. Each can be broken at one place
with a comment that says `why:`."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent.parent
FLOORS = {
    "base": {"base"},
    "shm": {"base", "shm"},
    "core": {"base", "shm", "core"},
    "io": {"base", "io"},
    "cache": {"base", "core", "cache"},
    "http": {"base", "shm", "core", "io", "cache", "http", "run"},
    "run": {"base", "shm", "core", "io", "http", "run", "packet"},
    "packet": {"base", "shm", "core", "run", "packet"},
}
# The floors of csrc/run, from the ground up. A file includes only files of lower floors, and a UDP
# file also other UDP files. Code that a stage needs therefore knows no stage, and no stage knows
# another. Code that begins, moves or ends whole sessions stands above the one driver that does it
# (run/session.h).
RUN_FLOORS: tuple[tuple[str, ...], ...] = (
    ("list", "setup", "stage"),
    ("loop",),
    ("plane", "row", "vault", "mailbox"),
    (
        "account",
        "delivery",
        "first_byte",
        "handshake",
        "lines",
        "pick_trace",
        "proxy_out",
        "shaping",
    ),
    ("admission", "attempt", "client_wait"),
    ("stages",),
    ("session",),
    ("handover_record", "shed"),
    ("accept",),
    ("tcp",),
    ("udp",),
    ("planes",),
    ("bounds", "handover"),
    ("commands",),
    ("worker",),
)
# HTTP's stages stand beside those of csrc/run: on what lies below the driver. Its plane also
# accepts clients and hands events to the driver, as HTTP/2 does for its streams. What csrc/run asks
# of HTTP is named here.
HTTP_SEES_ABOVE = {
    "plane": {"session", "accept", "plane"},
    "h2_tend": {"session"},
    "caching": {"session"},
}
RUN_SEES_HTTP = {
    "account": {"account"},
    "admission": {"serve", "user_limits"},
    "attempt": {"outward", "request_name", "retry", "serve", "user_limits"},
    "handover_record": {"user_limits"},
    "planes": {"plane"},
    "proxy_out": {"h2"},
    "session": {"account", "caching", "h2", "room", "serve", "stages", "tunnel"},
    "shaping": {"h2_tend", "user_limits"},
    "stage_connect": {"outward", "spare"},
    "stage_pick": {"outward"},
}
# The maps of the kernel's program are described once, for both sides.
RUN_SEES_PACKET = {"udp_kernel": {"forward"}}
RUN_RANKS = {name: rank for rank, names in enumerate(RUN_FLOORS) for name in names}
LINE_MAX = 100
C_FUNCTION_MAX, C_FILE_MAX, C_HEADER_MAX = 70, 600, 120
PYTHON_FUNCTION_MAX, PYTHON_FILE_MAX = 50, 400


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=TOP, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [TOP / name for name in listed.stdout.decode().split("\0") if name]


def sources(*patterns: str) -> list[tuple[Path, list[str]]]:
    return [(path, path.read_text().splitlines()) for path in tracked(*patterns)]


def place(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(TOP)}" + (f":{line}" if line else "")


def excused(lines: list[str]) -> bool:
    """Returns whether a comment there says why the rule is broken."""
    return any("why:" in line for line in lines)


C = ("csrc/*.[ch]", "tests/c/*.[ch]", "bench/loadgen/*.[ch]")
PYTHON = ("*.py", "*.pyx", "*.pxd", "*.pyi")


def test_no_line_is_longer_than_the_limit() -> None:
    long = [
        place(path, number)
        for path, lines in sources(*C, *PYTHON)
        for number, line in enumerate(lines, 1)
        if len(line) > LINE_MAX and not excused(lines[max(number - 2, 0) : number])
    ]
    assert not long


def test_no_c_file_or_header_is_too_long() -> None:
    long = [
        place(path)
        for path, lines in sources(*C)
        # a header of the kernel's programs is a part of their code
        if len(lines)
        > (C_HEADER_MAX if path.suffix == ".h" and ".bpf." not in path.name else C_FILE_MAX)
        and not excused(lines[:20])
    ]
    assert not long


def test_no_c_function_is_too_long() -> None:
    long = []
    for path, lines in sources("csrc/*.c", "tests/c/*.c", "bench/loadgen/*.c"):
        start = 0
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                # The reason may stand above the function's name, or inside the function.
                around = lines[max(start - 6, 0) : number]
                if number - start > C_FUNCTION_MAX and not excused(around):
                    long.append(place(path, start))
                start = 0
    assert not long


def test_no_python_file_or_function_is_too_long() -> None:
    long = []
    for path, lines in sources("*.py"):
        if len(lines) > PYTHON_FILE_MAX and not excused(lines[:20]):
            long.append(place(path))
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = (node.end_lineno or node.lineno) - node.lineno + 1
                around = lines[max(node.lineno - 2, 0) : node.end_lineno]
                if body > PYTHON_FUNCTION_MAX and not excused(around):
                    long.append(place(path, node.lineno))
    assert not long


def test_no_cython_file_is_too_long() -> None:
    long = [
        place(path)
        for path, lines in sources("*.pyx", "*.pxd")
        if len(lines) > PYTHON_FILE_MAX and not excused(lines[:20])
    ]
    assert not long


def test_every_c_file_has_its_header_and_sees_only_floors_below() -> None:
    wrong = []
    for path, lines in sources("csrc/*.[ch]"):
        floor = path.parent.name
        for number, line in enumerate(lines, 1):
            found = re.match(r'#include "(.*)"', line)
            if found and found.group(1).split("/")[0] not in FLOORS[floor]:
                wrong.append(place(path, number))
        # pick.h and stages.h are the headers of all picks and stages; the kernel's programs are
        # called by nobody
        twin = path.suffix != ".c" or path.stem.startswith(("pick_", "stage_"))
        twin = twin or path.name.endswith(".bpf.c")
        if not twin and not path.with_suffix(".h").exists():
            wrong.append(place(path))
    assert not wrong


def run_rank(stem: str) -> int:
    group = {"stage_": "stages", "udp_": "udp"}
    prefix = next((prefix for prefix in group if stem.startswith(prefix)), "")
    return RUN_RANKS[group.get(prefix, stem)]


def test_each_file_of_csrc_run_sees_only_lower_floors_of_it() -> None:
    wrong = []
    for path, lines in sources("csrc/run/*.[ch]"):
        for number, line in enumerate(lines, 1):
            found = re.match(r'#include "run/(\w+)\.h"', line)
            if not found or found.group(1) == path.stem:
                continue
            own, other = run_rank(path.stem), run_rank(found.group(1))
            same = path.stem.startswith("stage_") and found.group(1) == "stages"
            same = same or own == other == RUN_RANKS["udp"]
            if other >= own and not same:
                wrong.append(place(path, number) + f" {path.stem} includes {found.group(1)}")
    assert not wrong


def seen(room: str, other: str) -> dict[str, set[str]]:
    """Returns the files of a room with the headers of another room that each includes."""
    found: dict[str, set[str]] = {}
    for path, lines in sources(f"csrc/{room}/*.[ch]"):
        for line in lines:
            named = re.match(rf'#include "{other}/(\w+)\.h"', line)
            if named:
                found.setdefault(path.stem, set()).add(named.group(1))
    return found


def test_http_stands_on_what_lies_below_the_driver() -> None:
    below = {name for name, rank in RUN_RANKS.items() if rank < RUN_RANKS["session"]}
    above = {
        stem: names - below - HTTP_SEES_ABOVE.get(stem, set())
        for stem, names in seen("http", "run").items()
    }
    assert not {stem: names for stem, names in above.items() if names}
    assert seen("run", "http") == RUN_SEES_HTTP


def test_workers_know_of_the_kernels_program_its_maps_alone() -> None:
    assert seen("run", "packet") == RUN_SEES_PACKET


def test_every_python_module_opens_with_its_idea() -> None:
    silent = [
        place(path)
        for path, lines in sources("l4lb/*.py", "bench/*.py")
        if lines and ast.get_docstring(ast.parse("\n".join(lines))) is None
    ]
    assert not silent


def test_no_file_names_a_place_on_a_builders_machine() -> None:
    words = ("/work" + "/", "farm" + "-bench", "farm" + "-studio")
    telling = [
        place(path, number)
        for path in tracked("*")
        if path.suffix != ".png"
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if any(word in line for word in words)
    ]
    assert not telling


def test_nothing_waits_by_select() -> None:
    """select(2) takes no descriptor from 1,024 on, and a service has those. poll and epoll do."""
    calls = [
        place(path, number)
        for path, lines in sources("l4lb/*.py")
        for number, line in enumerate(lines, 1)
        if re.search(r"\bselect\.select\(|\bSelectSelector\b", line)
    ]
    assert not calls


def test_every_test_that_the_threat_table_names_is_there() -> None:
    """A row of the table in docs/security.md ends with `file`: sentence."""
    page = (TOP / "docs/security.md").read_text()
    rows = re.findall(r"\| `(test_[a-z0-9_]+(?:\.c)?)`: ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) > 30
    missing = []
    for file, sentence in rows:
        name = sentence.strip().replace(" ", "_")
        wanted = f"TEST({name})" if file.endswith(".c") else f"def test_{name}("
        pattern = f"tests/**/{file}" if file.endswith(".c") else f"tests/**/{file}.py"
        if not any(wanted in path.read_text() for path in TOP.glob(pattern)):
            missing.append(f"{file}: {sentence}")
    assert missing == []


def test_every_file_that_the_architecture_names_is_there() -> None:
    """A name in backticks with a file's ending is the end of a tracked file's path."""
    text = (TOP / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`([a-z_0-9/]+\.(?:c|h|py|pyx|pxd|md|toml))(?:`| )", text))
    assert len(named) > 40
    there = [f"/{path.relative_to(TOP)}" for path in tracked("*")]
    assert [one for one in sorted(named) if not any(p.endswith(f"/{one}") for p in there)] == []


def test_every_function_and_type_that_the_architecture_names_is_in_the_code() -> None:
    named = set(re.findall(r"\bl4_\w+", (TOP / "ARCHITECTURE.md").read_text()))
    assert len(named) > 8
    code = " ".join(path.read_text() for path in tracked("csrc/*.h", "csrc/*.c"))
    assert sorted(named - set(re.findall(r"\bl4_\w+", code))) == []


def folders(*patterns: str) -> set[str]:
    return {str(path.parent.relative_to(TOP)) for path in tracked(*patterns)}


def test_tests_of_c_and_unit_tests_lie_in_folders_named_as_those_of_the_code() -> None:
    rooms = {folder.replace("csrc", "tests/c") for folder in folders("csrc/*.c")}
    packages = {folder.replace("l4lb", "tests/unit") for folder in folders("l4lb/*.py")}
    assert folders("tests/c/*test_*.c") <= rooms
    assert folders("tests/unit/*test_*.py") <= packages


def test_end_to_end_tests_lie_in_the_folders_that_the_architecture_lists() -> None:
    text = (TOP / "ARCHITECTURE.md").read_text()
    listed = set(re.findall(r"^\| `(tests/e2e/\w+)` \|", text, re.MULTILINE))
    assert folders("tests/e2e/*test_*.py") == listed - {"tests/e2e/harness"}
