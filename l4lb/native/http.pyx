# cython: language_level=3
"""Requests as the workers read them: targets, hosts and paths, by the workers' own code."""

from libc.stdint cimport uint32_t

from l4lb.native cimport c
from l4lb.native.requests import Host, Target

SCHEMES = {c.L4_SCHEME_NONE: "", c.L4_SCHEME_HTTP: "http", c.L4_SCHEME_HTTPS: "https"}
FORMS = {"CONNECT": c.L4_FORM_AUTHORITY,
         "OPTIONS": c.L4_FORM_ORIGIN | c.L4_FORM_ABSOLUTE | c.L4_FORM_ASTERISK}
OTHER_FORMS = c.L4_FORM_ORIGIN | c.L4_FORM_ABSOLUTE


class RequestError(ValueError):
    """A request that is refused. args: the fault's word, the status of the answer."""


def read_target(text, method="GET"):
    """Returns the parts of a request's target. Raises RequestError."""
    cdef c.l4_target target
    cdef bytes raw = text
    _check(c.l4_target_read(raw, len(raw), FORMS.get(method, OTHER_FORMS), &target))
    return Target(SCHEMES[target.scheme], _text(&target.host), _text(&target.path) or b"",
                  _text(&target.query))


def read_host(text):
    """Returns the name and the port (None: it has none) of a Host field. Raises RequestError."""
    cdef c.l4_host host
    cdef bytes raw = text
    _check(c.l4_host_read(raw, len(raw), &host))
    return Host(host.name[:host.bytes].decode("ascii"), host.port or None)


def read_path(text, *, merges=True, slashes=False):
    """Returns a path as routes see it. merges: // counts as /. slashes: %2f is allowed. Raises
    RequestError."""
    cdef char to[c.L4_PATH_MATCH_MAX]
    cdef uint32_t to_bytes
    cdef bytes raw = text
    rules = (c.L4_PATH_MERGES if merges else 0) | (c.L4_PATH_SLASHES if slashes else 0)
    _check(c.l4_path_read(raw, len(raw), rules, to, &to_bytes))
    return to[:to_bytes]


cdef _text(const c.l4_text *text):
    return None if text.at is NULL else text.at[:text.bytes]


cdef _check(unsigned int fault):
    if fault:
        word = c.l4_target_fault_word(fault).decode()
        raise RequestError(word, c.l4_target_fault_status(fault))
