"""Where the configuration comes from, and what lies over it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from l4lb.config.model import Config
from l4lb.errors import L4lbError
from l4lb.supervisor.reload.overlay import Overlay

Load = Callable[[str], Config]  # a file's path to its configuration, host names looked up


def _no_load(path: str) -> Config:
    raise L4lbError(f"this service reads no files: {path}")


@dataclass(frozen=True)
class ConfigOrigin:
    """Where the configuration came from ("": no file), and how one is read: with what the command
    line says instead, and host names looked up."""

    path: str = ""
    load: Load = _no_load


@dataclass(frozen=True)
class Source:
    """Where the configuration comes from: a file ("": none, it came from flags), what it said, and
    what lies over it."""

    path: str
    file: Config
    overlay: Overlay = field(default_factory=Overlay)

    @property
    def running(self) -> Config:
        return self.overlay.over(self.file)

    @property
    def lasting(self) -> Config:
        """What runs, but for what discovery found: that is for a file to say."""
        return replace(self.overlay, discovered={}).over(self.file)
