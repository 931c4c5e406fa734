"""Requests as the workers read them, and the routes that they take; see http.pyx."""

from collections.abc import Sequence

from l4lb.native.requests import Chosen, Host, Request, Target
from l4lb.native.table import Table

ROUTES_BYTES: int
"""Bytes of all routes of HTTP listeners, at most."""
ROUTES_MAX: int
"""Routes of HTTP listeners, at most."""
ROUTES_FORMAT: int
ROUTE_KINDS: int

class RequestError(ValueError):
    """A request that is refused. args: the fault's word, the status of the answer."""

def read_target(text: bytes, method: str = "GET") -> Target:
    """Returns the parts of a request's target. Raises RequestError."""

def read_host(text: bytes) -> Host:
    """Returns the name and the port of a Host field. Raises RequestError."""

def read_path(text: bytes, *, merges: bool = True, slashes: bool = False) -> bytes:
    """Returns a path as routes see it. merges: // counts as /. slashes: %2f is allowed. Raises
    RequestError."""

def choose(routes: bytes, at: int, request: Request) -> Chosen | None:
    """Returns the route that a request takes among those of the listener at `at` in these bytes,
    or None."""

def request_key(key: str, request: Request) -> bytes | None:
    """Returns the value of a request for a key of a pool, such as "header:x-user" or "path". None:
    the request has none, or the key takes nothing of requests."""

def cookie_set(field: bytes, name: bytes) -> bytes | None:
    """Returns the value that a field Set-Cookie has for the cookie of this name, or None."""

def choose_in_force(table: Table, listener: int, request: Request) -> Chosen | None:
    """Returns the route that a request takes now at the listener with this row, or None."""

def rules_met(table: Table, listener: int, request: Request) -> list[Chosen]:
    """Returns the rules whose conditions a request meets now in the filter of the listener with
    this row, in their order."""

def rules(table: Table, listener: int) -> list[tuple[str, int]]:
    """Returns the name and the slot of each rule in the filter of the listener with this row."""

def inspections(table: Table, listener: int) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the name of each rule about an engine of the listener with this row, and the slots
    of its verdicts (l4lb/http/routes.py: VERDICTS)."""

def publish_routes(table: Table, routes: bytes, ats: Sequence[int]) -> None:
    """Puts routes into force. ats: where those of each listener's row are; 0: it has none. Raises
    ValueError if they are too many."""

def merges_slashes(table: Table, listener: int) -> bool:
    """Returns whether // counts as / in paths of the listener with this row."""

def cache_of(table: Table, listener: int) -> int:
    """Returns the number of the cache for requests that no route of the listener with this row
    takes; 0: none."""

def true_client(table: Table, listener: int, peer: str, head: bytes) -> str | None:
    """Returns the IP address of whom a request with this head is from, if its peer (an IP address)
    is a proxy whose word the listener with this row believes. None: from its peer."""

def slots(table: Table, listener: int) -> list[int]:
    """Returns the slots of the routes of the listener with this row, in their order."""

def hits(table: Table, slot: int) -> int:
    """Returns how many requests took the route of this slot."""

def forget(table: Table, slot: int) -> None:
    """Sets the hits of a slot that begins to stand for another route to 0."""
