"""`l4lb schema`: the schema for editors accepts what l4lb accepts."""

from __future__ import annotations

import json

import jsonschema
import pytest

from .conftest import L4lb

GOOD = {
    "include": ["more/*.toml"],
    "listeners": {"web": {"bind": ["0.0.0.0:80"], "pool": "web"}},
    "pools": {"web": {"backends": ["10.0.0.1:80", {"address": "10.0.0.2:80", "weight": 3}]}},
}


def test_it_is_a_schema_that_takes_a_good_file_and_refuses_a_wrong_key(l4lb: L4lb) -> None:
    done = l4lb("schema")
    assert done.status == 0
    schema = json.loads(done.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(GOOD, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(GOOD | {"poools": {}}, schema)
