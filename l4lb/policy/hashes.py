"""Hashes of passwords as Apache's htpasswd writes them, and whether a password is the one.

bcrypt ($2a$, $2b$, $2y$) and SHA-crypt ($5$, $6$: Ulrich Drepper, "Unix crypt using SHA-256 and
SHA-512", 2007) are computed by the system's libcrypt; Apache's MD5 ($apr1$) by a few lines here,
because libcrypt does not have it. Everything weaker is refused by its name. So is a hash that takes
longer than about a second: whoever asks for a user would make us work as long.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field

BCRYPT_COST_MAX = 14  # about a second
SHA_ROUNDS_MIN = 1_000  # libcrypt computes no fewer
SHA_ROUNDS_MAX = 500_000  # about half a second
# The work of SHA-crypt grows with the password's length, which a client chooses.
PASSWORD_MAX = 256  # bytes
CRYPT_DATA_BYTES = 256 << 10  # struct crypt_data: 32 KiB in libxcrypt, 128 KiB in old C libraries
LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", "libc.so")
DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
SHA = re.compile(
    r"\$(?:5\$(?:rounds=([1-9]\d*)\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
    r"|6\$(?:rounds=([1-9]\d*)\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86})",
    re.ASCII,
)
APR1 = re.compile(r"\$apr1\$([./A-Za-z0-9]{1,8})\$[./A-Za-z0-9]{22}", re.ASCII)
BROKEN = (
    (re.compile(r"\$(2[aby]?|5|6|apr1)\$.*"), "a damaged hash"),
    (re.compile(r"\$1\$.*"), "MD5-crypt ($1$)"),
    (re.compile(r"\$.*"), "a hash of an unknown kind"),
    (re.compile(r"\{SHA\}.*", re.IGNORECASE), "SHA-1 without a salt"),
    (re.compile(r"\{.*\}.*"), "a hash of an unknown kind"),
    (re.compile(r"[0-9A-Fa-f]{32}"), "MD5 without a salt"),
    (re.compile(r"[./A-Za-z0-9]{13}"), "DES-crypt, or plain text"),
    (re.compile(r""), "no hash"),
)
ADVICE = "make it anew with htpasswd -B"


class HashError(ValueError):
    """A hash that is not used; its message says why, without any of the hash."""


@dataclass(frozen=True)
class Hash:
    """A hash of a password. text: as it is in the file."""

    text: str = field(repr=False)
    compute: Callable[[bytes, str], str | None] = field(repr=False)

    def matches(self, password: bytes) -> bool:
        """True if it is the hash of this password. Slow by intent, up to a second. The interpreter
        is free meanwhile, so that callers can use threads (not with apr1, a millisecond)."""
        if len(password) > PASSWORD_MAX or b"\0" in password:
            return False
        found = self.compute(password, self.text)
        return found is not None and hmac.compare_digest(found.encode(), self.text.encode())


NOBODYS = Hash("", lambda _password, _text: None)
"""No password has this hash."""


def read_hash(text: str) -> Hash:
    """Reads a hash. Raises HashError."""
    if APR1.fullmatch(text):
        return Hash(text, _apr1)
    if found := BCRYPT.fullmatch(text):
        if not 4 <= int(found[1]) <= BCRYPT_COST_MAX:
            raise HashError(f"bcrypt with the cost {found[1]}: 4 to {BCRYPT_COST_MAX} is used")
    elif found := SHA.fullmatch(text):
        rounds = found[1] or found[2] or "5000"
        if len(rounds) > 9 or not SHA_ROUNDS_MIN <= int(rounds) <= SHA_ROUNDS_MAX:
            allowed = f"{SHA_ROUNDS_MIN} to {SHA_ROUNDS_MAX}"
            raise HashError(f"SHA-crypt with {rounds[:20]} rounds: {allowed} is used")
    else:
        what = next(what for pattern, what in BROKEN if pattern.match(text))
        raise HashError(f"{what}, which is not used: {ADVICE}")
    _crypt_r()
    return Hash(text, _crypt)


@functools.cache
def _crypt_r() -> Callable[[bytes, bytes, ctypes.Array[ctypes.c_char]], bytes | None]:
    """Returns crypt_r(3). Raises HashError."""
    for name in LIBRARIES:
        try:
            found = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        found.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
        found.restype = ctypes.c_char_p
        return found
    raise HashError("a hash that needs libcrypt, and this host has none (Debian: libcrypt1)")


def _crypt(password: bytes, setting: str) -> str | None:
    data = ctypes.create_string_buffer(CRYPT_DATA_BYTES)
    found = _crypt_r()(password, setting.encode(), data)
    return None if found is None else found.decode("latin-1")


def _apr1(password: bytes, setting: str) -> str | None:
    """Apache's MD5: MD5-crypt of FreeBSD with another name in the first sum (APR, apr_md5.c)."""
    salt = setting.split("$")[2].encode()

    def md5(*parts: bytes) -> bytes:
        return hashlib.md5(b"".join(parts), usedforsecurity=False).digest()

    inner = md5(password, salt, password)
    first = (password, b"$apr1$", salt, (inner * (len(password) // 16 + 1))[: len(password)])
    # A quirk of the first program that did it: a NUL for each bit that is set.
    bits = (
        b"\0" if len(password) >> shift & 1 else password[:1]
        for shift in range(len(password).bit_length())
    )
    final = md5(*first, *bits)
    for turn in range(1_000):
        final = md5(
            password if turn & 1 else final,
            salt if turn % 3 else b"",
            password if turn % 7 else b"",
            final if turn & 1 else password,
        )
    return f"$apr1${salt.decode()}${_digits(final)}"


def _digits(sum16: bytes) -> str:
    """Returns 16 bytes as MD5-crypt writes them: three bytes as four digits, lowest first."""
    thirds = (12, 13, 14, 15, 5)
    groups = [(sum16[at], sum16[at + 6], sum16[third]) for at, third in enumerate(thirds)]
    numbers = [(high << 16 | middle << 8 | low, 4) for high, middle, low in groups]
    numbers.append((sum16[11], 2))
    return "".join(
        DIGITS[number >> 6 * place & 63] for number, count in numbers for place in range(count)
    )
