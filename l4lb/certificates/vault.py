"""The vault: a memory file with ticket keys and the bundle, from the supervisor to the workers.

Only they have its descriptor, so neither the shared table nor a file system ever has a private key.
A worker reads it when it starts, when it has no Python any more, and after rights were given up.
Its layout is csrc/run/secure.h's; the sequence number is odd while it is written.
"""

from __future__ import annotations

import os
import struct

from l4lb.native import tls

HEAD = struct.Struct("=5Q")
KEY_BYTES = 80  # a name of 16 bytes, a cipher key and a MAC key of 32 each


class TicketKeys:
    """Keys of session tickets: the one in use, the one before, and the next, which workers already
    know when it comes into use."""

    def __init__(self, known: bytes = b"") -> None:
        """known: the data of a program before this one, whose tickets stay good."""
        if len(known) != 3 * KEY_BYTES:
            known = os.urandom(3 * KEY_BYTES)
        self._keys = [known[at : at + KEY_BYTES] for at in range(0, len(known), KEY_BYTES)]
        self.generation = 1

    def rotate(self) -> None:
        """The next key comes into use; the one before is forgotten."""
        in_use, _, following = self._keys
        self._keys = [following, in_use, os.urandom(KEY_BYTES)]
        self.generation += 1

    @property
    def data(self) -> bytes:
        """In the order that workers expect."""
        return b"".join(self._keys)


class Vault:
    """Owns the memory file."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("l4lb-vault", os.MFD_CLOEXEC)
        self._sequence = 0

    def write(self, keys: TicketKeys, bundle: bytes, generation: int) -> None:
        """Replaces all of it."""
        self._head(self._sequence + 1, keys, generation, len(bundle))
        os.pwrite(self.fd, keys.data, tls.VAULT_KEYS_AT)
        os.ftruncate(self.fd, tls.VAULT_BUNDLE_AT + len(bundle))
        done = 0
        while done < len(bundle):
            done += os.pwrite(self.fd, bundle[done:], tls.VAULT_BUNDLE_AT + done)
        self._head(self._sequence + 1, keys, generation, len(bundle))

    def _head(self, sequence: int, keys: TicketKeys, generation: int, size: int) -> None:
        self._sequence = sequence
        head = HEAD.pack(tls.VAULT_MAGIC, sequence, keys.generation, generation, size)
        os.pwrite(self.fd, head, 0)

    def close(self) -> None:
        os.close(self.fd)
