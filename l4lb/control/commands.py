"""The admin commands, and the operations that the supervisor can be asked for: one row each. A row
says who carries the command out.

The admin server, the command line and a test of the documentation read COMMANDS. Both ends of the
channel between control process and supervisor read OPERATIONS. One function on each side binds the
names to the code that carries them out: control/handlers.py and supervisor/requests/operations.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.config.bounds import WEIGHT
from l4lb.control.cache_command import CACHE
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
)  # fmt: skip
from l4lb.control.explaining import EXPLAINING, POOL, limit_of
from l4lb.control.forward_command import FORWARDING

SESSIONS_LIMIT = 1_000  # rows that `sessions` shows by default
SESSIONS_MAX = 100_000  # a row takes about 1 KiB while it is sent
SESSION_AGE_MAX_MS = 365 * 24 * 3_600_000
SORTS = ("bytes", "age", "idle")  # orders of `sessions`
WAIT_TIMEOUT_MS, WAIT_TIMEOUT_MAX_MS = 60_000, 24 * 3_600_000
CONFIRM_MAX_MS, BLOCK_MAX_MS = 24 * 3_600_000, 365 * 24 * 3_600_000

SOURCE = Arg("source", "the blocked address or network, as `blocks` shows it")
LISTENER = Arg("listener", "the listener's name", of="listener")
NETWORK = Arg("network", "an address, or a network such as 10.0.0.0/8")
FOR = Arg("for_ms", "time until the rule ends (default: no end)", int, option=True, required=False,
          minimum=1, maximum=BLOCK_MAX_MS)  # fmt: skip
BACKEND = Arg("backend", "POOL/NAME, as `backends` shows it", of="backend")
NEW_WEIGHT = Arg("weight", f"0 to {WEIGHT[1]} (default 1)", int, option=True, required=False,
                 maximum=WEIGHT[1])  # fmt: skip
FILE = Arg("file", "the configuration file (default: the file in force)", required=False,
           longest=PATH_MAX, path=True)  # fmt: skip
HITS = Arg("hits", "the route with the most requests first", bool, option=True, required=False,
           default=False)  # fmt: skip

COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command("status", "Version, uptime, workers and listeners.", by=TABLE, reads=True),
        Command(
            "listeners", "Bound addresses, with the number of their clients.", by=TABLE, reads=True
        ),
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
                limit_of("sessions", SESSIONS_LIMIT, SESSIONS_MAX),
                Arg(
                    "backend",
                    "only sessions with backend POOL/NAME",
                    option=True,
                    required=False,
                    of="backend",
                ),
                Arg(
                    "listener",
                    "only sessions of this listener",
                    option=True,
                    required=False,
                    of="listener",
                ),
                Arg(
                    "source",
                    "only sessions of clients at this IP address or in this network",
                    option=True,
                    required=False,
                ),
                Arg(
                    "older_than_ms",
                    "only sessions that are at least this old",
                    int,
                    option=True,
                    required=False,
                    maximum=SESSION_AGE_MAX_MS,
                ),
                Arg(
                    "sort",
                    f"largest first by one of: {', '.join(SORTS)}",
                    option=True,
                    required=False,
                ),
            ),
            by=TABLE,
            reads=True,
        ),
        Command(
            "requests",
            "HTTP requests in progress, the oldest first.",
            (
                Arg(
                    "slow_ms",
                    "only requests that are at least this old",
                    int,
                    option=True,
                    required=False,
                    maximum=SESSION_AGE_MAX_MS,
                ),
                Arg(
                    "listener",
                    "only requests to this listener",
                    option=True,
                    required=False,
                    of="listener",
                ),
                Arg(
                    "backend",
                    "only requests that are with backend POOL/NAME",
                    option=True,
                    required=False,
                    of="backend",
                ),
                Arg(
                    "route",
                    "only requests that the route of this number took, as `routes` numbers them",
                    int,
                    option=True,
                    required=False,
                ),
                limit_of("requests", SESSIONS_LIMIT, SESSIONS_MAX),
            ),
            by=TABLE,
            reads=True,
        ),
        Command(
            "spare",
            "Connections to backends that wait for another HTTP request.",
            by=TABLE,
            reads=True,
        ),
        Command(
            "why",
            "Why a backend gets new sessions or none. Says what would make it serve again.",
            (BACKEND,),
            reads=True,
        ),
        Command("workers", "Worker processes with their counts.", by=TABLE, reads=True),
        Command(
            "events",
            "Recent events, newest last.",
            (
                Arg(
                    "follow",
                    "then show each event as it happens, until interrupted",
                    bool,
                    option=True,
                    default=False,
                    required=False,
                ),
            ),
            reads=True,
            streams="follow",
        ),
        Command("audit", "Recent changes and who made them, newest last.", reads=True),
        Command(
            "discovery", "Pools with discovery, and the last answers of their sources.", reads=True
        ),
        Command("certs", "Certificates in force, with their names and days left.", reads=True),
        Command("stats", "Totals since the service started.", by=TABLE, reads=True),
        Command(
            "sticky",
            "Sticky clients and their backends. --set and --clear change entries.",
            (
                Arg("pool", "only this pool; a change needs it", required=False, of="pool"),
                Arg(
                    "set",
                    "the client (address or server name) whose backend --to sets",
                    option=True,
                    required=False,
                ),
                Arg(
                    "to",
                    "with --set: the name of a backend of the pool",
                    option=True,
                    required=False,
                ),
                Arg(
                    "clear",
                    "the client whose entry is removed, or `all`",
                    option=True,
                    required=False,
                ),
                limit_of("clients", SESSIONS_LIMIT, SESSIONS_MAX),
            ),
            reads=True,
            alters=("set", "clear"),
        ),
        CACHE,
        *FORWARDING,
        *EXPLAINING,
        Command("drain", "Gives a backend no new sessions; its live sessions go on.", (BACKEND,)),
        Command("ready", "Puts a backend back into service.", (BACKEND,)),
        Command(
            "maint",
            "Takes a backend out of service. It gets no new sessions and no health checks.",
            (BACKEND,),
        ),
        Command(
            "weight",
            "Changes a backend's weight; weight 0 means no new sessions.",
            (BACKEND, Arg("weight", f"0 to {WEIGHT[1]}", int, maximum=WEIGHT[1])),
            by=SUPERVISOR,
        ),
        Command(
            "talkers",
            "The busiest sources (top talkers), the most rejected first.",
            by=TABLE,
            reads=True,
        ),
        Command("blocks", "Blocked sources, oldest first.", by=TABLE, reads=True),
        Command(
            "block",
            "Turns new clients from a source away; its live sessions go on.",
            (
                Arg("source", "an address, or a network such as 10.0.0.0/8"),
                FOR,
            ),
            by=SUPERVISOR,
        ),
        Command(
            "access",
            "Access lists of the listeners. Rules are in the order in which they are looked up.",
            (Arg("listener", "only this listener", required=False, of="listener"),),
            by=SUPERVISOR,
            reads=True,
        ),
        Command(
            "allow",
            "Lets clients from a network in on a listener. This overrides its configuration.",
            (LISTENER, NETWORK, FOR),
            by=SUPERVISOR,
        ),
        Command(
            "deny",
            "Turns new clients from a network away on a listener.",
            (LISTENER, NETWORK, FOR),
            by=SUPERVISOR,
        ),
        Command(
            "forget",
            "Removes the rule that `allow` or `deny` made for a network.",
            (LISTENER, Arg("network", "the network, as `access` shows it")),
            by=SUPERVISOR,
        ),
        Command(
            "routes",
            "Routes of an HTTP listener in their order, with the number of their requests.",
            (LISTENER, HITS),
            by=SUPERVISOR,
            reads=True,
        ),
        Command(
            "filters",
            "Rules of an HTTP listener's filter in their order, with how often each was met.",
            (LISTENER,),
            by=SUPERVISOR,
            reads=True,
        ),
        Command("inspections", "Verdicts of engines by rule.", (LISTENER,), SUPERVISOR, reads=True),
        Command("records", "Requests that are kept, by record.", by=SUPERVISOR, reads=True),
        Command("packets", "Who serves each listener.", by=SUPERVISOR, reads=True),
        Command("shield", "What the kernel turns away, by listener.", by=SUPERVISOR, reads=True),
        Command("unblock", "Removes the block of a source.", (SOURCE,), by=SUPERVISOR),
        Command(
            "add",
            "Adds a backend to a pool. It stays until `remove` or the end of the service.",
            (
                POOL,
                Arg("address", "HOST:PORT or unix:/PATH"),
                Arg(
                    "name", "the backend's name (default: its address)", option=True, required=False
                ),
                NEW_WEIGHT,
            ),
            by=CHANGE,
        ),
        Command(
            "remove",
            "Removes a backend from its pool; its live sessions go on.",
            (BACKEND,),
            by=CHANGE,
        ),
        Command(
            "reload",
            "Puts a configuration in force without losing a connection.",
            (
                FILE,
                Arg(
                    "confirm_ms",
                    "roll back after this time unless `confirm` comes first",
                    int,
                    option=True,
                    required=False,
                    minimum=1,
                    maximum=CONFIRM_MAX_MS,
                ),
            ),
            by=RELOAD,
            tells=True,
        ),
        Command(
            "plan",
            "Shows what a reload would change, and changes nothing.",
            (FILE,),
            by=CHANGE,
            reads=True,
        ),
        Command(
            "confirm", "Keeps the configuration of a reload that waits for `confirm`.", by=CHANGE
        ),
        Command("rollback", "Undoes a reload that waits for `confirm`.", by=CHANGE, tells=True),
        Command("diff", "Shows run-time changes that are not in the file.", by=CHANGE, reads=True),
        Command(
            "save",
            "The configuration in force, run-time changes included.",
            by=SERVING,
            reads=True,
            recorded=True,  # why: the answer contains every secret
        ),
        Command(
            "upgrade",
            "Replaces the running program by the installed one. All connections stay.",
            by=UPGRADE,
        ),
        Command("rebalance", "Moves live sessions until all workers have equally many.", by=MOVE),
        Command(
            "kill",
            "Ends one session, or all sessions of a backend, with a reset.",
            (
                Arg("session", "the session's id, as `sessions` shows it", required=False),
                Arg("backend", "POOL/NAME", option=True, required=False, of="backend"),
            ),
        ),
        Command(
            "wait",
            "Waits until CONDITION holds. It is backend-drained POOL/NAME, backend-up POOL/NAME,"
            " backend-down POOL/NAME, backend-ejected POOL/NAME, sessions-below N or generation N.",
            (
                Arg("condition", "one of these conditions"),
                Arg("operand", "POOL/NAME or N"),
                Arg(
                    "timeout_ms",
                    f"give up after this time (default {WAIT_TIMEOUT_MS // 1_000}s)",
                    int,
                    option=True,
                    default=WAIT_TIMEOUT_MS,
                    required=False,
                    maximum=WAIT_TIMEOUT_MAX_MS,
                ),
            ),
            recorded=False,
        ),
    )
}

# What the supervisor may be asked: its own commands, questions of the control process for a command
# or for discovery, and messages of the checker. The checker waits for no answer.
OPERATIONS: Mapping[str, Carrier] = {
    **{name: row.by for name, row in COMMANDS.items() if row.by.who == "supervisor"},
    "state": SUPERVISOR,
    "kill": SUPERVISOR,
    "kill_backend": SUPERVISOR,
    "sticky_set": SUPERVISOR,
    "sticky_clear": SUPERVISOR,
    "cache_keys": SUPERVISOR,
    "cache_purge": SERVING,
    "checks": SUPERVISOR,
    "certificates": SUPERVISOR,
    "refused": SUPERVISOR,
    "discovered": DISCOVER,
    "all_answered": DISCOVER,
    "publish": CHECKER,
    "close": CHECKER,
    "agent_state": CHECKER,
    "agent_max_connections": CHECKER,
}
