"""What is secret in a recording: the names of header fields and of values."""

from __future__ import annotations

import re
from dataclasses import dataclass

STARS = b"***"
# Names of values that are secret as a rule. why: "key" and "code" are not among them, because too
# much else is named so.
USUAL_VALUES = frozenset({
    "access_token", "api_key", "apikey", "auth", "client_secret", "code_verifier", "id_token",
    "passphrase", "passwd", "password", "pwd", "refresh_token", "secret", "session", "sessionid",
    "sig", "signature", "token", "x-amz-security-token", "x-amz-signature",
})  # fmt: skip
# Header fields that are secret as a rule, besides Authorization and cookies.
USUAL_FIELDS = frozenset({
    b"private-token", b"x-access-token", b"x-amz-security-token", b"x-api-key", b"x-auth-token",
    b"x-csrf-token", b"x-vault-token", b"x-xsrf-token",
})  # fmt: skip
PARTS = re.compile(r"[\[\].]")  # user[password] of Rails and PHP, Input.Password of ASP.NET
SIGNS = re.compile(r"[\s_-]")


@dataclass(frozen=True, slots=True)
class Masks:
    """fields: names of header fields. values: names of arguments, of members, of parts of forms,
    and of header fields. Neither case nor the signs `_` and `-` count in them: access_token is also
    accessToken."""

    fields: frozenset[bytes] = USUAL_FIELDS
    values: frozenset[str] = USUAL_VALUES

    def __post_init__(self) -> None:
        values = frozenset(map(_folded, self.values)) - {""}
        object.__setattr__(self, "fields", frozenset(map(bytes.lower, self.fields)))
        object.__setattr__(self, "values", values)

    def hides(self, name: str) -> bool:
        """Returns whether a value of this name is secret. In a name such as user[password], each
        part counts, too."""
        folded = _folded(name)
        if folded in self.values:
            return True
        return any(part in self.values for part in PARTS.split(folded)[1:])


def _folded(name: str) -> str:
    return SIGNS.sub("", name.casefold())
