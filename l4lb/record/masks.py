"""What is secret in a recording: the names of header fields and of values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from l4lb.config.values.record import USUAL_FIELDS as FIELDS
from l4lb.config.values.record import USUAL_VALUES as VALUES

STARS = b"***"
USUAL_FIELDS = frozenset(name.encode() for name in FIELDS)
USUAL_VALUES = frozenset(VALUES)
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
        part counts, too; and password[] is a row of passwords."""
        folded = _folded(name)
        if folded in self.values or folded.partition("[")[0] in self.values:
            return True
        return any(part in self.values for part in PARTS.split(folded)[1:])


def _folded(name: str) -> str:
    return SIGNS.sub("", name.casefold())
