import mmap

from l4lb.native.pieces import Piece

BYTES: int
BEGIN: int
REQUEST: int
ANSWER: int
BODY: int
END: int

def refused(area: mmap.mmap | bytearray) -> int: ...

class Reader:
    def __init__(self, area: mmap.mmap | bytearray) -> None: ...
    def take(self, worker: int, limit: int) -> list[Piece]: ...
