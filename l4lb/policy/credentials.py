"""Reads what a client proves itself with: the value of a Proxy-Authorization field. Pure.

Only the scheme Basic is known (RFC 7617). Strict: what two readers could understand differently is
a fault, and the client is asked again.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass, field

VALUE_MAX = 1_024  # bytes of the field's value
SCHEME = re.compile(rb"basic +", re.IGNORECASE)


class CredentialsError(ValueError):
    """A value that is no credentials; its message says why, without any of the value."""


@dataclass(frozen=True)
class Credentials:
    """What a client says about itself. Nothing of it is proven yet."""

    user: str
    password: str = field(repr=False)


def read(value: bytes) -> Credentials:
    """Reads "Basic BASE64" with "user:password" in UTF-8 (RFC 7617, 2 and 2.1). The first colon
    ends the user. Raises CredentialsError."""
    if len(value) > VALUE_MAX:
        raise CredentialsError(f"has more than {VALUE_MAX} bytes")
    scheme = SCHEME.match(value)
    if scheme is None:
        raise CredentialsError("is not of the scheme Basic")
    coded = value[scheme.end() :]
    try:
        said = base64.b64decode(coded, validate=True)
        # Bits that no byte needs could be anything: then two texts would mean one.
        if base64.b64encode(said) != coded:
            raise CredentialsError("is no base64")
        text = said.decode()
    except binascii.Error as error:
        raise CredentialsError("is no base64") from error
    except UnicodeDecodeError:
        raise CredentialsError("is not UTF-8") from None
    user, colon, password = text.partition(":")
    if not colon or not user:
        raise CredentialsError("has no user" if colon else "has no colon behind a user")
    if any(unicodedata.category(one) == "Cc" for one in text):
        raise CredentialsError("has a control character")
    return Credentials(user, password)
