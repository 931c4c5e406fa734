"""What a child leaves for its parent when the kernel refuses it a system call; see trap.pyx and
csrc/base/trap.h."""

from mmap import mmap

SANITIZED: bool
"""Was this built with AddressSanitizer? Its runtime makes system calls of its own."""

def install(page: mmap) -> None:
    """Writes the number of a refused system call into page from now on. Parent and child share
    page."""

def told(page: mmap) -> int | None:
    """Returns the number of the refused system call; None: there was none."""
