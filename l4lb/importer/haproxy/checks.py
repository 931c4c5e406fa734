"""Converts HAProxy's checks into a pool's health table, without the settings of single servers."""

from __future__ import annotations

import re
import shlex

from l4lb.importer.draft import Rank
from l4lb.importer.haproxy.proxy import Handler, Proxy
from l4lb.importer.haproxy.words import Line, pairs

STATUSES = range(100, 600)
MYSQL_GREETING = r"regex:(?s)^...\x00\x0a"  # its length, the number 0, protocol 10
ASKED = {
    "redis-check": [{"send": "*1\r\n$4\r\nPING\r\n", "expect": "+PONG\r\n"}],
    "mysql-check": [{"expect": MYSQL_GREETING}],
    "ldap-check": [{"send": "hex:300c020101600702010304008000", "expect": r"regex:^0"}],
}  # fmt: skip


def plain(text: str) -> str:
    """Returns a text to send or to expect in l4lb's form."""
    if any(not (c.isprintable() or c in "\r\n\t") for c in text):
        return "hex:" + text.encode("latin-1", "replace").hex()
    return f"text:{text}" if text.startswith(("text:", "hex:", "regex:")) else text


def _asks(proxy: Proxy, line: Line) -> None:
    """Reads option redis-check and similar options: known conversations."""
    _kind(proxy, "tcp", line)
    proxy.put(proxy.check, "steps", [dict(one) for one in ASKED[line[1]]])
    if "user" in line.words:
        proxy.leave(Rank.DIFFERENT, "the greeting is looked at, nobody logs in", line)


def _smtp(proxy: Proxy, line: Line) -> None:
    hello = " ".join(line.words[2:4]) if len(line.words) > 3 else "HELO localhost"
    _kind(proxy, "tcp", line)
    steps = [
        {"expect": "regex:^220[ -]"},
        {"send": f"{hello}\r\n", "expect": "regex:(?m)^2[0-9][0-9][ -]"},
        {"send": "QUIT\r\n", "expect": "regex:(?m)^2[0-9][0-9][ -]"},
    ]
    proxy.put(proxy.check, "steps", steps)


def _postgres(proxy: Proxy, line: Line) -> None:
    _kind(proxy, "tcp", line)
    user = pairs(line.words[2:]).get("user", "").encode()
    body = b"\0\3\0\0user\0" + user + b"\0\0"
    sent = (len(body) + 4).to_bytes(4, "big") + body
    proxy.put(proxy.check, "steps", [{"send": f"hex:{sent.hex()}", "expect": "regex:^R"}])


def _hello(proxy: Proxy, line: Line) -> None:
    _kind(proxy, "tls", line)
    proxy.put(proxy.check, "verify", False)


def _http(proxy: Proxy, line: Line) -> None:
    words = line.words[2:]
    said = ("OPTIONS", *words) if len(words) < 2 else words
    _kind(proxy, "http", line)
    proxy.put(proxy.check, "method", said[0])
    _path(proxy, said[1] if len(said) > 1 else "/", line)
    _, *headers = (said[2] if len(said) > 2 else "HTTP/1.0").split("\r\n")
    for one in headers:
        name, _, value = one.partition(":")
        _header(proxy, name.strip(), value.strip())
    more = said[3:]
    if more:
        proxy.leave(Rank.DIFFERENT, f"{' '.join(more)}: not carried over", line)


def _path(proxy: Proxy, path: str, line: Line) -> None:
    if path == "*":
        proxy.leave(Rank.DIFFERENT, 'a check asks for a path: "/" instead of "*"', line)
        path = "/"
    proxy.put(proxy.check, "path", path)


def _header(proxy: Proxy, name: str, value: str) -> None:
    if name.lower() == "host":
        proxy.put(proxy.check, "host", value)
    elif name.lower() not in ("connection", "content-length", ""):
        held = proxy.check.get("headers", [])
        proxy.put(proxy.check, "headers", [*held, f"{name}: {value}"])


def _talks(proxy: Proxy, line: Line) -> None:
    _kind(proxy, "tcp", line)


