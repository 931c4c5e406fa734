"""Converts `log` lines: l4lb has one destination of the access log, for all listeners."""

from __future__ import annotations

from l4lb.importer.draft import Draft, Rank, word_set
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.words import Line

FACILITIES = word_set(
    """
    kern user mail daemon auth syslog lpr news uucp cron authpriv ftp local0 local1 local2
    local3 local4 local5 local6 local7
    """
)
STREAMS = ("stdout", "stderr", "fd@1", "fd@2")


def log(proxy: Proxy, line: Line) -> None:
    """Reads a proxy's destination: its own, or that of the global section."""
    said = line
    if line[1] == "global":
        if proxy.world.log is None:
            return
        said = proxy.world.log
    carry(proxy.world.draft, said, line)


def carry(draft: Draft, said: Line, line: Line) -> None:
    """Sets the destination, unless there is another one already."""
    target = said[1]
    table = draft.process.table("log", line.place)
    if target in STREAMS:
        found = {"access": "stdout"}
    elif target.startswith(("ring@", "tcp@", "backend@")):
        draft.leave(line.place, Rank.NOTE, "see [process.log]")
        return
    elif target.startswith("/"):
        found = {"access": "syslog", "syslog": f"unix:{target}"}
    else:
        host = target.removeprefix("udp@").removeprefix("ipv4@").removeprefix("udp4@")
        found = {"access": "syslog", "syslog": f"udp://{host if ':' in host else host + ':514'}"}
    facility = next((word for word in said.words[2:] if word in FACILITIES), "")
    if facility and found["access"] == "syslog":
        found["syslog_facility"] = facility
    if table.get("access", found["access"]) != found["access"] or (
        table.get("syslog", found.get("syslog")) != found.get("syslog")
    ):
        draft.leave(line.place, Rank.NOTE, "l4lb has one destination for its access log")
        return
    for key, value in found.items():
        table.default(key, value, line.place)
