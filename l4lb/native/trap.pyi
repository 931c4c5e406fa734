"""What a child leaves for its parent when the kernel refuses it a system call; see trap.pyx and
csrc/base/trap.h."""

from mmap import mmap

SANITIZED: bool
"""Was this built with AddressSanitizer? Its runtime makes system calls of its own."""

def install(page: mmap) -> None:
    """From now on a refused system call is told in page, which parent and child share. Raises
    OSError."""

def told(page: mmap) -> int | None:
    """The number of the refused system call; None: there was none."""
