"""The admin commands and what the supervisor is asked: one row each, which says who carries it out.

COMMANDS is read by the server, the command line and the docs' test; OPERATIONS by both ends of the
channel between the control process and the supervisor. What carries each out is bound to its name
in one function on each side: control/handlers.py, supervisor/requests/operations.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.control.command import (
    CHANGE,
    CHECKER,
    DISCOVER,
    MOVE,
    PATH_MAX,
    RELOAD,
    SERVING,
    SUPERVISOR,
    TABLE,
    UPGRADE,
    Arg,
    Carrier,
    Command,
)

SESSIONS_LIMIT = 1_000  # rows `sessions` shows unless told
SESSIONS_MAX = 100_000  # about 1 KiB each while they are sent
SESSION_AGE_MAX_MS = 365 * 24 * 3_600_000
SORTS = ("bytes", "age", "idle")  # of `sessions`
PICKS_LIMIT = 20  # of `picks`, unless told
PICKS_MAX = 1_000
WAIT_TIMEOUT_MS = 60_000
WAIT_TIMEOUT_MAX_MS = 24 * 3_600_000
CONFIRM_MAX_MS = 24 * 3_600_000
BLOCK_MAX_MS = 365 * 24 * 3_600_000


SOURCE = Arg("source", "as `blocks` shows it")
LISTENER = Arg("listener", "its name", of="listener")
NETWORK = Arg("network", "an address, or a network such as 10.0.0.0/8")
FOR = Arg("for_ms", "how long; for good unless told", int, option=True, required=False, least=1,
          most=BLOCK_MAX_MS)  # fmt: skip
BACKEND = Arg("backend", "POOL/NAME, as `backends` shows it", of="backend")
POOL = Arg("pool", "the pool's name", of="pool")
LIMIT_PICKS = Arg(
    "limit",
    f"how many choices at most; {PICKS_LIMIT} unless told",
    int,
    option=True,
    default=PICKS_LIMIT,
    required=False,
    least=1,
    most=PICKS_MAX,
)
FILE = Arg("file", "the configuration; without: the one in force", required=False, longest=PATH_MAX,
           path=True)  # fmt: skip

COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command("status", "Version, uptime, workers and listeners.", by=TABLE, reads=True),
        Command("listeners", "Bound addresses with their clients.", by=TABLE, reads=True),
        Command("pools", "Pools with their settings.", by=TABLE, reads=True),
        Command(
            "backends",
            "Backends with state, health and counts.",
            by=TABLE,
            reads=True,
            verbose=True,
        ),
        Command(
            "sessions",
            "Live sessions.",
            (
                Arg(
                    "limit",
                    f"how many at most; {SESSIONS_LIMIT} unless told",
                    int,
                    option=True,
                    default=SESSIONS_LIMIT,
                    required=False,
                    least=1,
                    most=SESSIONS_MAX,
                ),
                Arg("backend", "only of POOL/NAME", option=True, required=False, of="backend"),
                Arg(
                    "listener",
                    "only of this listener",
                    option=True,
                    required=False,
                    of="listener",
                ),
                Arg(
                    "source",
                    "only of clients at this IP address or in this network",
                    option=True,
                    required=False,
                ),
                Arg(
                    "older_than_ms",
                    "only those that are at least so old",
                    int,
                    option=True,
                    required=False,
                    most=SESSION_AGE_MAX_MS,
                ),
                Arg(
                    "sort",
                    f"the most first: {', '.join(SORTS)}",
                    option=True,
                    required=False,
                ),
            ),
            by=TABLE,
            reads=True,
        ),
        Command(
            "picks",
            "The last choices of backends that were kept, newest first: for whom, among what.",
            (
                LIMIT_PICKS,
                Arg("pool", "only of this pool", option=True, required=False, of="pool"),
                Arg("client", "only for clients at this IP address", option=True, required=False),
            ),
            by=TABLE,
            reads=True,
        ),
        Command(
            "why",
            "Why a backend gets sessions or none: what brought it down, what would bring it back.",
            (BACKEND,),
            reads=True,
        ),
        Command("workers", "Worker processes with their counts.", by=TABLE, reads=True),
        Command(
            "events",
            "What changed lately, newest last.",
            (
                Arg(
                    "follow",
                    "then each as it happens, until interrupted",
                    bool,
                    option=True,
                    default=False,
                    required=False,
                ),
            ),
            reads=True,
            streams="follow",
        ),
        Command("audit", "Who changed what lately, newest last.", reads=True),
        Command(
            "discovery", "Pools that find their backends, and what their sources say.", reads=True
        ),
        Command("certs", "Certificates in force, with their names and days left.", reads=True),
        Command("stats", "Totals since the start.", by=TABLE, reads=True),
        Command(
            "sticky",
            "Sticky clients and the backends they belong to; with --set or --clear changes that.",
            (
                Arg("pool", "only this pool; must be said for a change", required=False, of="pool"),
                Arg(
                    "set",
                    "a client's address or server name, to belong --to",
                    option=True,
                    required=False,
                ),
                Arg("to", "the name of a backend of that pool", option=True, required=False),
                Arg(
                    "clear",
                    "a client that is to belong to nobody, or `all`",
                    option=True,
                    required=False,
                ),
                Arg(
                    "limit",
                    f"how many at most; {SESSIONS_LIMIT} unless told",
                    int,
                    option=True,
                    default=SESSIONS_LIMIT,
                    required=False,
                    least=1,
                    most=SESSIONS_MAX,
                ),
            ),
            reads=True,
            alters=("set", "clear"),
        ),
        Command(
            "explain",
            "Which backend a client would get now, and why.",
            (
                Arg(
                    "pool",
                    "the pool's name; with --recent: only of this one",
                    required=False,
                    of="pool",
                ),
                Arg(
                    "client",
                    "IP, IP:PORT or [IPV6]:PORT; with --recent: only for this IP address",
                    required=False,
                ),
                Arg("sni", "the server name it asks for", option=True, required=False),
                Arg(
                    "recent",
                    "instead: what clients got lately, and why",
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
            "What changes would do to a pool: clients that move, load that each would carry.",
            (
                POOL,
                Arg("remove", "backends' names, with commas", option=True, required=False),
                Arg("add", "NAME or NAME=WEIGHT, with commas", option=True, required=False),
                Arg("weight", "NAME=WEIGHT, with commas", option=True, required=False),
            ),
            by=TABLE,
            reads=True,
        ),
        Command("drain", "No new sessions for a backend; those it has go on.", (BACKEND,)),
        Command("ready", "A backend serves again.", (BACKEND,)),
        Command("maint", "A backend is out of service: no sessions, no checks.", (BACKEND,)),
        Command(
            "weight",
            "Changes a backend's weight; with 0 it gets no new sessions.",
            (BACKEND, Arg("weight", "0 to 256", int, most=256)),
            by=SUPERVISOR,
        ),
        Command(
            "talkers", "The busiest sources, those most turned away first.", by=TABLE, reads=True
        ),
        Command("blocks", "Blocked sources, oldest first.", by=TABLE, reads=True),
        Command(
            "block",
            "New clients from a source are turned away; the sessions it has go on.",
            (
                Arg("source", "an address, or a network such as 10.0.0.0/8"),
                FOR,
            ),
            by=SUPERVISOR,
        ),
        Command(
            "access",
            "Who may come in, in the order in which it is looked at.",
            (Arg("listener", "only of this one", required=False, of="listener"),),
            by=SUPERVISOR,
            reads=True,
        ),
        Command(
            "allow",
            "Clients from a network come in on a listener, whatever its configuration says.",
            (LISTENER, NETWORK, FOR),
            by=SUPERVISOR,
        ),
        Command(
            "deny",
            "New clients from a network are turned away on a listener.",
            (LISTENER, NETWORK, FOR),
            by=SUPERVISOR,
        ),
        Command(
            "forget",
            "Ends what `allow` or `deny` has said of a network.",
            (LISTENER, Arg("network", "as `access` shows it")),
            by=SUPERVISOR,
        ),
        Command("unblock", "A blocked source may come again.", (SOURCE,), by=SUPERVISOR),
        Command(
            "add",
            "A backend more in a pool, until the service ends or `remove`.",
            (
                POOL,
                Arg("address", "HOST:PORT or unix:/PATH"),
                Arg("name", "its name; its address unless told", option=True, required=False),
                Arg("weight", "1 unless told", int, option=True, required=False, most=256),
            ),
            by=CHANGE,
        ),
        Command(
            "remove", "A backend less: no new sessions; those it has go on.", (BACKEND,), by=CHANGE
        ),
        Command(
            "reload",
            "Makes a configuration the running one, without losing a connection.",
            (
                FILE,
                Arg(
                    "confirm_ms",
                    "go back after this long unless `confirm` comes",
                    int,
                    option=True,
                    required=False,
                    least=1,
                    most=CONFIRM_MAX_MS,
                ),
            ),
            by=RELOAD,
            tells=True,
        ),
        Command(
            "plan",
            "What a reload would change; changes nothing.",
            (FILE,),
            by=CHANGE,
            reads=True,
        ),
        Command("confirm", "The last reload is to stay.", by=CHANGE),
        Command(
            "rollback", "Goes back from a reload that waits for `confirm`.", by=CHANGE, tells=True
        ),
        Command(
            "diff", "What was changed at run time and is not in the file.", by=CHANGE, reads=True
        ),
        Command(
            "save",
            "The configuration in force, run-time changes included.",
            by=SERVING,
            reads=True,
            recorded=True,  # it has every secret in it
        ),
        Command("upgrade", "The installed program takes over, with all connections.", by=UPGRADE),
        Command("rebalance", "Evens out the sessions between the workers.", by=MOVE),
        Command(
            "kill",
            "Ends one session, or all of a backend, with a reset.",
            (
                Arg("session", "its id, as `sessions` shows it", required=False),
                Arg("backend", "POOL/NAME", option=True, required=False, of="backend"),
            ),
        ),
        Command(
            "wait",
            "Waits until CONDITION holds: backend-drained POOL/NAME, backend-up POOL/NAME,"
            " backend-down POOL/NAME, backend-ejected POOL/NAME, sessions-below N, generation N.",
            (
                Arg("condition", "which of these"),
                Arg("operand", "POOL/NAME or N"),
                Arg(
                    "timeout_ms",
                    f"give up after this long; {WAIT_TIMEOUT_MS // 1_000}s unless told",
                    int,
                    option=True,
                    default=WAIT_TIMEOUT_MS,
                    required=False,
                    most=WAIT_TIMEOUT_MAX_MS,
                ),
            ),
            recorded=False,
        ),
    )
}

# What the supervisor may be asked: its commands, what the control process asks on behalf of a
# command or of discovery, and what the checker asks, which waits for no answer.
OPERATIONS: Mapping[str, Carrier] = {
    **{name: row.by for name, row in COMMANDS.items() if row.by.who == "supervisor"},
    "state": SUPERVISOR,
    "kill": SUPERVISOR,
    "kill_backend": SUPERVISOR,
    "sticky_set": SUPERVISOR,
    "sticky_clear": SUPERVISOR,
    "checks": SUPERVISOR,
    "certificates": SUPERVISOR,
    "refused": SUPERVISOR,
    "discovered": DISCOVER,
    "publish": CHECKER,
    "close": CHECKER,
    "agent_state": CHECKER,
    "agent_max_connections": CHECKER,
}