def _program(proxy: Proxy, line: Line) -> None:
    _kind(proxy, "exec", line)


def _kind(proxy: Proxy, kind: str, line: Line) -> None:
    """Sets the type of check; the later of two types replaces the earlier one with its settings."""
    held = {key: value for key, value in proxy.check.items() if key == "timeout"}
    proxy.check.clear()
    proxy.check.update(held)
    proxy.check.put("type", kind, line.place)


CHECKS: dict[str, Handler] = {
    "httpchk": _http,
    "tcp-check": _talks,
    "external-check": _program,
    "ssl-hello-chk": _hello,
    "smtpchk": _smtp,
    "pgsql-check": _postgres,
    **dict.fromkeys(ASKED, _asks),
}


# ---- rules of tcp-check and http-check -----------------------------------------------------------


def converse(proxy: Proxy) -> None:
    """Adds the rules to the check, when all are known."""
    kind = proxy.check.get("type")
    for line in proxy.talks:
        proxy.line = line
        wanted = "http" if line[0] == "http-check" else "tcp"
        try:
            if line[0] == "external-check":
                _external(proxy, line)
            elif kind != wanted or (
                "steps" in proxy.check and proxy.check["steps"] in ASKED.values()
            ):
                proxy.leave(Rank.NOTE, "the check is of another type", line)
            elif wanted == "http":
                _http_rule(proxy, line)
            else:
                _tcp_rule(proxy, line)
        except ValueError as error:
            proxy.leave(Rank.UNCHECKED, f"not understood: {error}", line)
    if kind == "exec" and "command" not in proxy.check:
        proxy.check.clear()
        proxy.leave(Rank.UNCHECKED, "no external-check command says what is run", proxy.line)


def _external(proxy: Proxy, line: Line) -> None:
    """Converts an external check: HAProxy gives a program four arguments, which a shell takes from
    the environment here."""
    if line[1] == "path" or proxy.check.get("type") != "exec":
        return
    paths = [one[2] for one in proxy.talks if one.words[:2] == ("external-check", "path")]
    given = "".join(f"PATH={shlex.quote(path)} " for path in paths[-1:])
    given += (
        'HAPROXY_PROXY_NAME="$L4LB_POOL" HAPROXY_SERVER_NAME="$L4LB_BACKEND" '
        'HAPROXY_SERVER_ADDR="$L4LB_HOST" HAPROXY_SERVER_PORT="$L4LB_PORT"'
    )
    script = f'exec env {given} "$0" NOT_USED NOT_USED "$L4LB_HOST" "$L4LB_PORT"'
    proxy.put(proxy.check, "command", ["/bin/sh", "-c", script, line[2]])


def _tcp_rule(proxy: Proxy, line: Line) -> None:
    steps = proxy.check.setdefault("steps", [])
    match line[1]:
        case "connect":
            _connect(proxy, line, bool(steps))
        case "send" | "send-binary":
            text = line[2]
            binary = line[1] == "send-binary"
            steps.append({"send": f"hex:{text.lower()}" if binary else plain(text)})
        case "expect":
            expected = _expected(line)
            if steps and "expect" not in steps[-1]:
                steps[-1]["expect"] = expected
            else:
                steps.append({"expect": expected})
        case "comment" | "set-var" | "unset-var":
            proxy.leave(Rank.NOTE, "not carried over", line)
        case _:
            raise ValueError(f"there is no {line[1]} here")
    if not steps:
        del proxy.check["steps"]


def _connect(proxy: Proxy, line: Line, again: bool) -> None:
    if again:
        raise ValueError("a check has one connection here")
    words = iter(line.words[2:])
    for word in words:
        match word:
            case "port":
                proxy.put(proxy.check, "port", int(next(words, "")))
            case "addr":
                proxy.put(proxy.check, "address", next(words, ""))
            case "ssl":
                proxy.put(proxy.check, "type", "https" if line[0] == "http-check" else "tls")
            case "sni":
                proxy.put(proxy.check, "sni", next(words, ""))
            case "send-proxy":
                proxy.put(proxy.check, "send_proxy", "v1")
            case "comment" | "alpn" | "proto":
                next(words, "")
            case "default" | "linger" | "via-socks4":
                pass
            case _:
                raise ValueError(f"there is no {word} here")


