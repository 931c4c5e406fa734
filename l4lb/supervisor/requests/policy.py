"""What operators ask of the policy process: it is passed on, and answered when that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.errors import AdminError
from l4lb.supervisor.policing import Policing
from l4lb.supervisor.reload.reload import Reply


def forward(policing: Policing, args: Mapping[str, Any], reply: Reply) -> None:
    """Asks what a forward proxy would do. Raises AdminError."""
    if args.get("action") != "check":
        raise AdminError("bad_argument", "what? `forward check URL`")
    asked = {key: args.get(key) for key in ("url", "user", "from", "forward")}
    policing.ask(asked, reply)
