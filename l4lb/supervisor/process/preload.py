"""Imports modules early that are normally imported late. A service needs this if it becomes a user
who cannot read its place of installation (a Python below /root).

Such a service serves clients, but cannot start programs of its own any more. A warning says so at
start.
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

# Packages that children import at first use; each is imported with all its modules.
PACKAGES = (
    "l4lb.checker",
    "l4lb.config",
    "l4lb.control",
    "l4lb.discovery",
    "l4lb.metrics",
    "l4lb.policy",
    "l4lb.record",
    "l4lb.supervisor",
    "concurrent.futures",
    "asyncio",
    "dns",
    "aiohttp",
)
MODULES = (
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_8_sig",
    "encodings.unicode_escape",
    "traceback",
    "shlex",
)
LOG = l4lb.log.get("supervisor")


def for_user(user: User) -> None:
    """Imports all that children may need, if the user cannot read the installation."""
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
    with contextlib.suppress(ImportError):  # an extra that is not installed, or for another system
        package = importlib.import_module(name)
        for one in pkgutil.walk_packages(package.__path__, name + ".", onerror=lambda _: None):
            if not one.name.endswith("__main__"):
                with contextlib.suppress(ImportError, RuntimeError):
                    importlib.import_module(one.name)
