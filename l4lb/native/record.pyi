import mmap

from l4lb.native.pieces import Piece

BYTES: int
BEGIN: int
REQUEST: int
ANSWER: int
BODY: int
END: int

def make(area: mmap.mmap | bytearray) -> None: ...
def lost(area: mmap.mmap | bytearray) -> tuple[int, int]: ...

class Reader:
    def __init__(self, area: mmap.mmap | bytearray) -> None: ...
    def take(self, worker: int, limit: int) -> list[Piece]: ...
