"""Converts a whole squid.conf into a draft: one forward proxy, with a listener for each
http_port."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from l4lb.errors import UsageError
from l4lb.importer.draft import Draft, Place, Rank, Table
from l4lb.importer.squid.acls import AclError, read_acls
from l4lb.importer.squid.rules import INSIDE, Access
from l4lb.importer.squid.words import Line, lines

NAME = "squid"  # of the forward proxy
WHERE = ("forward", NAME)
PORT = re.compile(r"(?:(\[[0-9a-fA-F:]+\]|[0-9.]+):)?(\d{1,5})")
UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
REMEMBER_MAX_S = 86_400

# Directives without a counterpart, by the rank of their loss.
LEFT: Mapping[str, tuple[Rank, str]] = {
    "cache_peer": (Rank.MISSING, "other proxies behind this one (parents) are not supported"),
    "never_direct": (Rank.MISSING, "other proxies behind this one (parents) are not supported"),
    "https_port": (Rank.MISSING, "write a listener with tls"),
    "ssl_bump": (Rank.OPEN, "TLS is not looked into: rules do not see what is inside"),
    "http_reply_access": (Rank.OPEN, "answers are not judged"),
    "adaptation_access": (Rank.OPEN, "other services are not asked (ICAP, eCAP)"),
    "url_rewrite_program": (Rank.OPEN, "programs are not asked"),
    "external_acl_type": (Rank.OPEN, "programs are not asked"),
    "delay_pools": (Rank.DIFFERENT, "see limits.bandwidth_per_source of the listener"),
    "cache_dir": (Rank.DIFFERENT, "write a table [cache.NAME] with disk"),
    "cache_mem": (Rank.DIFFERENT, "write a table [cache.NAME]"),
}
# Directives that only say how Squid itself works.
SILENT = re.compile(
    r"refresh_pattern|coredump_dir|pid_filename|cache_log|cache_store_log|visible_hostname"
    r"|cache_mgr|cache_effective_\w+|shutdown_lifetime|maximum_object_size\w*|workers"
    r"|minimum_object_size"
    r"|error_directory|hosts_file|logfile_rotate|dns_v4_first|cache|cache_swap_\w+|memory_\w+"
    r"|max_filedescriptors|client_lifetime|half_closed_clients|pipeline_prefetch|umask|netdb_\w+"
)


def read(text: str, file: str) -> Draft:
    """Reads squid.conf. Raises UsageError if nothing of Squid's is in it."""
    found = list(lines(text, file))
    if not any(one.name in ("http_access", "http_port", "acl") for one in found):
        raise UsageError(f"{file}: no line of Squid's is in it (http_port, acl, http_access)")
    draft = Draft(Place(file, 1, text.partition("\n")[0].strip()))
    forward = Table(found[0].place)
    draft.forwards[NAME] = forward
    forward.put("ports", ["1-65535"], found[0].place)  # as Squid, until a line says otherwise
    forward.put("connect_ports", ["1-65535"], found[0].place)
    forward.put("anonymous", False, found[0].place)
    _access(draft, forward, found)
    for line in found:
        if line.name in ("acl", "http_access"):
            continue
        convert = DIRECTIVES.get(line.name)
        if convert is not None:
            convert(draft, forward, line)
        elif line.name in LEFT:
            rank, why = LEFT[line.name]
            draft.leave(line.place, rank, why, WHERE)
        elif not SILENT.fullmatch(line.name):
            draft.leave(line.place, Rank.DIFFERENT, "has no counterpart", WHERE)
    if not draft.listeners:
        _listener(draft, "3128", found[0].place)
    draft.leave(draft.place, Rank.DIFFERENT, INSIDE, WHERE)
    return draft


def _access(draft: Draft, forward: Table, found: list[Line]) -> None:
    acls = []
    for line in found:
        if line.name == "acl":
            try:
                read_acls([line])
            except AclError as error:
                draft.leave(line.place, Rank.OPEN, str(error), WHERE)
            else:
                acls.append(line)
    access = [line for line in found if line.name == "http_access"]
    Access(draft, forward, read_acls(acls), WHERE).read(access)


def _listener(draft: Draft, bind: str, place: Place) -> None:
    match = PORT.fullmatch(bind)
    if match is None:
        draft.leave(place, Rank.MISSING, f"{bind} is no address with a port")
        return
    hosts = [match[1]] if match[1] else ["0.0.0.0", "[::]"]
    table = Table(place)
    table.put("bind", [f"{host}:{match[2]}" for host in hosts], place)
    table.put("protocol", "http", place)
    table.put("forward", NAME, place)
    draft.listeners[f"proxy-{len(draft.listeners) + 1}" if draft.listeners else "proxy"] = table


def _http_port(draft: Draft, _: Table, line: Line) -> None:
    options = {one.partition("=")[0] for one in line.texts[1:]}
    other = options & {"intercept", "tproxy", "accel", "ssl-bump", "transparent"}
    if other or not line.words:
        why = f"a port with {', '.join(sorted(other))} has no counterpart"
        draft.leave(line.place, Rank.MISSING, why)
        return
    _listener(draft, line.texts[0], line.place)


def _auth_param(draft: Draft, forward: Table, line: Line) -> None:
    scheme, key, *values = (*line.texts, "", "")
    values = [one for one in values if one]
    if scheme != "basic":
        draft.leave(line.place, Rank.MISSING, "only the scheme basic is known", WHERE)
        return
    if key == "program" and values and values[0].endswith("ncsa_auth"):
        forward.table("auth", line.place).put("htpasswd", values[-1], line.place)
    elif key == "program":
        draft.leave(line.place, Rank.MISSING, "users come from a file (htpasswd) only", WHERE)
    elif key == "realm":
        forward.table("auth", line.place).put("realm", " ".join(values), line.place)
    elif key == "credentialsttl" and len(values) == 2 and values[0].isdigit():
        unit = UNITS.get(values[1].rstrip("s"), 0)
        seconds = min(int(values[0]) * unit, REMEMBER_MAX_S)
        if seconds:
            forward.table("auth", line.place).put("remember", f"{seconds}s", line.place)
    elif key not in ("children", "casesensitive", "utf8"):
        draft.leave(line.place, Rank.DIFFERENT, "has no counterpart", WHERE)


def _dns_servers(draft: Draft, forward: Table, line: Line) -> None:
    del draft
    forward.table("resolve", line.place).put("servers", list(line.texts), line.place)


def _access_log(draft: Draft, _: Table, line: Line) -> None:
    target = line.texts[0] if line.words else "none"
    if target == "none":
        return
    draft.process.table("log", line.place).put("access", target.rpartition(":")[2], line.place)
    draft.process.table("log", line.place).put("access_format", "squid", line.place)


def _anonymous(draft: Draft, forward: Table, line: Line) -> None:
    del draft
    if line.texts[:1] in (("off",), ("delete",)):
        forward.put("anonymous", True, line.place)


DIRECTIVES: Mapping[str, Callable[[Draft, Table, Line], None]] = {
    "http_port": _http_port,
    "auth_param": _auth_param,
    "dns_nameservers": _dns_servers,
    "access_log": _access_log,
    "cache_access_log": _access_log,
    "forwarded_for": _anonymous,
    "via": lambda *_: None,
}
