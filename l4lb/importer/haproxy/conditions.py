"""The conditions of `if` and `unless`, as far as they are about a network, a server name, a
protocol, chance or a count: alternatives of tests that must all hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from l4lb.importer.branches import UnsaidError
from l4lb.importer.haproxy.words import Line
from l4lb.importer.networks import Network, network

ALTERNATIVES_MAX = 256
FLAGS = {
    "-i": 0,
    "-n": 0,
    "-M": 0,
    "-u": 1,
    "-m": 1,
    "-f": 1,
    "--": 0,
}  # flag: its values
# Predefined conditions; None: never true.
READY: Mapping[str, tuple[str, ...] | None] = {
    "TRUE": (), "WAIT_END": (), "FALSE": None, "LOCALHOST": ("src", "127.0.0.1/8"),
    "REQ_CONTENT": ("req.len", "gt", "0"), "HTTP": ("req.proto_http",),
    "HTTP_1.0": ("req.ver", "1.0"), "HTTP_1.1": ("req.ver", "1.1"),
    "HTTP_CONTENT": ("hdr_val(content-length)", "gt", "0"), "HTTP_URL_STAR": ("url", "*"),
    **{f"METH_{one}": ("method", one) for one in (
        "CONNECT", "DELETE", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")},
    "METH_GET": ("method", "GET", "HEAD"),
}  # fmt: skip
FETCHES = {
    "source": ("src",),
    "sni": ("req.ssl_sni", "req_ssl_sni", "ssl_fc_sni", "req.ssl_sni,lower", "ssl_fc_sni,lower"),
    "alpn": ("req.ssl_alpn", "ssl_fc_alpn"),
    "hello": ("req.ssl_hello_type", "req_ssl_hello_type", "req.ssl_ver", "req_ssl_ver",
              "ssl_fc", "req.ssl_st_ext"),
}  # fmt: skip
KIND_OF = {name: kind for kind, names in FETCHES.items() for name in names}
CHANCE = re.compile(r"rand\((\d+)\)")
COUNT = re.compile(
    r"(?:src|sc\d?)_(?P<what>conn_cur|conn_rate|sess_rate|http_req_rate)(?:\(.*\))?", re.ASCII
)
COUNTED = {"conn_cur": "connections_per_source", "conn_rate": "rate_per_source",
           "sess_rate": "rate_per_source"}  # fmt: skip
METHODS = ("beg", "end", "dom", "sub", "reg", "dir", "str")


@dataclass(frozen=True)
class Test:
    """One test; kind "other": a test that l4lb cannot express."""

    kind: str
    text: str
    method: str = ""
    patterns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    negated: bool = False
    folded: bool = False  # upper and lower case are the same

    def networks(self) -> list[Network]:
        """Returns the networks of a test of the source. Raises ValueError."""
        return [network(one) for one in self.patterns]


Alternatives = list[list[Test]]


def condition(words: Sequence[str], acls: Mapping[str, list[Line]]) -> Alternatives:
    """Parses the words from `if` or `unless` on (no words: always true). Raises UnsaidError."""
    if not words:
        return [[]]
    found: Alternatives = []
    for part in _split(words[1:]):
        found += _conjunction(part, acls)
    return _inverted(found) if words[0] == "unless" else found


def cut(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Splits a rule's words into those before its condition and the condition."""
    at = next((i for i, word in enumerate(words) if word in ("if", "unless")), len(words))
    return tuple(words[:at]), tuple(words[at:])


def test_of(words: Sequence[str]) -> Test:
    """Parses the test of an acl or { ... }."""
    if not words:
        raise UnsaidError("an empty condition")
    fetch, rest = words[0], list(words[1:])
    method, files, folded = "", [], False
    while rest and rest[0] in FLAGS:
        flag = rest.pop(0)
        value = rest.pop(0) if FLAGS[flag] and rest else ""
        if flag == "-m":
            method = value
        elif flag == "-f":
            files.append(value)
        elif flag == "-i":
            folded = True
        elif flag == "--":
            break
    base, _, suffix = fetch.rpartition("_")
    if suffix in METHODS and base in KIND_OF:
        fetch, method = base, suffix
    kind = KIND_OF.get(fetch, "other")
    if CHANCE.fullmatch(fetch):
        kind = "chance"
    elif COUNT.fullmatch(fetch):
        kind = "count"
    return Test(kind, fetch, method, tuple(rest), tuple(files), folded=folded)


def _split(words: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("||", "or"):
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _conjunction(words: list[str], acls: Mapping[str, list[Line]]) -> Alternatives:
    found: Alternatives = [[]]
    rest = list(words)
    while rest:
        word = rest.pop(0)
        negated = word.startswith("!")
        word = word[1:] if negated else word
        if not word and rest:
            word = rest.pop(0)
        if word == "{":
            if "}" not in rest:
                raise UnsaidError("a { without a }")
            at = rest.index("}")
            several: Alternatives = [[test_of(rest[:at])]]
            rest = rest[at + 1 :]
        else:
            several = _named(word, acls)
        found = _both(found, _inverted(several) if negated else several)
    return found


def _named(name: str, acls: Mapping[str, list[Line]]) -> Alternatives:
    if name in acls:
        return [[test_of(line.words[2:])] for line in acls[name]]
    if name not in READY:
        raise UnsaidError(f"no acl is named {name}")
    words = READY[name]
    if words is None:
        return []
    return [[test_of(words)]] if words else [[]]


def _both(one: Alternatives, other: Alternatives) -> Alternatives:
    if len(one) * len(other) > ALTERNATIVES_MAX:
        raise UnsaidError("too many alternatives")
    return [[*a, *b] for a in one for b in other]


def _inverted(alternatives: Alternatives) -> Alternatives:
    found: Alternatives = [[]]
    for tests in alternatives:
        found = _both(found, [[replace(one, negated=not one.negated)] for one in tests])
    return found
