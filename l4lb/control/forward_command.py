"""The row of the admin command `forward`."""

from __future__ import annotations

from l4lb.control.command import SUPERVISOR, Arg, Command

URL_MAX = 4_096  # characters

FORWARD = Command(
    "forward",
    "Tells what a forward proxy would do: `check URL`.",
    (
        Arg("action", "check"),
        Arg("url", "a URL such as https://www.example.com/, or HOST:PORT for a client of SOCKS",
            longest=URL_MAX),
        Arg("user", "as this user, whose password is not asked for", option=True, required=False),
        Arg("from", "from a client with this IP address (default: 127.0.0.1)", option=True,
            required=False),
        Arg("forward", "the forward proxy (default: the only one)", option=True, required=False),
    ),
    by=SUPERVISOR,
    reads=True,
)  # fmt: skip
