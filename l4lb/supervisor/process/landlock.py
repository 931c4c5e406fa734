"""Files that a process may write (Landlock, Linux 5.13): a few folders and nothing else.

A filter of system calls cannot tell which file a call means; the kernel's Landlock can. A kernel
without it lets the process write what its user may write.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

# Numbers of the calls: the same on all architectures (asm-generic/unistd.h).
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH
PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h: what is done to files.
WRITE_FILE, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
MAKE = sum(1 << bit for bit in range(6, 13))  # every kind of file
MAKE_DIR, MAKE_REG, REFER, TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
HANDLED = {1: WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE}
HANDLED[2] = HANDLED[1] | REFER
HANDLED[3] = HANDLED[2] | TRUNCATE
STORED = WRITE_FILE | REMOVE_FILE | MAKE_REG  # what workers do in the folders of caches
KEPT = REMOVE_FILE | MAKE_DIR  # ... and the keeper
RECORDED = STORED | MAKE_DIR | REMOVE_DIR  # what the recorder does in the folders of records

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """Returns the version of the kernel's Landlock; 0: it has none."""
    return max(0, int(_LIBC.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)))


def confine(folders: Sequence[int], rights: int) -> None:
    """Lets this process, for good, change files only below these open folders, and only so (STORED,
    KEPT or RECORDED). Does nothing where the kernel has no Landlock. Sets no_new_privs. Raises
    OSError."""
    known = version()
    if not known:
        return
    rules = _Ruleset(HANDLED[min(known, max(HANDLED))])
    ruleset = _call(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    try:
        for folder in folders:
            rule = _PathBeneath(rights, folder)
            _call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
        if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(one) for one in (1, 0, 0, 0))):
            raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _call(number: int, *args: object) -> int:
    result = int(_LIBC.syscall(number, *args))
    if result < 0:
        raise OSError(ctypes.get_errno(), "landlock: " + os.strerror(ctypes.get_errno()))
    return result
