"""Quantities, addresses and names: their values, and that they can be written back."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from l4lb.config.address import Address, parse_backend, parse_bind
from l4lb.config.reading.parse import loads
from l4lb.config.units import DURATION, PERCENT, SIZE, Unit
from l4lb.config.values.common import check_name
from l4lb.errors import ConfigError

UNITS = st.sampled_from([DURATION, SIZE, PERCENT])


@pytest.mark.parametrize(
    ("unit", "text", "value"),
    [
        (DURATION, "250ms", 250),
        (DURATION, "2s", 2_000),
        (DURATION, "5m", 300_000),
        (DURATION, "1h", 3_600_000),
        (DURATION, "1d", 86_400_000),
        (DURATION, "0s", 0),
        (DURATION, "10 s", 10_000),
        (SIZE, "64KiB", 65_536),
        (SIZE, "1GiB", 1 << 30),
        (PERCENT, "50%", 50),
    ],
)
def test_a_quantity_is_a_number_and_a_unit(unit: Unit, text: str, value: int) -> None:
    assert unit.parse(text) == value


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "+1s", "1e3s", "1_0s", "1 s ", " 1s", "١s", "1s1s", "1kb", "1S", "."]
)
def test_anything_else_is_none(text: str) -> None:
    for unit in (DURATION, SIZE, PERCENT):
        with pytest.raises(ValueError, match=r"is not|unknown unit"):
            unit.parse(text)


@given(UNITS, st.integers(0, 10**12))
def test_a_quantity_written_out_reads_back(unit: Unit, value: int) -> None:
    assert unit.parse(unit.format(value)) == value


@given(UNITS, st.text() | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
@example(DURATION, "9" * 10_000 + "s")
@example(DURATION, 10**5000)
def test_no_value_breaks_a_quantity(unit: Unit, value: object) -> None:
    try:
        assert unit.parse(value) >= 0
    except ValueError as error:
        assert len(str(error)) < 200  # noqa: PT017 - either outcome is right


def test_addresses_are_kept_in_one_form() -> None:
    assert str(parse_backend("[2001:DB8:0::1]:80")) == "[2001:db8::1]:80"
    assert parse_backend("unix:/run/x") == Address("", 0, "/run/x")
    assert parse_backend("name.example:080") == Address("name.example", 80)
    assert [str(parse_bind(text)) for text in (":80", "*:80", "[::]:1-2", "unix:/x")] == [
        "0.0.0.0:80", "0.0.0.0:80", "[::]:1-2", "unix:/x",
    ]  # fmt: skip


@given(st.ip_addresses(), st.integers(1, 65_535), st.integers(0, 3))
def test_an_address_written_out_reads_back(ip: object, port: int, more: int) -> None:
    assume("%" not in str(ip))
    host = f"[{ip}]" if ":" in str(ip) else str(ip)
    span = parse_bind(f"{host}:{port}-{min(port + more, 65_535)}")
    assert parse_bind(str(span)) == span
    assert all(parse_bind(str(bind)) == parse_bind(f"{host}:{bind.port}") for bind in span)


@given(st.text(st.sampled_from("[]:.%*-_/@ 0189afunix")) | st.text())
def test_no_text_breaks_an_address(text: str) -> None:
    for parse in (parse_bind, parse_backend):
        try:
            value = parse(text)
        except ValueError as error:
            assert len(str(error)) < 250  # noqa: PT017 - either outcome is right
        else:
            assert parse(str(value)) == value


@given(st.text())
def test_a_name_fits_the_table_and_a_command_line(name: str) -> None:
    try:
        check_name(name)
    except ValueError:
        return
    assert 1 <= len(name.encode()) <= 64
    assert len(name.split()) == 1
    assert "/" not in name
    assert name.isprintable()


KEYS = st.sampled_from(
    ["process", "workers", "admin", "log", "limits", "max_pools", "listeners", "web", "bind",
     "pool", "pools", "backends", "address", "name", "weight", "health", "interval", "passive"]
)  # fmt: skip
VALUES = st.recursive(
    st.integers() | st.booleans() | st.floats() | st.text() | st.sampled_from(["2s", "h:1", "tcp"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=12,
)


def toml(value: object) -> str:
    """A value as inline TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            escaped = "".join(f"\\U{ord(c):08x}" for c in value if not 0xD800 <= ord(c) < 0xE000)
            return f'"{escaped}"'
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    return str(value)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_valid_toml_of_any_content_is_a_configuration_or_told_wrong(
    data: dict[str, object],
) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in data.items())
    tomllib.loads(text)
    try:
        loads(text, "f")
    except ConfigError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(1 <= (one.line or 1) <= text.count("\n") + 1 for one in problems)


@given(st.text(st.sampled_from("ab.='\"[]{},\n#\\ 10-")) | st.text())
def test_any_text_is_a_configuration_or_told_wrong(text: str) -> None:
    with pytest.raises(ConfigError):
        loads(text, "f")


@pytest.mark.parametrize(("written", "percent"), [('"150%"', 150), ("150", 150), ("1.5", 150)])
def test_a_hash_balance_factor_can_be_written_as_elsewhere(written: str, percent: int) -> None:
    text = "[listeners.a]\nbind = [':80']\npool = 'a'\n[pools.a]\nbackends = ['h:1']\n"
    pool = loads(f"{text}hash_balance_factor = {written}\n", "x.toml").pools["a"]
    assert pool.hash_balance_percent == percent


@pytest.mark.parametrize(
    ("written", "percent"), [('"5%"', 5), ('"0.5%"', 0.5), ('"100 %"', 100), ("5", 5), ("0.5", 0.5)]
)
def test_a_routes_share_can_be_written_as_a_percentage_is_elsewhere(
    written: str, percent: float
) -> None:
    routes = f"[{{percent = {written}, pool = 'a'}}]"
    text = f"[listeners.a]\nbind = [':80']\npool = 'a'\nroutes = {routes}\n[pools.a]\n"
    config = loads(f"{text}backends = ['h:1']\n", "x.toml")
    assert config.listeners["a"].routes[0].percent == percent
