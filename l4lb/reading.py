"""Reads files that an operator names: only regular ones, as a whole, and up to a limit. A pipe or a
device in place of a file delays nobody."""

from __future__ import annotations

import os
import stat

from l4lb.errors import L4lbError

READ_BYTES = 1 << 20


def read(path: str, maximum: int) -> bytes:
    """Returns a file's content. Raises L4lbError: it cannot be read, is no regular file, or has
    more than `maximum` bytes."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise L4lbError(f"{path}: is no regular file")
            parts: list[bytes] = []
            left = maximum + 1
            while left and (data := os.read(fd, min(READ_BYTES, left))):
                parts.append(data)
                left -= len(data)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        raise L4lbError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not left:
        raise L4lbError(f"{path}: has more than {maximum:,} bytes")
    return b"".join(parts)
