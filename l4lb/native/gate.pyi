import mmap
from collections.abc import Mapping, Sequence

from l4lb.native.questions import Question, Subject, Uses

BYTES: int
QUESTIONS: int
ADDRESSES_MAX: int
NAME_MAX: int
KINDS: Mapping[str, int]

def make(area: bytearray | mmap.mmap) -> None: ...
def questions(area: bytearray | mmap.mmap, worker: int) -> list[Question]: ...
def put(
    area: bytearray | mmap.mmap,
    key: tuple[int, int],
    subject: Subject,
    *,
    kind: str,
    until_ms: int,
    rule: str = "",
    user: str = "",
    addresses: Sequence[str] = (),
) -> Uses | None: ...
def uses(area: bytearray | mmap.mmap) -> list[Uses]: ...
def renew(area: bytearray | mmap.mmap) -> None: ...
def forget(area: bytearray | mmap.mmap, worker: int) -> None: ...
def counts(area: bytearray | mmap.mmap) -> tuple[int, int]: ...
def inside(address: str) -> str | None: ...
