# cython: language_level=3
"""The settings of the table, of a listener, of a pool and of a cache, as csrc/shm/settings.h lists
them.

Only this module writes these settings.
"""

from libc.stdint cimport uint32_t, uint64_t

from l4lb.native cimport c
from l4lb.native.memory cimport Memory
from l4lb.native import rows

_KINDS = {
    "table": <int>c.L4_OF_TABLE, "listener": <int>c.L4_OF_LISTENER, "pool": <int>c.L4_OF_POOL,
    "cache": <int>c.L4_OF_CACHE,
}


def _paths(int kind):
    cdef uint32_t count, i
    cdef const c.l4_setting *found = c.l4_settings(<c.l4_setting_kind>kind, &count)
    paths = [found[i].path.decode() for i in range(count)]
    return {path.replace(".", "_"): path for path in paths}


PATHS = {name: _paths(kind) for name, kind in _KINDS.items()}


cdef uint64_t _number(name, path, value) except? 0xffff:
    """Returns the number of a value. A missing set is L4_NONE, any other missing value is 0."""
    if value is None:
        return c.L4_NONE if name.endswith("_set") else 0
    if isinstance(value, str):
        return rows.SETTING_WORDS[path.rpartition(".")[2]].index(value)
    return int(value)


def put(Memory table, kind, index, **values):
    """Writes these settings of one row; index 0 is the whole table's. A value is a number, a
    boolean, a word of the configuration, or None.

    Raises TypeError if a name is not in PATHS, ValueError if a value is too large.
    """
    cdef uint32_t count, i
    cdef const c.l4_setting *settings = c.l4_settings(<c.l4_setting_kind><int>_KINDS[kind], &count)
    paths = PATHS[kind]
    unknown = values.keys() - paths.keys()
    if unknown:
        raise TypeError(f"a {kind} has no setting {', '.join(sorted(unknown))}")
    if kind == "listener":
        table._listener(index)
    elif kind == "pool":
        table._pool(index)
    elif kind == "cache" and not 0 <= index < c.L4_CACHES_MAX:
        raise IndexError(f"cache {index}")
    cdef void *row = c.l4_settings_row(&table.table, <c.l4_setting_kind><int>_KINDS[kind], index)
    for i, (name, path) in enumerate(paths.items()):
        if name in values:
            if not c.l4_setting_put(row, &settings[i], _number(name, path, values[name])):
                raise ValueError(f"{name}: {values[name]!r} is too large")
    if kind == "listener":
        c.l4_needs_settle(&table.table, index)
