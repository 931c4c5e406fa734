"""A balancer on a host that sometimes has no free socket."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .balancer import Balancer
from .processes import may_end

SOURCE = Path(__file__).with_name("faults.c")


class Poor(Balancer):
    """A balancer that runs with faults.c in front of its C library."""

    @property
    def _fault(self) -> Path:
        return self.folder / "fault"

    def environment(self) -> dict[str, str]:
        library = self.folder / "faults.so"
        command = ["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-Wall", "-Werror"]
        subprocess.run([*command, str(SOURCE), "-o", str(library), "-ldl"], check=True)
        fault = {"LD_PRELOAD": str(library), "L4LB_FAULT": str(self._fault)}
        return {**super().environment(), **fault}

    def fails(self, call: str, error: int) -> contextlib.AbstractContextManager[None]:
        """Makes `call` (accept4, socket) fail with this errno for all network sockets, inside the
        block."""
        return self._with(f"{call} {error}")

    def strays(self, pid: int, call: int) -> contextlib.AbstractContextManager[None]:
        """Makes that process issue the system call of this number at its next accept4 or socket,
        inside the block. The process may end by it."""
        may_end(pid, signal.SIGSYS)
        return self._with(f"strays {call} {pid}")

    @contextlib.contextmanager
    def _with(self, fault: str) -> Iterator[None]:
        fresh = self.folder / "fault.new"
        fresh.write_text(f"{fault}\n")
        os.rename(fresh, self._fault)
        try:
            yield
        finally:
            self._fault.unlink()
