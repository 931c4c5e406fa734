"""Modules that are imported late, imported early: for a service that becomes a user who cannot
read the place it is installed in (a Python below /root).

Such a service serves, but cannot start programs of its own any more; it is told so at start.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys

import l4lb
import l4lb.log
from l4lb.supervisor.process.privileges import User

# What children import at their first use of something, whole packages with all that is in them.
PACKAGES = (
    "l4lb.checker",
    "l4lb.config",
    "l4lb.control",
    "l4lb.discovery",
    "l4lb.metrics",
    "l4lb.supervisor",
    "concurrent.futures",
    "asyncio",
    "dns",
    "aiohttp",
)
MODULES = ("encodings.idna", "encodings.latin_1", "encodings.utf_8_sig", "traceback", "shlex")
LOG = l4lb.log.get("supervisor")


def for_user(user: User) -> None:
    """Imports what children may need, if the user will not be able to."""
    places = (sys.prefix, sys.base_prefix, os.path.dirname(l4lb.__file__))
    closed = next(filter(None, map(user.closed_part, places)), None)
    if closed is None:
        return
    LOG.warning(
        "the user cannot read where l4lb is installed: no host names at a reload, no upgrade",
        user=user.name,
        folder=closed,
        remedy="install it where every user may read, such as /opt/l4lb",
    )
    for name in PACKAGES:
        _import_all(name)
    for name in MODULES:
        importlib.import_module(name)


def _import_all(name: str) -> None:
    with contextlib.suppress(ImportError):  # an extra that is not installed, another system's part
        package = importlib.import_module(name)
        for one in pkgutil.walk_packages(package.__path__, name + ".", onerror=lambda _: None):
            if not one.name.endswith("__main__"):
                with contextlib.suppress(ImportError, RuntimeError):
                    importlib.import_module(one.name)
