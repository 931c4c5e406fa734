"""Types of the model's fields: the form of a value in a file, and the value that is kept.

Each type is an annotation, with functions that read, check and write back a value, and with its
part of the JSON Schema. bounds.py has the bounds. A number that only one key has says its unit and
its bounds at the key: whole, duration, percent and size of units.py.
"""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from l4lb import regex
from l4lb.config import address, bounds
from l4lb.config.address import Address, BindRange, HostPort
from l4lb.config.units import (
    CHARACTERS,
    PERCENT,
    check_bounds,
    duration,
    percent,
    shown,
    type_name,
    whole,
    wrong,
)

FORWARD_POOL = "forward:"  # before a forward proxy's name: of the pool where it counts


def check_name(name: str) -> str:
    """Returns a name of a listener, pool or backend. Raises ValueError."""
    if not name:
        raise wrong("a name cannot be empty")
    if not name.isprintable() or "/" in name or " " in name:
        raise wrong(f'{shown(name)} is not a name: no spaces, no "/", only what can be printed')
    if len(name.encode()) > bounds.NAME_BYTES_MAX:
        raise wrong(f"the name is longer than {bounds.NAME_BYTES_MAX} bytes")
    return name


def _pool_name(name: str) -> str:
    if name.startswith(FORWARD_POOL):
        raise wrong(f"a pool's name cannot begin with {shown(FORWARD_POOL)}: forward proxies do")
    return check_name(name)


def check_regex(value: str, hint: str) -> str:
    """Returns a regular expression. hint: what it is compared with. Raises ValueError."""
    try:
        regex.compiled(value)
    except regex.PatternError as fault:
        raise wrong(f"{shown(value)} {fault}", hint) from None
    return value


def as_tuple(value: object) -> object:
    """Turns an array into a tuple, because models are frozen; an empty array is an error."""
    if isinstance(value, str):
        raise wrong("must be an array, not a string", f"write [{shown(value)}]")
    if not isinstance(value, list):
        return value
    if not value:
        raise wrong("must not be empty")
    if len(value) > bounds.ARRAY_MAX:
        raise wrong(f"must have at most {bounds.ARRAY_MAX} elements, not {len(value)}")
    return tuple(value)


def _log_target(value: object) -> str:
    if value in ("off", "stdout", "syslog", "journald"):
        return str(value)
    if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
        raise wrong('must be "off", "stdout", "syslog", "journald" or an absolute path', None)
    return value


def _hash_seed(value: object) -> str:
    if type(value) is int and abs(value) < 10**bounds.SHOWN_MAX:
        value = str(value)
    if not isinstance(value, str):
        raise wrong(f"must be a string, not {type_name(value)}")
    check_bounds(len(value), bounds.HASH_SEED_CHARACTERS, CHARACTERS)
    return value


def _hash_balance(value: object) -> int:
    """Returns the factor in percent. Users of HAProxy and Envoy write 150, others write 1.5: no
    factor is above 100, and no percentage is below it."""
    if isinstance(value, (int, float)) and 0 < value <= bounds.HASH_BALANCE_PERCENT[1]:
        value = f"{round(value * 100 if value <= 100 else value)}%"
    return check_bounds(PERCENT.parse(value), bounds.HASH_BALANCE_PERCENT, PERCENT)


def _hash_prefix(value: object) -> object:
    """Checks the two prefix lengths, of an IPv4 and of an IPv6 address."""
    if (
        not isinstance(value, (list, tuple))
        or len(value) != len(bounds.HASH_PREFIXES)
        or any(type(bits) is not int for bits in value)
    ):
        raise wrong("must be two integers: bits of IPv4 and of IPv6 addresses", "such as [24, 64]")
    for bits, limits in zip(value, bounds.HASH_PREFIXES, strict=True):
        check_bounds(bits, limits)
    return tuple(value)


def _prime(value: int) -> int:
    """Checks that the number is a prime. why: the permutations of the Maglev table then reach every
    slot."""

    def is_prime(number: int) -> bool:
        return number > 1 and all(number % n for n in range(2, math.isqrt(number) + 1))

    if not is_prime(value):
        near = next(n for n in range(value - 1, 1, -1) if is_prime(n))
        raise wrong(f"{value} is not a prime number", f"{near} is")
    return value


