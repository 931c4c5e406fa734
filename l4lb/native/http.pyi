"""Requests as the workers read them; see http.pyx."""

from l4lb.native.requests import Host, Target

class RequestError(ValueError):
    """A request that is refused. args: the fault's word, the status of the answer."""

def read_target(text: bytes, method: str = "GET") -> Target:
    """Returns the parts of a request's target. Raises RequestError."""

def read_host(text: bytes) -> Host:
    """Returns the name and the port of a Host field. Raises RequestError."""

def read_path(text: bytes, *, merges: bool = True, slashes: bool = False) -> bytes:
    """Returns a path as routes see it. merges: // counts as /. slashes: %2f is allowed. Raises
    RequestError."""
