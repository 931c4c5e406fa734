"""Types of fields about caches: parts of a key, names of arguments, lifetimes, purges."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.units import DURATION, duration, shown, wrong
from l4lb.config.values import clients, common, http, http_route

# Methods with a meaning of their own (RFC 9110, 9.3; RFC 5789), which clients send for it.
KNOWN_METHODS = frozenset({
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
})  # fmt: skip
NOT_KEPT = (206, 304)  # parts of an answer, and answers without a body of their own
ARGUMENT = re.compile(r"[!-%'-<>-~]+", re.ASCII)  # without & and =


def check_cache_name(name: str) -> str:
    """Returns a name of a cache. Raises ValueError."""
    if name == "off":
        raise wrong('a cache cannot be named "off": routes write it for none')
    return common.check_name(name)


def _few(maximum: int) -> Callable[[object], object]:
    """Returns a check for an array, or one element alone, of at most so many elements."""

    def check(value: object) -> object:
        found = clients.as_many(value)
        if isinstance(found, tuple) and len(found) > maximum:
            raise wrong(f"must have at most {maximum} elements, not {len(found)}")
        return found

    return check


def _key(parts: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((one for at, one in enumerate(parts) if one in parts[:at]), None)
    if twice is not None:
        raise wrong(f"has {shown(twice)} twice")
    if "path" not in parts:
        raise wrong('must have "path": without it all pages of a site would be one')
    return parts


def _ignored(what: str, form: re.Pattern[str], examples: tuple[str, str]) -> AfterValidator:
    """Makes a check of a name that a cache ignores, or of the beginning of such names. what: what
    has the name. examples: of both."""
    hint = f'a name such as "{examples[0]}", or the beginning of names such as "{examples[1]}"'

    def check(value: str) -> str:
        name = value.removesuffix("*")
        if "*" in name or (name and not form.fullmatch(name)) or not value:
            raise wrong(f"{shown(value)} is not a name of {what}", hint)
        if len(value) > bounds.IGNORED_NAME_MAX:
            raise wrong(f"is longer than {bounds.IGNORED_NAME_MAX} bytes")
        return value

    return AfterValidator(check)


def _purge_method(value: str) -> str:
    http_route.check_method(value)
    if value.upper() in KNOWN_METHODS:
        raise wrong(f"{shown(value)} has a meaning of its own", 'name another, such as "PURGE"')
    return value


def _whole_seconds(value: int) -> int:
    if value % bounds.SECOND_MS:
        below = value // bounds.SECOND_MS * bounds.SECOND_MS
        hint = f'write "{DURATION.format(below + bounds.SECOND_MS)}"'
        raise wrong(f"{DURATION.format(value)} is not a whole number of seconds", hint)
    return value


def seconds(limits: tuple[int, int]) -> tuple[Any, ...]:
    """Makes an `int` field a duration in milliseconds that is whole seconds: HTTP tells ages and
    lifetimes in seconds."""
    return (*duration(limits), AfterValidator(_whole_seconds))


def _few_statuses(value: object) -> object:
    if isinstance(value, Mapping) and len(value) > bounds.CACHE_STATUSES_MAX:
        raise wrong(f"must have at most {bounds.CACHE_STATUSES_MAX} statuses, not {len(value)}")
    return value


def disk_path(value: str) -> str:
    """Returns the absolute path of a cache's folder, without what does not matter in it. Raises
    ValueError."""
    if not value.startswith("/"):
        raise wrong(f"{shown(value)} is not an absolute path")
    if not value.isprintable() or len(value.encode()) > bounds.CACHE_DISK_PATH_BYTES_MAX:
        raise wrong(f"{shown(value)} is not the path of a folder")
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise wrong(f'{shown(value)} has ".." in it', "write where it leads to")
    if not parts:
        raise wrong("must be a folder of the cache's own")
    return "/" + "/".join(parts)


def _kept_status(value: str) -> str:
    low, high = bounds.ANSWER_STATUS
    if not re.fullmatch("[0-9]{3}", value, re.ASCII) or not low <= int(value) <= high:
        raise wrong(f"{shown(value)} is not a status from {low} to {high}", 'such as "404"')
    if int(value) in NOT_KEPT:
        raise wrong(f"answers with the status {value} are never kept")
    return value


CacheName = Annotated[str, AfterValidator(check_cache_name)]
CacheOrOff = Annotated[str, Field(examples=["pages", "off"])]
KeyPart = Literal["scheme", "host", "path", "query"]
Key = Annotated[
    tuple[KeyPart, ...],
    AfterValidator(_key),
    BeforeValidator(clients.as_many, json_schema_input_type=list[KeyPart]),
]
Argument = Annotated[
    str, _ignored("query arguments", ARGUMENT, ("fbclid", "utm_*")), Field(examples=["utm_*"])
]
Arguments = Annotated[
    tuple[Argument, ...],
    BeforeValidator(
        _few(bounds.IGNORED_NAMES_MAX),
        json_schema_input_type=Annotated[
            list[Argument], Field(max_length=bounds.IGNORED_NAMES_MAX)
        ],
    ),
]
Cookie = Annotated[str, _ignored("cookies", http.TOKEN, ("_fbp", "_ga*")), Field(examples=["_ga*"])]
Cookies = Annotated[
    tuple[Cookie, ...],
    BeforeValidator(
        _few(bounds.IGNORED_NAMES_MAX),
        json_schema_input_type=Annotated[list[Cookie], Field(max_length=bounds.IGNORED_NAMES_MAX)],
    ),
]
TargetedFields = Annotated[
    tuple[http.FieldName, ...],
    BeforeValidator(
        _few(bounds.TARGETED_FIELDS_MAX),
        json_schema_input_type=Annotated[
            list[http.FieldName], Field(max_length=bounds.TARGETED_FIELDS_MAX)
        ],
    ),
]
DiskPath = Annotated[str, AfterValidator(disk_path)]
PurgeMethod = Annotated[str, AfterValidator(_purge_method)]
Lifetime = Annotated[int, *seconds(bounds.CACHE_LIFETIME_MS)]
KeptStatus = Annotated[str, AfterValidator(_kept_status), Field(pattern="^[2-5][0-9][0-9]$")]
Statuses = Annotated[Mapping[KeptStatus, Lifetime], BeforeValidator(_few_statuses)]