def _file_path(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
        raise wrong("must be an absolute path")
    return value


def _host_name(value: str) -> str:
    if (
        not value
        or len(value) > bounds.HOST_NAME_MAX
        or not all(map(address.LABEL.fullmatch, value.removesuffix(".").split(".")))
    ):
        raise wrong(f"{shown(value)} is not a host name")
    return value


def _syslog_target(value: object) -> str:
    if isinstance(value, str) and value.startswith(address.UNIX):
        address.parse_unix_path(value.removeprefix(address.UNIX))
        return value
    if isinstance(value, str) and value.startswith(("udp://", "tcp://")):
        host_port = value.partition("://")[2]
        if not address.parse_backend(host_port).path:
            return value
    raise wrong("must be unix:/PATH, udp://HOST:PORT or tcp://HOST:PORT")


def _url(value: object) -> str:
    text = value if isinstance(value, str) else ""
    parts = urllib.parse.urlsplit(text) if len(text) <= bounds.URL_MAX else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong('must be a URL such as "http://127.0.0.1:8500"')
    if parts.username or parts.password:
        raise wrong("a URL holds no secrets here", "use token_file")
    return text


def _discovery_text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= bounds.DISCOVERY_TEXT_MAX:
        raise wrong(f"must be a text of 1 to {bounds.DISCOVERY_TEXT_MAX} characters")
    if not value.isprintable():
        raise wrong(f"{shown(value)} has characters that cannot be printed")
    return value


def _name_server(value: object) -> HostPort:
    found = address.parse_backend(value)
    if not address.is_ip(found.host):
        raise wrong(f"{shown(value)} is no name server's address", "write IP:PORT")
    return found


def _server_id(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("([0-9a-fA-F]{2}){1,15}", value):
        raise wrong("must be 1 to 15 bytes in hexadecimal, in quotes")
    return value.lower()


def _text(parse: Callable[[object], object], kind: str, example: str) -> tuple[Any, ...]:
    """Makes a field that is text in a file and is kept as the result of parse."""
    text = Annotated[str, Field(examples=[example], json_schema_extra={"x-l4lb-type": kind})]
    return (
        PlainValidator(parse, json_schema_input_type=text),
        PlainSerializer(str, return_type=str),
    )


FILLED = Field(min_length=1, max_length=bounds.ARRAY_MAX)
Name = Annotated[str, AfterValidator(check_name)]
PoolName = Annotated[str, AfterValidator(_pool_name)]
AddressText = Annotated[Address, *_text(address.parse_backend, "address", "10.0.0.1:80")]
BindText = Annotated[BindRange, *_text(address.parse_bind, "address", "0.0.0.0:8080")]
HostPortText = Annotated[HostPort, *_text(address.parse_host_port, "address", "127.0.0.1:9180")]
NameServer = Annotated[HostPort, *_text(_name_server, "address", "10.0.0.53:53")]
IpText = Annotated[str, *_text(address.parse_ip, "IP address", "10.0.0.1")]
UnixPath = Annotated[str, *_text(address.parse_unix_path, "path", "/run/l4lb/admin.sock")]
AccessLog = Annotated[str, *_text(_log_target, "string", "off")]
FilePath = Annotated[str, *_text(_file_path, "path", "/etc/l4lb/http.token")]
HostName = Annotated[str, AfterValidator(_host_name)]
HttpHosts = Annotated[
    tuple[HostName, ...],
    BeforeValidator(as_tuple, json_schema_input_type=Annotated[list[HostName], FILLED]),
]
SyslogTarget = Annotated[str, *_text(_syslog_target, "string", "unix:/dev/log")]
AccessDuration = Annotated[int, *duration(bounds.ACCESS_DURATION_MS)]
Url = Annotated[str, *_text(_url, "string", "http://127.0.0.1:8500")]
DiscoveryText = Annotated[str, *_text(_discovery_text, "string", "web.example")]
Ttl = Annotated[int, *duration(bounds.TTL_MS)]
Port = Annotated[int, *whole(bounds.PORT)]
Connections = Annotated[int, *whole(bounds.CONNECTIONS_CAP)]
Workers = Annotated[int, *whole(bounds.WORKERS)]
ServerId = Annotated[str, *_text(_server_id, "string", "0a01")]
Datagrams = Annotated[int, *whole(bounds.DATAGRAMS)]
Weight = Annotated[int, *whole(bounds.WEIGHT)]
Streak = Annotated[int, *whole(bounds.RISE_FALL)]
Failures = Annotated[int, *whole(bounds.FAILURES)]
HandshakeRate = Annotated[int, *whole(bounds.HANDSHAKE_RATE)]
AutoBlockTime = Annotated[int, *duration(bounds.AUTO_BLOCK_MS)]
HealthInterval = Annotated[int, *duration(bounds.HEALTH_INTERVAL_MS)]
HealthTimeout = Annotated[int, *duration(bounds.HEALTH_TIMEOUT_MS)]
Jitter = Annotated[int, *percent(bounds.JITTER_PERCENT)]
Eject = Annotated[int, *duration(bounds.EJECT_MS)]
HashSeed = Annotated[str, *_text(_hash_seed, "string", "kept secret")]
HashPrefix = Annotated[
    tuple[int, int], BeforeValidator(_hash_prefix, json_schema_input_type=list[int])
]
HashBalance = Annotated[
    int,
    BeforeValidator(_hash_balance),
    PlainSerializer(PERCENT.format, return_type=str),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "pattern": PERCENT.pattern,
            "exclusiveMinimum": 1,
            "x-l4lb-type": PERCENT.name,
            "x-l4lb-bounds": [PERCENT.format(limit) for limit in bounds.HASH_BALANCE_PERCENT],
        }
    ),
]
MaglevSize = Annotated[int, *whole(bounds.MAGLEV_SIZE), AfterValidator(_prime)]
Binds = Annotated[
    tuple[BindText, ...],
    BeforeValidator(as_tuple, json_schema_input_type=Annotated[list[BindText], FILLED]),
]
