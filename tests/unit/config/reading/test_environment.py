"""Environment variables in values: replaced completely, with the type that the model wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.config.reading import environment, parse
from l4lb.config.reading.environment import expand
from l4lb.errors import ConfigError

TEXT = """
[process]
workers = "${WORKERS:-2}"
[listeners.web]
bind = ["${HOST:-127.0.0.1}:${PORT}"]
pool = "web"
[pools.web]
idle_timeout = "${IDLE:-1m}"
backends = [{ address = "127.0.0.1:2", weight = "${WEIGHT:-7}", backup = "${BACKUP:-false}" }]
"""


def test_values_come_from_the_environment_or_their_default() -> None:
    config = parse.loads(TEXT, "f", environ={"PORT": "80", "WORKERS": "3", "IDLE": ""})
    assert str(config.listeners["web"].bind[0]) == "127.0.0.1:80"
    assert config.process.workers == 3
    backend = config.pools["web"].backends[0]
    assert (backend.weight, backend.backup) == (7, False)
    assert config.pools["web"].idle_timeout_ms == 60_000


def test_a_variable_that_is_not_set_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError) as error:
        parse.loads(TEXT, "f", environ={})
    (told,) = map(str, error.value.problems)
    assert told.startswith("f:5: listeners.web.bind[0]: the environment variable PORT is not set")


def test_a_number_is_only_made_where_one_is_wanted() -> None:
    data = {"process": {"admin": "${N}", "workers": "${N}"}, "x": ["${N}"]}
    done, found = expand(data, {"N": "12"})
    assert done == {"process": {"admin": "12", "workers": 12}, "x": ["12"]}
    assert not found


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("a", "a"),
        ("$A", "$A"),
        ("$${A}", "${A}"),
        ("${A}", "1"),
        ("x${A}y${A}", "x1y1"),
        ("${B:-}", ""),
        ("${B:-a:b}", "a:b"),
        ("${LIKE}", "${A}"),
    ],
)
def test_references(text: str, becomes: str) -> None:
    done, found = expand({"k": text}, {"A": "1", "LIKE": "${A}"})
    assert (done["k"], found) == (becomes, [])


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A B}", "${A-x}"])
def test_what_is_no_reference_is_an_error(text: str) -> None:
    _, found = expand({"k": text}, {"A": "1"})
    assert len(found) == 1


def test_what_variables_add_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ENVIRONMENT_BYTES_MAX", 1_000_000)
    done, found = expand({"k": "${A}" * 2_000}, {"A": "x" * 1_000})
    assert found
    assert len(done["k"]) <= 1_000_000


@given(st.text(alphabet="${}:-Aax1 ", max_size=40))
def test_any_text_is_replaced_or_told(text: str) -> None:
    done, found = expand({"k": text}, {"A": "v"})
    assert isinstance(done["k"], str)
    if "${" not in text:
        assert (done["k"], found) == (text, [])
