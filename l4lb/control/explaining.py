"""The admin commands that explain choices: which backend clients got, and which they would get."""

from __future__ import annotations

from l4lb.control.command import PATH_MAX, TABLE, Arg, Command

PICKS_LIMIT = 20  # rows that `picks` shows by default
PICKS_MAX = 1_000


def limit_of(rows: str, default: int, maximum: int) -> Arg:
    """Returns the option that bounds the number of rows in an answer."""
    help_text = f"maximum number of {rows} (default {default})"
    return Arg("limit", help_text, int, option=True, default=default, required=False, minimum=1,
               maximum=maximum)  # fmt: skip


POOL = Arg("pool", "the pool's name", of="pool")
LIMIT_PICKS = limit_of("choices", PICKS_LIMIT, PICKS_MAX)

EXPLAINING = (
    Command(
        "picks",
        "Recorded choices of a backend, newest first. Each has its candidates.",
        (
            LIMIT_PICKS,
            Arg("pool", "only choices in this pool", option=True, required=False, of="pool"),
            Arg("client", "only choices for this IP address", option=True, required=False),
        ),
        by=TABLE,
        reads=True,
    ),
    Command(
        "explain",
        "Which backend a client would get now, and why.",
        (
            Arg(
                "pool",
                "the pool's name; with --recent: only choices in this pool; with --request: the"
                " listener's name",
                required=False,
                of="pool",
            ),
            Arg(
                "client",
                "IP, IP:PORT or [IPV6]:PORT; with --recent: only choices for this IP address",
                required=False,
            ),
            Arg(
                "request",
                'an HTTP request such as "GET https://shop.example/a?b": its route, and the'
                " backend that it would get",
                option=True,
                required=False,
                longest=PATH_MAX,
            ),
            Arg(
                "header",
                'with --request: a header field "NAME: VALUE"; may be given several times',
                option=True,
                default=(),
                required=False,
                longest=PATH_MAX,
                many=True,
            ),
            Arg(
                "from",
                "with --request: the client's address (default: 127.0.0.1)",
                option=True,
                required=False,
            ),
            Arg("sni", "the server name that the client asks for", option=True, required=False),
            Arg(
                "recent",
                "show recent choices instead, each with its reason",
                bool,
                option=True,
                default=False,
                required=False,
            ),
            LIMIT_PICKS,
        ),
        by=TABLE,
        reads=True,
    ),
    Command(
        "simulate",
        "What a change would do to a pool: how many clients move, and each backend's load.",
        (
            POOL,
            Arg("remove", "names of backends, separated by commas", option=True, required=False),
            Arg("add", "NAME or NAME=WEIGHT, separated by commas", option=True, required=False),
            Arg("weight", "NAME=WEIGHT, separated by commas", option=True, required=False),
        ),
        by=TABLE,
        reads=True,
    ),
)
