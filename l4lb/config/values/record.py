"""Types of fields about records: the names of values that are masked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.units import shown, wrong
from l4lb.config.values import common

LONGEST = 64  # characters of a name
# why: "key" and "code" are not among them, because too much else is named so.
USUAL_VALUES = (
    "access_token", "api_key", "apikey", "auth", "client_secret", "code_verifier", "id_token",
    "passphrase", "passwd", "password", "pwd", "refresh_token", "secret", "session", "sessionid",
    "sig", "signature", "token", "x-amz-security-token", "x-amz-signature",
)  # fmt: skip
USUAL_FIELDS = (
    "Private-Token", "X-Access-Token", "X-Amz-Security-Token", "X-Api-Key", "X-Auth-Token",
    "X-Csrf-Token", "X-Vault-Token", "X-Xsrf-Token",
)  # fmt: skip


def _value_names(value: object) -> object:
    """Checks the names of values that are masked."""
    names = common.as_tuple(value)
    if not isinstance(names, tuple):
        return names
    if len(names) > bounds.RECORD_VALUES_MAX:
        raise wrong(f"must have at most {bounds.RECORD_VALUES_MAX} names, not {len(names)}")
    for name in names:
        if isinstance(name, str) and not (name.isprintable() and name and len(name) <= LONGEST):
            raise wrong(f"{shown(name)} is not the name of a value", 'such as "password"')
    return names


ValueNames = Annotated[
    tuple[str, ...],
    BeforeValidator(
        _value_names,
        json_schema_input_type=Annotated[list[str], Field(max_length=bounds.RECORD_VALUES_MAX)],
    ),
]
