"""Messages of HTTP/1 read, written anew and decoded; see http1.pyx."""

from collections.abc import Iterable

class HeadError(Exception):
    """A head that is refused: with a word and a status."""

    word: str
    status: int

class Head:
    """A head that was read."""

    size: int
    version: tuple[int, int]
    method: bytes
    target: bytes
    host: bytes
    status: int
    reason: bytes
    framing: str
    length: int | None
    keep_alive: bool
    upgrade: bool
    tunnel: bool
    fields: list[tuple[bytes, bytes]]

    def write_request(self, target: bytes, host: bytes, *, connection: str = "") -> bytes | None:
        """The request's head in its normal form."""

    def write_answer(self, framing: str, *, connection: str = "") -> bytes | None:
        """The answer's head in its normal form."""

def head_end(data: bytes, scanned: int = 0) -> tuple[int | str, int]:
    """(length of the head or 0 or a fault's word, how far it was scanned)."""

def read_request(
    data: bytes,
    *,
    head: int = 32768,
    target: int = 8192,
    fields: int = 100,
    refuse_underscores: bool = False,
) -> Head:
    """Reads a request's head; raises HeadError."""

def read_answer(data: bytes, asked: bytes = b"GET") -> Head:
    """Reads an answer's head; raises HeadError."""

def decode_chunks(pieces: Iterable[bytes]) -> tuple[str, bytes, int]:
    """Decodes a body that comes in pieces: ("done", "more" or "bad", data, bytes used)."""

def chunk_head(size: int) -> bytes:
    """The line that begins a chunk."""
