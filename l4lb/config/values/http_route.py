"""Types of fields about routes of HTTP listeners: hosts, paths, patterns, locations, fields."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import address, bounds
from l4lb.config.units import check_bounds, shown, wrong
from l4lb.config.values import clients, common, http
from l4lb.config.values.health import TOKEN

# Characters that stand for themselves in a path (RFC 3986, 3.3), as csrc/core/target.h has them.
PATH_CHARACTERS = "/-._~!$&'()*+,;=:@"
REDIRECTS = (301, 302, 303, 307, 308)
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PLACEHOLDERS = ("scheme", "host", "path", "rest", "query")
FIELD_VALUE = re.compile(r"[!-~]([\t -~]*[!-~])?", re.ASCII)


def _host(value: str) -> str:
    """Returns a host as requests are compared with it: lower case, IPv6 in its shortest form."""
    if value.startswith("[") and value.endswith("]"):
        try:
            return f"[{address.parse_ip(value[1:-1])}]"
        except ValueError:
            raise wrong(f"{shown(value)} is not a host") from None
    name = value.removesuffix(".")
    if ":" in value:
        raise wrong(f"{shown(value)} is not a host", "a host has no port here")
    return clients.server_name(name)


def _path(value: str) -> str:
    """Returns a path in the one spelling in which paths are compared."""
    if not value.startswith("/"):
        raise wrong(f"{shown(value)} is not a path", 'a path begins with "/"')
    _no_query(value)
    segments = urllib.parse.unquote(value).split("/")
    if "." in segments or ".." in segments:
        raise wrong(f'{shown(value)} has "." or "..", which are resolved before paths are compared')
    return _spelt(value)


def _path_end(value: str) -> str:
    """Returns the end of a path, such as ".css", in that spelling."""
    if not value:
        raise wrong("must not be empty")
    _no_query(value)
    return _spelt(value)


def _no_query(value: str) -> None:
    if "?" in value or "#" in value:
        raise wrong(f"{shown(value)} is more than a path", "use `query` for arguments")
    if len(value.encode()) > bounds.ROUTE_TEXT_MAX:
        raise wrong(f"is longer than {bounds.ROUTE_TEXT_MAX} bytes")


def _spelt(value: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", value):
        raise wrong(f"{shown(value)} has a % without two hexadecimal digits", "write %25 for %")
    decoded = urllib.parse.unquote_to_bytes(value)
    if b"\0" in decoded or re.search("%2f", value, re.IGNORECASE):
        raise wrong(f"{shown(value)} has %00 or %2F, which no path of a request may have")
    return urllib.parse.quote_from_bytes(decoded, safe=PATH_CHARACTERS)


def _pattern(value: str) -> str:
    if not value.isprintable() or len(value.encode()) > bounds.ROUTE_TEXT_MAX:
        limit = bounds.ROUTE_TEXT_MAX
        raise wrong(f"must be at most {limit} bytes that can be printed", "* stands for any text")
    return value


def _condition_name(value: str) -> str:
    if not TOKEN.fullmatch(value) or len(value) > bounds.FIELD_NAME_MAX:
        raise wrong(f"{shown(value)} is not a name of a header field or cookie")
    return value


def _regex(value: str) -> str:
    if len(value) > bounds.ROUTE_TEXT_MAX:
        raise wrong(f"is longer than {bounds.ROUTE_TEXT_MAX} bytes")
    return common.check_regex(value, "it is compared with the path; RE2's syntax")


def _argument(value: str) -> str:
    if not value:
        raise wrong("a name cannot be empty")
    return _pattern(value)


def check_method(value: str) -> str:
    """Returns a method. Raises ValueError."""
    if not TOKEN.fullmatch(value) or len(value) > bounds.METHOD_MAX:
        raise wrong(f"{shown(value)} is not an HTTP method")
    if value != value.upper() and value.upper() in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        raise wrong(f"{shown(value)} is no method", f'write "{value.upper()}": case counts')
    return value


def _location(value: str) -> str:
    """Checks where clients are sent to: no byte of it may end a line of the answer's head."""
    _visible(value)
    if not value.startswith(("/", "http://", "https://", "{scheme}://")):
        hint = 'write a path such as "/new/", or a URL such as "https://{host}{path}"'
        raise wrong(f"{shown(value)} is not a location", hint)
    if value.startswith("//"):
        raise wrong(f"{shown(value)} names another host without a scheme", "write https:// too")
    for name in PLACEHOLDER.findall(value):
        if name not in PLACEHOLDERS:
            known = ", ".join("{" + one + "}" for one in PLACEHOLDERS)
            raise wrong(f"{shown('{' + name + '}')} is no placeholder", f"known: {known}")
    if re.search("[{}]", PLACEHOLDER.sub("", value)):
        raise wrong(f"{shown(value)} has a brace without its other one", "write %7B and %7D")
    return value


