"""The vault: a memory file with ticket keys and the bundle, from the supervisor to the workers.

Only they have its descriptor, so neither the shared table nor a file system ever has a private key.
A worker reads it when it starts, when it has no Python any more, and after rights were given up.
The supervisor has it filled by the kernel and never reads it. Its layout is csrc/run/vault.h's;
the sequence number is odd while it is written.
"""

from __future__ import annotations

import os
import struct

from l4lb.certificates.strongbox import copy
from l4lb.native import tls

HEAD = struct.Struct("=5Q")
KEY_BYTES = 80  # a name of 16 bytes, a cipher key and a MAC key of 32 each
KEYS = 3  # of session tickets: in use, the one before, and the next, which workers already know


def make_ticket_keys(fd: int) -> bytes:
    """For a child: new keys, in the order that workers expect."""
    os.pwrite(fd, os.urandom(KEYS * KEY_BYTES), 0)
    return b""


def rotate_ticket_keys(fd: int) -> bytes:
    """For a child: the next key comes into use; the one before is forgotten."""
    known = os.pread(fd, KEYS * KEY_BYTES, 0)
    in_use, following = known[:KEY_BYTES], known[2 * KEY_BYTES :]
    os.pwrite(fd, following + in_use + os.urandom(KEY_BYTES), 0)
    return b""


class Vault:
    """Owns the memory file."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("l4lb-vault", os.MFD_CLOEXEC)
        self._sequence = 0
        self._keys_generation = 0

    def write(self, keys_fd: int, bundle_fd: int, bundle_bytes: int, generation: int) -> None:
        """Replaces all of it; generation: of the bundle."""
        self._keys_generation += 1
        self._head(generation, bundle_bytes)
        copy(self.fd, tls.VAULT_KEYS_AT, keys_fd, KEYS * KEY_BYTES)
        os.ftruncate(self.fd, tls.VAULT_BUNDLE_AT + bundle_bytes)
        copy(self.fd, tls.VAULT_BUNDLE_AT, bundle_fd, bundle_bytes)
        self._head(generation, bundle_bytes)

    def _head(self, generation: int, size: int) -> None:
        self._sequence += 1
        head = HEAD.pack(tls.VAULT_MAGIC, self._sequence, self._keys_generation, generation, size)
        os.pwrite(self.fd, head, 0)

    def close(self) -> None:
        os.close(self.fd)