def _expected(line: Line) -> str:
    words = list(line.words[2:])
    while words and words[0] in ("min-recv", "comment", "on-success", "on-error", "ok-status",
                                 "error-status", "tout-status", "status-code"):  # fmt: skip
        words = words[2:]
    if not words or words[0] == "!" or len(words) < 2:
        raise ValueError("l4lb cannot express an answer that must not come")
    kind, text = words[:2]
    match kind:
        case "string":
            return plain(text)
        case "rstring":
            return f"regex:{text}"
        case "binary":
            return f"hex:{text.lower()}"
        case "rbinary":
            return f"regex:{_bytes_pattern(text)}"
    raise ValueError(f"there is no {kind} here")


def _bytes_pattern(text: str) -> str:
    """Converts a regular expression over hexadecimal digits into one over bytes, if both match the
    same data."""
    if re.fullmatch(r"\^?([0-9a-fA-F]{2})*\$?", text) is None:
        raise ValueError("an expression over hexadecimal digits")
    return re.sub("[0-9a-fA-F]{2}", lambda one: rf"\x{one[0].lower()}", text)


def _http_rule(proxy: Proxy, line: Line) -> None:
    match line[1]:
        case "send":
            _send(proxy, line)
        case "expect":
            _http_expect(proxy, line)
        case "connect":
            _connect(proxy, line, again="status" in proxy.check)
        case "send-state" | "comment":
            proxy.leave(Rank.NOTE, "not carried over", line)
        case "disable-on-404":
            proxy.leave(Rank.DIFFERENT, "404 is a failure like others here", line)
        case _:
            raise ValueError(f"there is no {line[1]} here")


def _send(proxy: Proxy, line: Line) -> None:
    words = iter(line.words[2:])
    for word in words:
        value = next(words, "")
        match word:
            case "meth":
                proxy.put(proxy.check, "method", value)
            case "uri":
                _path(proxy, value, line)
            case "hdr":
                _header(proxy, value, next(words, ""))
            case "ver":
                pass
            case "body":
                proxy.leave(Rank.UNCHECKED, "a check sends no body here", line)
            case _:
                raise ValueError(f"there is no {word} here")


def _http_expect(proxy: Proxy, line: Line) -> None:
    words = list(line.words[2:])
    while words and words[0] in ("min-recv", "comment", "on-success", "on-error", "ok-status",
                                 "error-status", "tout-status", "status-code"):  # fmt: skip
        words = words[2:]
    negated = words[:1] == ["!"]
    words = words[negated:]
    if len(words) < 2:
        raise ValueError("nothing is expected")
    kind, text = words[:2]
    if kind in ("status", "rstatus"):
        proxy.put(proxy.check, "status", _statuses(kind, text, negated))
    elif kind in ("string", "rstring") and not negated:
        pattern = re.escape(text) if kind == "string" else text
        proxy.put(proxy.check, "body", pattern)
        proxy.check.default("status", ["100-599"], line.place)
    else:
        raise ValueError(f"{'!' if negated else ''}{kind} cannot be expected here")


def _statuses(kind: str, text: str, negated: bool) -> list[str]:
    """Returns the statuses that are a pass, as numbers and ranges."""
    if kind == "rstatus":
        try:
            meant = {one for one in STATUSES if re.search(text, str(one))}
        except re.error as error:
            raise ValueError(f"{text}: {error}") from error
    else:
        meant = set()
        for part in text.split(","):
            first, _, last = part.partition("-")
            meant |= set(range(int(first), int(last or first) + 1))
    meant = set(STATUSES) - meant if negated else meant & set(STATUSES)
    return _ranges(sorted(meant))


def _ranges(numbers: list[int]) -> list[str]:
    found: list[list[int]] = []
    for one in numbers:
        if found and found[-1][1] == one - 1:
            found[-1][1] = one
        else:
            found.append([one, one])
    if not found:
        raise ValueError("no status would be a pass")
    return [str(a) if a == b else f"{a}-{b}" for a, b in found]
