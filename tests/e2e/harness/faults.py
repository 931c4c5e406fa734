"""A balancer on a host that has no socket to give, now and then."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .balancer import Balancer

SOURCE = Path(__file__).with_name("faults.c")


class Poor(Balancer):
    """Runs with faults.c before its C library."""

    @property
    def _fault(self) -> Path:
        return self.folder / "fault"

    def environment(self) -> dict[str, str]:
        library = self.folder / "faults.so"
        command = ["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-Wall", "-Werror"]
        subprocess.run([*command, str(SOURCE), "-o", str(library), "-ldl"], check=True)
        fault = {"LD_PRELOAD": str(library), "L4LB_FAULT": str(self._fault)}
        return {**super().environment(), **fault}

    @contextlib.contextmanager
    def fails(self, call: str, error: int) -> Iterator[None]:
        """Inside, `call` (accept4, socket) fails with this errno for all network sockets."""
        fresh = self.folder / "fault.new"
        fresh.write_text(f"{call} {error}\n")
        os.rename(fresh, self._fault)
        try:
            yield
        finally:
            self._fault.unlink()
