"""Tests of `if` that look at a request, as conditions of routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from l4lb import regex
from l4lb.importer.branches import UnsaidError, literal
from l4lb.importer.draft import Rank
from l4lb.importer.haproxy.conditions import Test
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.routes import percent, sni_names
from l4lb.importer.haproxy.words import Line
from l4lb.importer.networks import network

FORM = re.compile(
    r"(?P<name>[a-z0-9._]+?)(?:_(?P<method>beg|end|dom|sub|reg|dir|len|cnt|val|ip))?"
    r"(?:\((?P<arg>[^)]*)\))?(?P<converters>(?:,.*)?)",
    re.IGNORECASE,
)
SAME_HOST = ("host_only", "field(1,:)", "word(1,:)")  # a route's host has no port anyway
FILE_MAX = 1 << 20  # bytes that are read of a file of patterns
PATTERNS_MAX = 1_000  # patterns of one test
ODD_PATH = re.compile(r"[?#\\]|//|/\.\.?(?:/|$)|%(?![0-9A-Fa-f]{2})|%00|%2[Ff]")
ALWAYS = ("always_true", "req.proto_http", "req_proto_http")
LABELS = r"(?:[\w-]+\\\.)*[\w-]+"
HOST_FORMS = (
    (re.compile(rf"\^({LABELS})(?::\S+)?\$"), ("{}",)),
    (re.compile(rf"\^\((?:\?:)?({LABELS})\\\.\)\?({LABELS})\$"), ("{1}", "{0}.{1}")),
    (re.compile(rf"\^?\(?(?:\.[*+])?\)?\\\.({LABELS})\$"), ("*.{}",)),
)


def conditions_of(proxy: Proxy, test: Test, line: Line, exact: bool) -> dict[str, Any]:
    """Returns a test, without its `not`, as conditions. exact: a test that routes can nearly
    express is not enough. Raises ValueError."""
    match = FORM.fullmatch(test.text)
    if test.kind == "chance":
        return {"percent": percent(test)}
    if match is None or match["name"].lower() not in READERS:
        raise UnsaidError(f"l4lb has no test for {test.text}")
    asked = Asked(proxy, test, line, exact, match)
    return READERS[match["name"].lower()](asked)


class Asked:
    """One test with its method, its argument and its patterns."""

    def __init__(
        self, proxy: Proxy, test: Test, line: Line, exact: bool, match: re.Match[str]
    ) -> None:
        self.proxy, self.test, self.line, self.exact = proxy, test, line, exact
        self.method = test.method or (match["method"] or "").lower()
        self.argument = (match["arg"] or "").partition(",")[0].strip().strip("\"'")
        self.folded = test.folded
        for one in re.findall(r",([^,(]+(?:\([^)]*\))?)", match["converters"]):
            if one == "lower":
                self.folded = True
            elif one not in SAME_HOST or self.argument.lower() != "host":
                raise UnsaidError(f"l4lb does not convert by {one}")

    def patterns(self) -> list[str]:
        """Returns the patterns, with those of files as they are now."""
        found = list(self.test.patterns)
        for file in self.test.files:
            found += _lines(self.proxy.world.path("", file))
            why = f"{file} is written out as it is now"
            self.proxy.leave(Rank.DIFFERENT, why, self.line)
        if not found or len(found) > PATTERNS_MAX:
            raise UnsaidError(f"a test has 1 to {PATTERNS_MAX} patterns")
        return found

    def wrong_method(self) -> UnsaidError:
        return UnsaidError(f"l4lb has no test for {self.test.text} by {self.method}")

    def nearly(self, why: str) -> None:
        """Reports that the test is not quite the same here; raises UnsaidError if it must be."""
        if self.exact:
            raise UnsaidError(why)
        self.proxy.leave(Rank.DIFFERENT, why, self.line)


def _lines(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = source.read(FILE_MAX + 1)
    except OSError as error:
        raise UnsaidError(f"{file}: {error.strerror}") from error
    if len(text) > FILE_MAX:
        raise UnsaidError(f"{file} is larger than {FILE_MAX >> 20} MiB")
    return [one.strip() for one in text.split("\n") if one.strip() and one.lstrip()[0] != "#"]


# ---- readers -------------------------------------------------------------------------------------


def _path(asked: Asked) -> dict[str, Any]:
    patterns = asked.patterns()
    method = asked.method or "str"
    folds = asked.folded and any(one.lower() != one.upper() for one in patterns)
    if method == "reg":
        expressions = patterns
    elif method not in EXPRESSIONS:
        raise asked.wrong_method()
    else:
        if any(map(ODD_PATH.search, patterns)):
            raise UnsaidError("a path that requests are not compared with")
        if method in PATHS and not folds:
            key = PATHS[method]
            if key != "path_suffix" and not all(one.startswith("/") for one in patterns):
                raise UnsaidError("a path begins with /")
            return {key: patterns}
        expressions = [EXPRESSIONS[method].format(literal(one.strip("/") if method == "dir" else
                                                          one)) for one in patterns]  # fmt: skip
    return {"path_regex": [_valid(f"(?i){one}" if folds else one) for one in expressions]}


PATHS = {"str": "path", "beg": "path_prefix", "end": "path_suffix"}
EXPRESSIONS = {"str": "^{}$", "beg": "^{}", "end": "{}$", "sub": "{}", "dir": "(^|/){}(/|$)"}


def _valid(expression: str) -> str:
    try:
        regex.compiled(expression)
    except regex.PatternError as error:
        raise UnsaidError(f"{expression} {error}") from error
    return expression


def _url(asked: Asked) -> dict[str, Any]:
    if asked.method not in ("beg", "sub", "dir"):
        raise UnsaidError("a route has tests for the path and for arguments")
    return _path(asked)


def _host(asked: Asked) -> dict[str, Any]:
    found: list[str] = []
    for pattern in asked.patterns():
        text = pattern.lower()
        name, colon, port = text.rpartition(":")
        if colon and port.isdigit():
            asked.nearly(f"{pattern}: hosts are compared without their port")
            text = name
        below = text.lstrip(".")
        match asked.method:
            case "" | "str":
                found.append(text)
            case "end" if text.startswith("."):
                found.append(f"*.{below}")
            case "end" | "dom":
                asked.proxy.leave(
                    Rank.DIFFERENT, f"{below} in l4lb matches the names below it too", asked.line
                )
                found += [below, f"*.{below}"]
            case "reg":
                found += _host_names(pattern)
            case "found":
                found.append("*")
            case _:
                raise asked.wrong_method()
    return {"host": list(dict.fromkeys(found))}


def _host_names(expression: str) -> list[str]:
    for form, names in HOST_FORMS:
        match = form.fullmatch(expression)
        if match:
            parts = [one.replace("\\", "").lower() for one in match.groups()]
            return [name.format(*parts) for name in names]
    raise UnsaidError(f"{expression} is not a name as routes have them")


def _header(asked: Asked) -> dict[str, Any]:
    if asked.argument.lower() == "host":
        return _host(asked)
    if asked.argument.lower() in CLAIMED:
        asked.proxy.believes = asked.line
    return _named(asked, "header")


CLAIMED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded")


def _named(asked: Asked, key: str) -> dict[str, Any]:
    if not asked.argument:
        raise UnsaidError("a test needs a name")
    if asked.method == "found":
        return {key: {asked.argument: ["*"]}}
    if asked.method not in VALUES:
        raise asked.wrong_method()
    found = []
    for text in asked.patterns():
        if "*" in text or not text.isprintable() or not text:
            raise UnsaidError("a pattern of a route cannot say this text")
        spellings = [text]
        if asked.folded and text.lower() != text.upper():
            spellings += [text.lower(), text.upper(), text.title()]
            spellings += ["WebSocket"] if text.lower() == "websocket" else []
            asked.nearly("upper and lower case count: the usual spellings are written out")
        found += [VALUES[asked.method].format(one) for one in dict.fromkeys(spellings)]
    return {key: {asked.argument: found}}


VALUES = {"": "{}", "str": "{}", "beg": "{}*", "end": "*{}", "sub": "*{}*"}


def _method(asked: Asked) -> dict[str, Any]:
    if asked.method not in ("", "str"):
        raise asked.wrong_method()
    return {"method": [one.upper() if asked.folded else one for one in asked.patterns()]}


def _scheme(asked: Asked) -> dict[str, Any]:
    said = asked.test.patterns or ("1",)
    if said not in (("1",), ("0",)):
        raise UnsaidError("whether there is TLS is yes or no")
    return {"scheme": ["https" if said == ("1",) else "http"]}


def _source(asked: Asked) -> dict[str, Any]:
    return {"source": [str(network(one)) for one in asked.patterns()]}


def _sni(asked: Asked) -> dict[str, Any]:
    if asked.method == "found":
        return {"sni": ["*"]}
    texts = asked.patterns()
    names = [name for one in texts for name in sni_names(asked.proxy, asked.test, one, asked.line)]
    return {"sni": names}


def _always(_: Asked) -> dict[str, Any]:
    return {}


Reader = Callable[[Asked], dict[str, Any]]
READERS: Mapping[str, Reader] = {
    "path": _path, "url": _url,
    **dict.fromkeys(("hdr", "req.hdr", "req.fhdr"), _header),
    **dict.fromkeys(("cook", "req.cook"), lambda asked: _named(asked, "cookie")),
    **dict.fromkeys(("url_param", "urlp"), lambda asked: _named(asked, "query")),
    "method": _method, "ssl_fc": _scheme, "src": _source, "ssl_fc_sni": _sni,
    **dict.fromkeys(ALWAYS, _always),
}  # fmt: skip
