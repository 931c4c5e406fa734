"""The vault: a memory file with ticket keys and the bundle, written by the supervisor for the
workers.

Only these processes have its descriptor, so neither the shared table nor a file system ever
contains a private key. A worker reads the vault at its start, after it has left Python, and after
rights were given up. The supervisor makes the kernel fill it, and never reads it. csrc/run/vault.h
has its layout. The sequence number in it is odd during a write.
"""

from __future__ import annotations

import os
import struct

from l4lb.certificates.strongbox import copy
from l4lb.native import tls

HEAD = struct.Struct("=5Q")
KEY_BYTES = 80  # a name of 16 bytes, a cipher key and a MAC key of 32 each
KEYS = 3  # ticket keys: the one in use, the one before, and the next one


def make_ticket_keys(fd: int) -> bytes:
    """Writes new keys, in the order that workers expect; only a child calls this."""
    os.pwrite(fd, os.urandom(KEYS * KEY_BYTES), 0)
    return b""


def rotate_ticket_keys(fd: int) -> bytes:
    """Puts the next key into use and forgets the oldest; only a child calls this."""
    known = os.pread(fd, KEYS * KEY_BYTES, 0)
    in_use, following = known[:KEY_BYTES], known[2 * KEY_BYTES :]
    os.pwrite(fd, following + in_use + os.urandom(KEY_BYTES), 0)
    return b""


class Vault:
    """The owner of the memory file."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("l4lb-vault", os.MFD_CLOEXEC)
        self._sequence = 0
        self._keys_generation = 0

    def write(self, keys_fd: int, bundle_fd: int, bundle_bytes: int, generation: int) -> None:
        """Replaces the whole content. generation: the bundle's."""
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
