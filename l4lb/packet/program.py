"""The shield's program as this package has it: whether it was built, and why it cannot be loaded.

The program is built only where libbpf and clang were there. Everything else of the package works
without it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from l4lb.errors import L4lbError

if TYPE_CHECKING:
    from l4lb.native.packet import Shield

OBJECT = Path(__file__).with_name("shield.bpf.o")
XDP_OBJECT = Path(__file__).with_name("shield_xdp.bpf.o")
NOT_BUILT = (
    "this l4lb was built without programs of the kernel; build it again with libbpf and clang"
    ' (Debian: apt install libbpf-dev clang), or set shield = "off" and data_path = "proxy"'
)
SAID_MAX = 200  # characters of what the kernel said
HINTS = {
    errno.EACCES: "the verifier refuses it to this process: start the service as root",
    errno.EPERM: "it needs CAP_BPF and CAP_NET_ADMIN: start the service as root",
    errno.ENOSYS: "the kernel has no BPF",
    errno.EINVAL: "the kernel may be older than 6.1",
}


def is_built() -> bool:
    """Returns whether this package has the shield."""
    try:
        import l4lb.native.packet  # noqa: F401 - it is missing if it was not built
    except ImportError:
        return False
    return OBJECT.exists() and XDP_OBJECT.exists()


def load(*, is_xdp: bool = False) -> Shield:
    """Loads the program of tc or of XDP into the kernel. Raises L4lbError that says what to do."""
    if not is_built():
        raise L4lbError(NOT_BUILT)
    from l4lb.native.packet import Shield

    try:
        return Shield.load((XDP_OBJECT if is_xdp else OBJECT).read_bytes(), is_xdp)
    except OSError as error:
        raise L4lbError(why_not(error)) from error


def of(name: str) -> bytes:
    """Returns the object file of another program. Raises L4lbError that says what to do."""
    path = OBJECT.with_name(f"{name}.bpf.o")
    if not is_built() or not path.exists():
        raise L4lbError(NOT_BUILT)
    return path.read_bytes()


def why_not(error: OSError) -> str:
    """Returns the error of a program that could not be loaded, with what to do."""
    number = error.errno or 0
    lines = str(getattr(error, "said", "")).splitlines()
    hint = HINTS.get(number) or (lines[-1][:SAID_MAX] if lines else "")
    text = f"the kernel does not take the program: {os.strerror(number)}"
    return f"{text}; {hint}" if hint else text
