"""Records and the rules that name them: what is taken, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config import bounds
from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import ConfigError

FOLDER = "/var/lib/l4lb/faults"


def service(
    rules: list[dict[str, Any]] | None = None,
    records: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    http = {"record": [rule()] if rules is None else rules}
    listener = {"bind": [":80"], "protocol": "http", "pool": "web", "http": http}
    return {
        "listeners": {"web": listener},
        "pools": {"web": {"backends": ["10.0.0.1:80"]}},
        "record": {"faults": {"folder": FOLDER}} if records is None else records,
        **more,
    }


def rule(**keys: Any) -> dict[str, Any]:
    return {"name": "a", "record": "faults", **keys}


def built(data: dict[str, Any]) -> Config:
    return build(data, Origin())


def faults(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        built(data)
    return str(caught.value)


def test_a_record_has_bounds_and_masks_unless_it_says_otherwise() -> None:
    config = built(service())
    one = config.record["faults"]
    assert (one.name, one.folder) == ("faults", FOLDER)
    assert (one.max_size, one.max_body, one.statuses) == (1 << 30, 64 << 10, None)
    assert {"password", "token", "secret"} <= set(one.mask_values)
    assert config.warnings == ()


def test_a_rule_names_a_record_that_is_there() -> None:
    said = faults(service([rule(record="fault")]))
    assert "listeners.web.http.record[0].record" in said
    assert "faults" in said


def test_a_record_that_no_rule_uses_is_told() -> None:
    (warning,) = built(service([])).warnings
    assert "no rule uses this record" in str(warning)


def test_a_folder_belongs_to_one_record_or_cache() -> None:
    both = {"faults": {"folder": FOLDER}, "all": {"folder": f"{FOLDER}/all"}}
    assert "give each record a folder of its own" in faults(service(None, both))
    cache = {"pages": {"disk": {"path": FOLDER, "size": "1GiB"}}}
    assert "folder of its own" in faults(service(cache=cache))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"folder": "faults"}, "is not an absolute path"),
        ({"folder": "/a/../b"}, '".." in it'),
        ({"folder": FOLDER, "max_body": "5MiB"}, "max_body"),
        ({"folder": FOLDER, "max_size": "1KiB"}, "max_size"),
        ({"folder": FOLDER, "statuses": [99]}, "statuses"),
        ({"folder": FOLDER, "statuses": ["599-500"]}, "is not a status"),
        ({"folder": FOLDER, "mask_fields": ["a b"]}, "mask_fields"),
        ({"folder": FOLDER, "mask_values": [""]}, "is not the name of a value"),
        ({"folder": FOLDER, "mask_values": ["x" * 65]}, "is not the name of a value"),
        ({"folder": FOLDER, "mask_values": [str(n) for n in range(257)]}, "at most 256 names"),
    ],
)
def test_what_a_record_cannot_be_is_refused(keys: dict[str, Any], words: str) -> None:
    assert words in faults(service(None, {"faults": keys}))


def test_rules_have_names_of_their_own_and_a_maximum() -> None:
    assert "two rules named a" in faults(service([rule(), rule()]))
    many = [rule(name=f"r{n}") for n in range(bounds.RECORD_RULES_MAX + 1)]
    assert f"at most {bounds.RECORD_RULES_MAX} rules" in faults(service(many))
    records = {f"r{n}": {"folder": f"/x/{n}"} for n in range(bounds.RECORDS_MAX + 1)}
    assert f"more than {bounds.RECORDS_MAX}" in faults(service([], records))
