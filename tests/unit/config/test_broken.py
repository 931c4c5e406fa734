"""Every kind of wrong configuration that we could think of is reported with its line."""

from __future__ import annotations

import contextlib
import math
import re
from datetime import date
from pathlib import Path

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.config.reading.parse import load, loads
from l4lb.config.schema import keys
from l4lb.errors import ConfigError

GOOD = """\
[listeners.web]
bind = ["127.0.0.1:8080"]
pool = "web"
[pools.web]
backends = ["10.0.0.1:80"]
"""

# Text that is added to GOOD, and the problems that must be reported.
GENERATED = [
    (
        "[process]\nworkers = 0x" + "f" * 6000,
        "7: process.workers: must be at most 64, not a very large number",
    ),
    (
        "[process]\nadmin = '/" + "x" * 107 + "'",
        "7: process.admin: the path is longer than the 107 bytes",
    ),
    (
        "[listeners." + "n" * 65 + "]\nbind = [':90']\npool = 'web'",
        "the name is longer than 64 bytes",
    ),
    (
        "[pools.b]\nbackends = ['" + "h" * 62 + "." + "h" * 9 + ":1']",
        "7: pools.b.backends[0]: the address is longer than the 64 bytes of a name (give it a name",
    ),
]

# Values of every kind, for keys of every kind.
ODD = [[], [[]], {}, "", "x", 0, -1, 1.5, math.nan, True, date(2020, 1, 1), [1], ["a"], [{}]]
ODD += [{"a": {}}, {"limit": []}, [{"limit": 1}], 10**400]

WHOLE = [
    ("", "1: listeners: there is no listener"),
    ("listeners = 3", "1: listeners: must be a table, not an integer"),
    ("[listeners]", "1: listeners: there is no listener"),
    ("\n\na = = 1", "3: not valid TOML: invalid value (column 5)"),
    ("[a]\n[a]", "2: not valid TOML: cannot declare ('a',) twice (column 3)"),
    ("a = 1\na = 2", "2: not valid TOML: cannot overwrite a value"),
    ("a = [\n1,\n", "2: not valid TOML: invalid value (at the end of the file)"),
    ("a = " + "1" * 5000, "not valid TOML: an integer of thousands of digits"),
    ("a = " + "[" * 100_000, "values are nested too deeply"),
    ("a = " + "[" * 50 + "]" * 50, "values are nested more than 16 deep"),
    ("\nb = {" + "a." * 100_000 + "a = 1}", "2: a key of more than 16 parts"),
    ('"\\u0007" = 1', '1: "\N{REPLACEMENT CHARACTER}": unknown key'),
]


def written_cases() -> list[tuple[str, str]]:
    blocks = Path(__file__).with_name("broken.txt").read_text().split("\n\n")[1:]
    return [(added, told.strip()) for added, _, told in (one.partition("#> ") for one in blocks)]


ADDED = [*written_cases(), *GENERATED]


@pytest.mark.parametrize(("added", "told"), ADDED, ids=[told[:70] for _, told in ADDED])
def test_a_mistake_is_told_with_its_line_and_key(added: str, told: str) -> None:
    loads(GOOD, "good.toml")
    with pytest.raises(ConfigError) as caught:
        loads(GOOD + added, "l4lb.toml")
    lines = str(caught.value).splitlines()
    start = "l4lb.toml:" if re.match(r"\d+:", told) else ""
    assert any(line.startswith("l4lb.toml:") and start + told in line for line in lines), lines


@pytest.mark.parametrize(("text", "told"), WHOLE, ids=[told[:70] for _, told in WHOLE])
def test_a_hopeless_file_is_told_so(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "l4lb.toml")
    assert told in str(caught.value)
    assert caught.value.exit_status == 2


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace('pool = "web"', 'pool = "wbe"') + "[process]\nworkers = 0\nadmin = 'x'\nx = 1"
    )
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    told = [(problem.line, problem.key) for problem in caught.value.problems]
    assert told == [
        (3, "listeners.web.pool"),
        (7, "process.workers"),
        (8, "process.admin"),
        (9, "process.x"),
    ]


def with_value(table: object, path: list[str], value: object) -> object:
    """Returns a copy of a table in which a value stands at a path of keys, as `[]` in an array."""
    if not path:
        return value
    key, *rest = path
    if key == "[]":
        return [with_value(table[0] if isinstance(table, list) else {}, rest, value)]
    table = table if isinstance(table, dict) else {}
    return {**table, key: with_value(table.get(key), rest, value)}


def test_no_value_of_any_key_is_more_than_a_mistake() -> None:
    good = {
        "listeners": {"NAME": {"bind": ["127.0.0.1:1"], "protocol": "http", "pool": "NAME"}},
        "pools": {"NAME": {"backends": ["127.0.0.1:2"]}},
    }
    whole = [key.path.replace("[]", ".[]").split(".") for key in keys()]
    paths = {tuple(path[:depth]) for path in whole for depth in range(1, len(path) + 1)}
    for path in sorted(paths):
        for value in ODD:
            with contextlib.suppress(ConfigError):
                build(with_value(good, list(path), value), Origin())


def test_the_number_of_mistakes_told_is_bounded() -> None:
    with pytest.raises(ConfigError) as caught:
        loads("\n".join(f"k{number} = 1" for number in range(1000)), "f")
    assert len(caught.value.problems) == 201
    assert str(caught.value.problems[-1]) == "f: and more; repair these first"


def test_a_value_of_any_size_is_told_in_one_short_line() -> None:
    for value in ('"' + "x" * 100_000 + '"', '"a\\nb\\u001b[31m"', '"' + '\\"' * 100 + '"'):
        with pytest.raises(ConfigError) as caught:
            loads(GOOD + f"[process]\nadmin = {value}\n{value} = 1", "f")
        for line in str(caught.value).split("\n"):
            assert len(line) < 250
            assert line.isprintable()


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"a = 1\nb = '\xff'", ":2: not UTF-8 text, which TOML is"),
            (b"#" * ((8 << 20) + 1), ": is larger than 8 MiB"),
            (b"\xef\xbb\xbfx = 1", ":1: x: unknown key"),
        ],
    )
    def test_an_unusable_file_is_told_so(self, tmp_path: Path, content: bytes, told: str) -> None:
        path = tmp_path / "l4lb.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}{told}")

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("", "cannot be read: Is a directory"),
            ("missing.toml", "cannot be read: No such file or directory"),
            ("a\0b", "cannot be read: embedded null byte"),
            ("n" * 300, "cannot be read: File name too long"),
        ],
    )
    def test_what_is_no_file_is_told_so(self, tmp_path: Path, name: str, told: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(told)):
            load(str(tmp_path / name) if name else tmp_path)

    def test_windows_line_ends_keep_their_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "l4lb.toml"
        path.write_bytes((GOOD + "x = 1").replace("\n", "\r\n").encode())
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert caught.value.problems[0].line == 6
