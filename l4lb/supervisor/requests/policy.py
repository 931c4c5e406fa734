"""What operators ask of the policy process: it is passed on, and answered when that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.control.forward_command import ACTIONS, RELOAD, VERDICTS
from l4lb.errors import AdminError
from l4lb.supervisor.policing import Policing
from l4lb.supervisor.reload.reload import Reply

RELOAD_MS = 40_000  # lists with millions of names are read again; less than the asker waits
Args = Mapping[str, Any]


def forward(policing: Policing, args: Args, reply: Reply) -> None:
    """Asks what a forward proxy would do, or what was asked of it most. Raises AdminError."""
    action, what = args.get("action"), args.get("url")
    if action not in ACTIONS or (action == "check" and not what):
        raise AdminError("bad_argument", "what? `forward check URL` or `forward top`")
    if action == "check":
        asked = {key: args.get(key) for key in ("url", "user", "from", "forward")}
        policing.ask("check", asked, reply)
        return
    if args.get("user") or args.get("from"):
        raise AdminError("bad_argument", "--user and --from are for `forward check`")
    name = args.get("forward") or what
    policing.ask("top", {"forward": name, "by": args.get("by"), "limit": args.get("limit")}, reply)


def lists(policing: Policing, args: Args, reply: Reply) -> None:
    """Asks for the lists, for a name in them, or that they are read again. Raises AdminError."""
    name, find = args.get("list"), args.get("find")
    if name == RELOAD:
        if find:
            raise AdminError("bad_argument", "`lists reload` finds nothing: leave out --find")
        policing.ask("reload_lists", {}, reply, RELOAD_MS)
    elif find:
        policing.ask("find", {"list": name, "find": find}, reply)
    else:
        policing.ask("lists", {"list": name}, reply)


def users(policing: Policing, args: Args, reply: Reply) -> None:
    """Asks for the users. Raises AdminError."""
    policing.ask("users", {key: args.get(key) for key in ("forward", "user", "limit")}, reply)


def flush(policing: Policing, args: Args, reply: Reply) -> None:
    """Asks that everything is decided anew. Raises AdminError."""
    if args.get("what") != VERDICTS:
        raise AdminError("bad_argument", "what? `flush verdicts`")
    policing.ask("flush", {"forward": args.get("forward")}, reply)
