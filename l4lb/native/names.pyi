"""Sets of domain names; see names.pyx and csrc/core/names.h."""

import mmap
from collections.abc import Mapping
from typing import NamedTuple, Self

FORMATS: Mapping[str, int]
BELOW: int  # all names below are meant too
EXCEPT: int  # neither the name nor any below is in the set
WORD_MAX: int  # bytes of an odd word that are kept

class OddWord(NamedTuple):
    """A word that a set does not take as it is: wrong, or with letters that are not ASCII."""

    line: int
    word: bytes
    flags: int
    wrong: bool

class Draft:
    """Names that become a set."""

    def __new__(cls, key: bytes | None = None) -> Self: ...
    def add(self, name: bytes, flags: int = 0) -> bool:
        """Adds a name in the form of lists.name. flags: BELOW, EXCEPT. Returns False if a set does
        not take it. Raises OverflowError: there are too many; MemoryError."""

    def add_text(
        self, content: bytes, form: str, flags: int, most: int
    ) -> tuple[int, int, list[OddWord]]:
        """Adds the names in a file's content, with these flags beside their own. form: of
        FORMATS. Returns how many they are, how many words are odd, and the first `most` of these.
        Raises as add does."""

    def size(self) -> int:
        """Returns the bytes of the set. Raises OverflowError: its names need another key."""

    def count(self) -> int:
        """Returns the number of names; after size, of different ones."""

    def write(self, memory: mmap.mmap | bytearray) -> None:
        """Writes the set into a writable buffer of the size that size has returned."""

class Set:
    """A set in memory, for look-ups."""

    def __new__(cls, memory: mmap.mmap | bytearray | bytes) -> Self: ...
    def __len__(self) -> int: ...
    def find(self, host: bytes) -> bytes:
        """Returns the longest name of the set that means a host; b"": the host is not in it."""

def find_line(content: bytes, form: str, name: bytes) -> int:
    """Returns the first line of a file's content with this name; 0: none has it."""
