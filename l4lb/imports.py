"""Imports that cost less."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Makes a package look as if it were not installed, to what is imported in the block. One that
    was imported before stays."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    hidden = name not in modules
    if hidden:
        modules[name] = None
    try:
        yield
    finally:
        if hidden:
            del modules[name]


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Looks for no garbage in the block: what is imported stays, and looking at it again and again
    is an eighth of the time of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
