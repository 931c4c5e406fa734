"""Converts acl lines of squid.conf into conditions of a rule: each kind of acl is one key.

Values of one acl are alternatives, and so are several lines of one name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from l4lb.importer.draft import Place
from l4lb.importer.squid.words import Line, Word

DAYS = dict(zip("SMTWHFA", ("sun", "mon", "tue", "wed", "thu", "fri", "sat"), strict=True))
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
NETWORK = re.compile(r"([0-9a-fA-F.:]+)(?:-([0-9a-fA-F.:]+))?(?:/([0-9a-fA-F.:]+))?")
# Names that Squid itself knows, with the kind and the values that they have.
BUILT_IN = {
    "all": ("all", ()),
    "localhost": ("src", ("127.0.0.0/8", "::1")),
    "to_localhost": ("private", ()),
    "to_linklocal": ("private", ()),
    "manager": ("manager", ()),
    "CONNECT": ("method", ("CONNECT",)),
}


class AclError(ValueError):
    """An acl that has no counterpart; the message says why."""


@dataclass
class Acl:
    """kind: as Squid names it. files: of values. folds: capitals and small letters are the same."""

    name: str
    kind: str
    values: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    place: Place | None = None
    folds: bool = False


def read_acls(lines: list[Line]) -> dict[str, Acl]:
    """Returns the acls of all acl lines by name, with those that Squid itself has."""
    found = {name: Acl(name, kind, list(values)) for name, (kind, values) in BUILT_IN.items()}
    own: set[str] = set()
    for line in lines:
        if len(line.words) < 2:
            continue
        name, kind = line.texts[:2]
        if name not in own:
            own.add(name)
            if found.get(name, Acl(name, "")).kind != "all":
                found[name] = Acl(name, kind, place=line.place)
        _add(found[name], line.words[2:])
    return found


def _add(acl: Acl, words: tuple[Word, ...]) -> None:
    for word in words:
        if word.quoted:
            acl.files.append(word.text)
        elif word.text != "--" and not word.text.startswith("-"):
            acl.values.append(word.text)
        elif word.text == "-i":
            acl.folds = True
        elif word.text != "-n":
            raise AclError(f"{acl.name}: the option {word.text} has no counterpart")


def condition(acl: Acl) -> dict[str, object]:
    """Returns the keys of a rule that mean an acl; none if it holds always. Raises AclError."""
    read = KINDS.get(acl.kind)
    if read is None:
        raise AclError(f"{acl.name}: conditions of the kind {acl.kind} have no counterpart")
    if acl.files and acl.kind != "dstdomain":
        raise AclError(f"{acl.name}: files with values of the kind {acl.kind} are not read")
    return dict(read(acl))


def _networks(acl: Acl) -> Mapping[str, object]:
    return {"source": [net for value in acl.values for net in _network(acl.name, value)]}


def _network(name: str, value: str) -> list[str]:
    if value in ("all", "ipv4", "ipv6"):
        return {"all": ["0.0.0.0/0", "::/0"], "ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}[value]
    match = NETWORK.fullmatch(value)
    try:
        if match is None:
            raise ValueError(value)
        first, last, mask = match.groups()
        if last:
            ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
            return [str(one) for one in ipaddress.summarize_address_range(*ends)]
        return [str(ipaddress.ip_network(f"{first}/{mask}" if mask else first, strict=False))]
    except (ValueError, TypeError):
        raise AclError(f"{name}: {value} is no network") from None


def _domains(acl: Acl) -> Mapping[str, object]:
    """A name with a dot before it is that name and all below it."""
    found = []
    for value in acl.values:
        bare = value.removeprefix(".")
        found += [bare, f"*.{bare}"] if value != bare else [bare]
    return {"domain": found} if found else {}


def _ports(acl: Acl) -> Mapping[str, object]:
    return {"port": [int(one) if one.isdigit() else one for one in acl.values]}


def _users(acl: Acl) -> Mapping[str, object]:
    return {"user": "*" if "REQUIRED" in acl.values else list(acl.values)}


def _times(acl: Acl) -> Mapping[str, object]:
    """Squid's days are letters; D is Monday to Friday. Without days, every day is meant."""
    days: set[str] = set()
    hours = ""
    for value in acl.values:
        match = HOURS.fullmatch(value)
        if match:
            hours = f"{int(match[1]):02}:{match[2]}-{int(match[3]):02}:{match[4]}"
            continue
        for letter in value:
            if letter not in DAYS and letter != "D":
                raise AclError(f"{acl.name}: {value} is no time")
            days |= set(WEEK[:5]) if letter == "D" else {DAYS[letter]}
    chosen = [day for day in WEEK if day in days] or list(WEEK)
    return {"time": ", ".join(f"{day} {hours or '00:00-24:00'}" for day in chosen)}


def _expressions(acl: Acl) -> Mapping[str, object]:
    """Squid compares with the whole URL, l4lb with what is behind its scheme."""
    bare = [re.sub(r"^\^(http|https\?)?:?//", "^", value) for value in acl.values]
    return {"url_regex": [f"(?i){one}" if acl.folds else one for one in bare]}


def _methods(acl: Acl) -> Mapping[str, object]:
    return {"method": list(acl.values)}


KINDS: Mapping[str, Callable[[Acl], Mapping[str, object]]] = {
    "all": lambda _: {},
    "src": _networks,
    "dstdomain": _domains,
    "port": _ports,
    "method": _methods,
    "proxy_auth": _users,
    "time": _times,
    "url_regex": _expressions,
}
