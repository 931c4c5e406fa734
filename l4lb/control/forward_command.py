"""The rows of the admin commands for forward proxies."""

from __future__ import annotations

from dataclasses import replace

from l4lb.control.command import SUPERVISOR, Arg, Command
from l4lb.control.explaining import limit_of
from l4lb.policy.top import BY

URL_MAX = 4_096  # characters
ACTIONS = ("check", "top")  # of `forward`
RELOAD = "reload"  # in place of a list's name
VERDICTS = "verdicts"  # what `flush` flushes
TOP_LIMIT, TOP_MAX = 10, 1_000
USERS_LIMIT, USERS_MAX = 1_000, 10_000

FORWARD = Command(
    "forward",
    "Tells what a forward proxy would do (`check URL`), or which users, hosts or rules had the most"
    " requests (`top`).",
    (
        Arg("action", "check or top"),
        Arg("url", "check: a URL such as https://www.example.com/, or HOST:PORT for a client of"
            " SOCKS; top: the forward proxy", required=False, longest=URL_MAX),
        Arg("user", "check: as this user, whose password is not asked for", option=True,
            required=False),
        Arg("from", "check: from a client with this IP address (default: 127.0.0.1)", option=True,
            required=False),
        Arg("forward", "the forward proxy (default: the only one)", option=True, required=False),
        Arg("by", f"top: one of {', '.join(BY)} (default: domain)", option=True, required=False,
            default="domain"),
        limit_of("rows of top", TOP_LIMIT, TOP_MAX),
    ),
    by=SUPERVISOR,
    reads=True,
)  # fmt: skip

LISTS = Command(
    "lists",
    "Lists of domains. --find tells which list, file and line have a host. `lists reload` reads all"
    " lists again.",
    (
        Arg("list", f"only this list; `{RELOAD}` reads all lists again", required=False),
        Arg("find", "a host or a URL that is looked for", option=True, required=False,
            longest=URL_MAX),
    ),
    by=replace(SUPERVISOR, timeout_s=45.0),  # why: lists with millions of names may be read
    reads=True,
    alters=(f"list={RELOAD}",),
)  # fmt: skip

USERS = Command(
    "users",
    "Users of forward proxies, with their groups and log-ins.",
    (
        Arg("forward", "only this forward proxy", required=False),
        Arg("user", "only this user", option=True, required=False),
        limit_of("users", USERS_LIMIT, USERS_MAX),
    ),
    by=SUPERVISOR,
    reads=True,
)

FLUSH = Command(
    "flush",
    "`flush verdicts` forgets decisions, right passwords and addresses of hosts. Tunnels go on.",
    (
        Arg("what", VERDICTS),
        Arg("forward", "only passwords and addresses of this forward proxy", required=False),
    ),
    by=SUPERVISOR,
)

FORWARDING = (FORWARD, LISTS, USERS, FLUSH)
