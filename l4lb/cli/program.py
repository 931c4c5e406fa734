"""Finds the running program, and the word that people type to run it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

from l4lb.errors import L4lbError


def program() -> str:
    """Returns the absolute path of the installed l4lb. Raises L4lbError."""
    beside = os.path.join(os.path.dirname(sys.executable), "l4lb")
    found = beside if os.access(beside, os.X_OK) else shutil.which("l4lb")
    if found is None:
        raise L4lbError("l4lb is not installed beside its Python, nor on PATH; install it first")
    return os.path.abspath(found)


def typed() -> str:
    """Returns the word for the running program in a shell: its name, if PATH leads to it."""
    path, on_path = program(), shutil.which("l4lb")
    if on_path is not None and os.path.realpath(on_path) == os.path.realpath(path):
        return "l4lb"
    return shlex.quote(path)
