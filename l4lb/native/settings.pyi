"""The settings of the table, of a listener, of a pool and of a cache; see csrc/shm/settings.h."""

from l4lb.native.memory import Memory

PATHS: dict[str, dict[str, str]]
"""Of each kind of row (table, listener, pool, cache) its settings: name to path in the
configuration; the name is the path with _ in place of each dot."""

def put(table: Memory, kind: str, index: int, **values: object) -> None:
    """Writes these settings of one row; index 0 is the whole table's. A value is a number, a
    boolean, a word of the configuration, or None.

    Raises TypeError if a name is not in PATHS, ValueError if a value is too large.
    """
