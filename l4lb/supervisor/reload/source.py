"""The source of the configuration: its file, and the run-time changes over it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from l4lb.config.model import Config
from l4lb.config.plain import as_written, digest, to_stated
from l4lb.errors import L4lbError
from l4lb.supervisor.reload.overlay import Overlay

Load = Callable[[str], Config]  # reads the file at a path and looks up its host names


def _no_load(path: str) -> Config:
    raise L4lbError(f"this service reads no files: {path}")


@dataclass(frozen=True)
class ConfigOrigin:
    """The configuration's file ("": none) and the function that reads a file: it applies the
    options of the command line and looks up host names."""

    path: str = ""
    load: Load = _no_load


@dataclass(frozen=True)
class Source:
    """The configuration's file ("": none, flags were used), the content of the file, and the
    overlay of run-time changes."""

    path: str
    file: Config
    overlay: Overlay = field(default_factory=Overlay)

    @property
    def running(self) -> Config:
        return self.overlay.over(self.file)

    @property
    def lasting(self) -> Config:
        """Returns the configuration in force without discovered backends: what a file can
        express."""
        return replace(self.overlay, discovered={}).over(self.file)

    def saved(self) -> dict[str, Any]:
        """Returns the answer to `save`. stated: the content of a file for the configuration in
        force. digest: of the result of reading that file. left_out: run-time changes that no file
        can express."""
        lasting = self.lasting
        return {
            "file": self.path,
            "stated": to_stated(as_written(lasting)),
            "digest": digest(lasting),
            "left_out": list(self.overlay.unsayable(lasting)),
        }
