"""Turns TOML files into a configuration.

The result is a configuration, or one ConfigError with all errors, each with its file and line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from l4lb.config.build import build
from l4lb.config.flags import demo, from_flags
from l4lb.config.model import Config
from l4lb.config.reading import document, environment, include

__all__ = ["demo", "from_flags", "load", "loads"]


def load(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Config:
    """Reads a configuration file and what it includes. environ: what ${NAME} stands for, instead
    of this process's environment. Raises ConfigError if it cannot be read or used."""
    return loads(document.read(path), os.fsdecode(path), environ=environ)


def loads(text: str, filename: str, *, environ: Mapping[str, str] | None = None) -> Config:
    """Parses a configuration. filename is used in errors, and included files are looked for beside
    it. Raises ConfigError."""
    data, origin = include.gather(text, filename)
    known = os.environ if environ is None else environ
    data, found = environment.expand(data, known)
    return build(data, origin, found)