def _new_prefix(value: str) -> str:
    _visible(value)
    if not value.startswith("/") or re.search(r"[?#{}]", value):
        raise wrong(f"{shown(value)} is not the beginning of a path", 'such as "/" or "/app/"')
    return value


def _visible(value: str) -> None:
    if not re.fullmatch(r"[!-~]+", value, re.ASCII) or "\\" in value:
        raise wrong(f"{shown(value)} has characters that no URL has", "write them as %XX")
    if len(value) > bounds.ROUTE_TEXT_MAX:
        raise wrong(f"is longer than {bounds.ROUTE_TEXT_MAX} bytes")


def _field_value(value: str) -> str:
    """Checks the value of a header field: it cannot end its line, and so add other fields."""
    if value and not FIELD_VALUE.fullmatch(value):
        hint = "no line ends, control characters, or spaces around it; other text as %XX"
        raise wrong(f"{shown(value)} is not the value of a header field", hint)
    if len(value) > bounds.ROUTE_TEXT_MAX:
        raise wrong(f"is longer than {bounds.ROUTE_TEXT_MAX} bytes")
    return value


def _media_type(value: str) -> str:
    found = _field_value(value)
    if not re.match(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+(;|$)", found, re.IGNORECASE):
        raise wrong(f"{shown(value)} is not a media type", 'such as "text/html; charset=utf-8"')
    return found


def _status_of(choices: tuple[int, ...] | None) -> Callable[[int], int]:
    def check(value: int) -> int:
        if choices is None:
            return check_bounds(value, bounds.ANSWER_STATUS)
        if value not in choices:
            raise wrong(f"{value} is not a status that sends clients elsewhere", _either(choices))
        return value

    return check


def _either(choices: tuple[int, ...]) -> str:
    return f"one of {', '.join(map(str, choices))}"


def _few_fields(value: dict[str, Any]) -> dict[str, Any]:
    if not value:
        raise wrong("must not be empty")
    if len(value) > bounds.ROUTE_FIELDS_MAX:
        raise wrong(f"must have at most {bounds.ROUTE_FIELDS_MAX} names, not {len(value)}")
    seen: set[str] = set()
    for name in value:
        if name.lower() in seen:
            raise wrong(f"{shown(name)} is here twice", "upper and lower case are the same")
        seen.add(name.lower())
    return value


def _many(item: Any) -> BeforeValidator:
    """Makes a field one text, or an array of which one must match."""
    return BeforeValidator(clients.one_or_more, json_schema_input_type=item | list[item])


HostName = Annotated[str, AfterValidator(_host), Field(examples=["www.example.com"])]
Hosts = Annotated[tuple[HostName, ...], _many(HostName)]
Method = Annotated[str, AfterValidator(check_method), Field(examples=["GET"])]
Methods = Annotated[tuple[Method, ...], _many(Method)]
Scheme = Literal["http", "https"]
Schemes = Annotated[tuple[Scheme, ...], _many(Scheme)]
Path = Annotated[str, AfterValidator(_path), Field(examples=["/login"])]
Paths = Annotated[tuple[Path, ...], _many(Path)]
PathEnd = Annotated[str, AfterValidator(_path_end), Field(examples=[".css"])]
PathEnds = Annotated[tuple[PathEnd, ...], _many(PathEnd)]
Regex = Annotated[str, AfterValidator(_regex), Field(examples=["^/user/[0-9]+$"])]
Regexes = Annotated[tuple[Regex, ...], _many(Regex)]
Pattern = Annotated[str, AfterValidator(_pattern), Field(examples=["2*"])]
Patterns = Annotated[tuple[Pattern, ...], _many(Pattern)]
FieldPatterns = Annotated[
    dict[Annotated[str, AfterValidator(_condition_name)], Patterns], AfterValidator(_few_fields)
]
Arguments = Annotated[
    dict[Annotated[str, AfterValidator(_argument)], Patterns], AfterValidator(_few_fields)
]
Location = Annotated[str, AfterValidator(_location), Field(examples=["/new/"])]
NewPrefix = Annotated[str, AfterValidator(_new_prefix), Field(examples=["/"])]
NewFields = Annotated[
    dict[http.FieldName, Annotated[str, AfterValidator(_field_value)]],
    AfterValidator(_few_fields),
]
OldFields = Annotated[tuple[http.FieldName, ...], _many(http.FieldName)]
MediaType = Annotated[str, AfterValidator(_media_type)]
RedirectStatus = Annotated[
    int, AfterValidator(_status_of(REDIRECTS)), Field(json_schema_extra={"enum": list(REDIRECTS)})
]
AnswerStatus = Annotated[
    int,
    AfterValidator(_status_of(None)),
    Field(
        json_schema_extra={
            "minimum": bounds.ANSWER_STATUS[0],
            "maximum": bounds.ANSWER_STATUS[1],
        }
    ),
]
Body = Annotated[str, Field(max_length=bounds.RESPOND_BYTES_MAX)]
