"""The questions for each admin command, and patterns of its text: at a terminal of 80 columns, and
in a pipe.

why: long, because it is one table of all commands.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .configuration import toml
from .everything import ADS, LONG, Everything

NUMBERS = itertools.count()
STATIC = "http://pages.example.test/static/a"
Word = str | Callable[[Everything], str]


@dataclass(frozen=True)
class Case:
    """One command line. terminal and pipe: patterns, each of which one line of the text must match.
    before: commands that are run first."""

    args: Sequence[Word]
    terminal: Sequence[str] = ()
    pipe: Sequence[str] = ()
    before: Sequence[Sequence[Word]] = ()


def file(every: Everything) -> str:
    """Writes a configuration file that changes a pool and needs a restart. Returns its path."""
    config = {**every.lb.config, "limits": {"max_pools": 77}}  # type: ignore[dict-item]
    pools = {**config["pools"]}
    pools["plain"] = {**pools["plain"], "backends": pools["plain"]["backends"][:1]}
    path = every.folder / "new.toml"
    path.write_text(toml({**config, "pools": pools}))
    return str(path)


def session(every: Everything) -> str:
    """Returns the id of one more session."""
    before = {row["id"] for row in every.lb.ask("sessions")}
    every.stay("ports")
    return next(row["id"] for row in every.lb.ask("sessions") if row["id"] not in before)


def fresh(_: Everything) -> str:
    """Returns a name that nothing has."""
    return f"n{next(NUMBERS)}"


def dead(every: Everything) -> str:
    return every.dead


CHANGED = [
    r"is in force: 2 changes$",
    r"^  changed limits: max_pools 256 -> 77$",
    r"^  removed backend plain/127\.0\.0\.1:\d+$",
    r"^needs a restart: limits\.max_pools takes effect at the next upgrade or restart$",
]
CASES: dict[str, list[Case]] = {
    "forward": [
        Case(
            ["check", "http://127.0.0.1/"],
            [
                r"^forward +office$",
                r"^action +allow$",
                r"^rule +local$",
                r"^addresses +127\.0\.0\.1$",
            ],
            [r"^forward: office$", r"^rule: local$", r"^  127\.0\.0\.1$"],
        ),
        Case(
            ["top"],
            [
                r"^requests +1$",
                r"^verdicts +deny 1$",
                r"^  NAME +REQUESTS +DENIED +LAST RULE$",
                r"^  a-host-with-a-.*\.example +1 +1 +ads$",
            ],
            [r"^verdicts: deny 1$", r"^  name +requests +denied", rf"^  {ADS} +1 +1 +ads +0$"],
        ),
        Case(["top", "office", "--by", "user"], [r"^top +none$"], [r"^top: -$"]),
    ],
    "lists": [
        Case(
            [],
            [
                r"^LIST +NAMES +FILES +MEMORY +AGE +HITS$",
                r"^ads +1 +1 +[\d.]+ \w+ +\d+ \w+ +1$",
            ],
            [r"^list +entries +wrong +files +memory_bytes +age_s +hits +error$"],
        ),
        Case(
            ["ads", "--find", f"www.{ADS}"],
            [r"^  LIST +NAME +FILE +LINE$", r"^  ads +a-host-.* 2$"],
            [rf"^  ads +{ADS} +/\S+/ads +2$"],
        ),
        Case(["--find", "other.example"], [r"^found +none$"], [r"^found: -$"]),
        Case(["reload"], [r"^ads +1 "], [r"^ads +1 "]),
    ],
    "users": [
        Case(
            [],
            [r"^FORWARD +USER +GROUPS +LAST LOG-IN +FAILURES", r"^office +ann +none +- +0 "],
            [r"^office +ann +- +- +0 +- +no$"],
        )
    ],
    "flush": [Case(["verdicts"], ["^everything that clients ask from now on is decided anew$"])],
    "status": [
        Case(
            [],
            [
                r"^uptime +\d+ (s|min)$",
                r"^checker +pid \d+, heartbeat age \d+ ms, stale no$",
                r"^  WORKER +PID +STATE",
                r"^  local +unix:/tmp/\S+…\S+local\.sock +plain ",
                r"^      datagrams: 1 in, 1 out$",
                r"^      tls: 3 full, 0 resumed, 0 failed$",
            ],
            [
                r"^uptime_s: \d+$",
                r"^  name +bind +protocol +pool ",
                r" 3 full, 0 resumed, 0 failed ",
            ],
        )
    ],
    "listeners": [
        Case(
            [],
            [r"^NAME +BIND +POOL +ACTIVE", r"^names +127\.0\.0\.1:\d+ +names +1 "],
            [
                r"^name +bind +protocol",
                r"^names +127\.0\.0\.1:\d+ +udp +names +1 ",
                r"^local +unix:/tmp/\S+/a-folder-with-a-long-name/of/local\.sock",
            ],
        )
    ],
    "pools": [
        Case(
            [],
            [
                r"^NAME +BALANCE +BACKENDS +UP",
                r"^narrow +round_robin +1 +1 +1 +1 +1 +refuse$",
                r"^empty +round_robin +0 +0 +0 +0",
                r"^    0 full, 0 resumed, 1 failed \(last: .+\)$",
            ],
            [r"^name +balance +backends +up +active +total +waiting +when_all_down +tls$"],
        )
    ],
    "backends": [
        Case(
            [],
            [
                r"^BACKEND +STATE +HEALTH +ACTIVE",
                r"^web/gone +ready +down .* refused \d+ ms ago$",
                r"^web/backend…\S+-end +ready +up ",
                r"^lasting/gone +ready +ejected ",
                r"^not shown: address, weight, ",
            ],
            [
                r"^backend +address +weight +state .* response_time_ms +last_check$",
                rf"^web/{LONG} +127\.0\.0\.1:\d+ +1 +ready +up +1 +1 +0 +0 +2 ",
            ],
        ),
        Case(
            ["-v"],
            [
                r"^BACKEND +HEALTH +SINCE",
                r"^    tcp refused in .* in a row: Connection refused$",
                r"^    connect: Connection refused, \d+ min more$",
            ],
            [rf"^web/{LONG} +up .* tcp ok in .* in a row: connected$"],
        ),
    ],
    "sessions": [
        Case(
            [],
            [
                r"^ID +CLIENT +BACKEND +STATE +AGE",
                r"^\S+ +unix: +plain/",
                r"^\S+ +\S+ +- +queue ",
                r" \d+ B$",
                r"^not shown: protocol, listener, idle, sni, tls ",
            ],
            [
                r"^id +protocol +client .* sni +tls +port$",
                r" sticky\.example\.test +TLSv1\.3",
                rf" web/{LONG} +relay ",
                r"\[2001:db8::192:0:2:7\]:50000 ",
            ],
        ),
        Case(["--backend", "lasting/gone"], [r"^no sessions$"], [r"^no sessions$"]),
    ],
    "requests": [
        Case(
            [],
            [
                r"^SESSION +AGE +METHOD +TARGET",
                r"^\S+ +\S+ m?s +GET +/report\?year=2026 .* exchange$",
                r"^not shown: .*number",
            ],
            [
                r"^session +age_ms +method +host +target +client +listener +backend +state ",
                r" GET +pages\.example\.test +/report\?year=2026 .* pages +site/page +exchange ",
            ],
        ),
        Case(["--route", "9"], [r"^no requests in progress$"], [r"^no requests in progress$"]),
    ],
    "spare": [
        Case(
            [],
            [r"^BACKEND +WORKER +CONNECTIONS", r"^site/page +\d +1 "],
            [
                r"^backend +worker +connections +reused +fresh +stale$",
                r"^site/page +\d +1 +0 +1 +0$",
            ],
        )
    ],
    "picks": [
        Case(
            ["--limit", "3", "--pool", "brief"],
            [
                r"^ *AGE +CLIENT +LISTENER +BACKEND",
                r"brief/works",
                r"candidates: gone \d/1, works \d/1",
            ],
            [r"^age_ms +client +listener +backend +because +candidates$", r"brief/works +first"],
        )
    ],
    "why": [
        Case(
            ["web/gone"],
            [
                r"^serves +no$",
                r"^because +\d+ checks in a row failed",
                r"^returns +1 passed checks",
                r"^events:$",
                r"^  \S+ \S+Z  backend_down  web/gone  Connection refused, ",
            ],
            [
                r"^serves: no$",
                r"^because:$",
                r"^connect_errors: 0$",
                r"backend_down  backend web/gone",
            ],
        ),
        Case(
            ["brief/gone"],  # was ejected, and came back
            [r"^serves +yes$", r"backend_ejected  brief/gone", r"backend_returned  brief/gone"],
            [r"backend_ejected  backend brief/gone", r"backend_returned  backend brief/gone"],
        ),
        Case(["lasting/gone"], [r"ejected \S+ \S+ ago for 60 min"], [r"by itself in \d+ min"]),
    ],
    "workers": [
        Case(
            [],
            [r"^WORKER +PID +STATE +ACTIVE", r"^0 +\d+ +runs +\d+ .* \d+ (s|min)$"],
            [r"^index +pid +cpu +state", r"^1 +\d+ +\S+ +runs "],
        )
    ],
    "events": [
        Case(
            [],
            [
                r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ  backend_ejected  brief/gone ",
                r"^ {22}\S",
                r"discovery_changed  found  ",
            ],
            [r"^20\S+\+00:00  backend_ejected  backend brief/gone, was .*for_ms 1000, "],
        )
    ],
    "audit": [
        Case(
            [],
            [r"^20\S+ \S+Z  change  names/b  weight names/b 4 by .*\(uid \d+, pid$"],
            [
                r"^20\S+\+00:00  change  command weight, backend names/b, args weight 4, by via ",
                r" text weight names/b 4 by .*\(uid \d+, pid \d+\): done$",
            ],
            [["weight", "names/b", "4"]],
        )
    ],
    "discovery": [
        Case(
            [],
            [
                r"^POOL +TYPE +FOUND",
                r"^found +file +1 +1 +0 +\d+ +0 +[\d.]+ \S+$",
                r"^empty +file +0 +0 ",
            ],
            [r"^pool +type +found +backends +held +answers +failures +answer_age_ms +error$"],
        )
    ],
    "certs": [
        Case(
            [],
            [r"^OF +DAYS LEFT", r"^listeners\.secure +\d+ +EC 256", r"\*\.example\.test"],
            [r"^of +days_left +key +issuer +file +names$", r" \*\.example\.test$"],
        )
    ],
    "stats": [
        Case(
            [],
            [
                r"^bytes out +\d+ B$",
                r"^ended +.*no backend 1",
                r"^  MEASURE +HALF WITHIN +99 % WITHIN$",
                r"^  session +\S+ m?s +\S+ m?s$",
            ],
            [r"^bytes_out: \d+$", r"^  measure +median_ms +most_ms$"],
        )
    ],
    "sticky": [
        Case(
            ["sticky"],
            [
                r"^POOL +CLIENT +BACKEND +IDLE +EXPIRES$",
                r"^sticky +2001:db8::192:0:2:7 .* \d+ min$",
            ],
            [r"^pool +client +backend +idle_ms +expires_ms$"],
        ),
        Case(
            ["sticky", "--set", "192.0.2.99", "--to", lambda every: every.backends.address("b")],
            [r"^client +192\.0\.2\.99$"],
            [r"^client: 192\.0\.2\.99$"],
        ),
    ],
    "cache": [
        Case(
            [],
            [r"^CACHE +MEMORY +OBJECTS +USED +REQUESTS", r"^pages +\d+\.\d MiB +1 +\d+ B +\d+ +"],
            [r"^cache +memory_bytes +objects +used_bytes +requests"],
        ),
        Case(
            ["show", STATIC],
            [r"^ +CACHE +STATUS +BODY +AGE +STATE", r"^ +pages +200 +\d+ B .* fresh "],
            [r"^answers:$", r"^ +pages +200 +\d+ +\d+ +fresh "],
        ),
        Case(["show", f"{STATIC}?x"], [r"^answers +none$"], [r"^answers: -$"]),
        Case(["purge", "--tag", "x", "--soft"], [r"^tag x is stale in pages$"], ["^tag x is"]),
        Case(["purge", "--all"], ["^everything is purged in pages$"], ["^everything is purged"]),
    ],
    "explain": [
        Case(
            ["plain", "192.0.2.1"],
            [r"^outcome +served$", r"^why +its hash names slot", r"^  NAME +USABLE +WEIGHT"],
            [r"^hash: [0-9a-f]+$", r"^  name +usable "],
        ),
        Case(["empty", "192.0.2.1"], [r"^outcome +refused$"], [r"^candidates: -$"]),
        Case(["--recent", "--limit", "2"], [r"^ *AGE +CLIENT"], [r"^age_ms +client"]),
    ],
    "simulate": [
        Case(
            ["sticky", "--add", "new=2"],
            [r"^moved +5\d(\.\d)? %$", r"^  new +2 +0 % +\S+ % +0 "],
            [r"^moved: 0\.\d+$", r"^  new +2 +0\.0 "],
        ),
        Case(["web", "--remove", "works"], [r"^moved +-$"], [r"^keys: -$"]),
    ],
    "drain": [Case(["names/b"], [r"^names/b drains: no new sessions$"])],
    "maint": [Case(["names/b"], [r"^names/b is out of service$"])],
    "ready": [Case(["names/b"], [r"^names/b is ready$"])],
    "weight": [Case(["names/b", "3"], [r"^names/b has weight 3$"])],
    "talkers": [
        Case(
            [],
            [r"^SOURCE +ACTIVE +SESSIONS +REJECTED", r"^127\.0\.0\.1 .* \d+ (s|min)$"],
            [r"^source +active +sessions +rejected +bytes +age_s$"],
        )
    ],
    "block": [
        Case(["198.51.100.1", "--for", "1h"], [r"^198\.51\.100\.1 is blocked for 1 h$"]),
        Case(["198.51.100.2"], [r"^198\.51\.100\.2 is blocked for good$"]),
    ],
    "blocks": [
        Case(
            [],
            [r"^SOURCE +BY +DRY RUN +AGE +LEFT$", r"^203\.0\.113\.0/24 +admin +no .* 59 min$"],
            [
                r"^source +by +dry_run +age_s +left_s$",
                r"^203\.0\.113\.0/24 +admin +no +\d+ +3\d{3}$",
            ],
            [["block", "203.0.113.0/24", "--for", "1h"]],
        )
    ],
    "unblock": [
        Case(
            ["198.51.100.3"],
            [r"^198\.51\.100\.3 may come again$"],
            (),
            [["block", "198.51.100.3"]],
        )
    ],
    "routes": [
        Case(
            ["pages"],
            [r"^ROUTE +WHEN +THEN +REQUESTS$", r"^assets +path_prefix /static/ +pool site +1$"],
            [r"^route +when +then +requests$", r"^2 +path /old +302 /new +0$"],
        )
    ],
    "filters": [
        Case(
            ["pages"],
            [r"^RULE +WHEN +ACTION", r"^secrets +path_prefix /\.git +deny 403 +no +0$"],
            [r"^rule +when +action +dry_run +hits$"],
        )
    ],
    "inspections": [
        Case(
            ["pages"],
            [r"^RULE +WHEN +ENGINE", r"^uploads +path_prefix /up +none .* 0 +0 +0"],
            [r"^rule +when +engine +what +on_failure +clean +changed +too_large +failed +blocked$"],
        )
    ],
    "packets": [
        Case(
            [],
            [r"^LISTENER +DATA PATH +BY +FLOWS", r"^web +proxy +workers +0"],
            [r"^listener +data_path +served_by +flows"],
        )
    ],
    "shield": [
        Case(
            [],
            [r"^LISTENER +SHIELD +DENIED +BLOCKED +OVER RATE", r"^web +- +0 +0 +0 +"],
            [r"^listener +shield +denied +blocked +source_rate +denied_bytes +blocked_bytes"],
        )
    ],
    "records": [
        Case(
            [],
            [r"^RECORD +(FOLDER +)?CHOSEN +KEPT +", r"^odd +.* 0 +0 "],
            [r"^record +folder +chosen +kept +cut +skipped +failed +files_bytes +max_bytes"],
        )
    ],
    "access": [
        Case(
            [],
            [
                r"^LISTENER +NETWORK +RULE +FROM +LEFT$",
                r"^limited +2001:db8::/32 +allow +configuration +for good$",
            ],
            [r"^listener +network +rule +from +left_s$", r"^limited +192\.0\.2\.0/24 +deny "],
        )
    ],
    "allow": [
        Case(
            ["limited", "192.0.2.7", "--for", "90s"],
            [r"^192\.0\.2\.7\S* may come in on limited for 90 s$"],
        )
    ],
    "deny": [
        Case(
            ["web", "192.0.2.8"],
            [r"^192\.0\.2\.8\S* is turned away on web for good$"],
        )
    ],
    "forget": [
        Case(
            ["web", "192.0.2.9"],
            [r"^192\.0\.2\.9\S* has no rule of its own on web any more$"],
            (),
            [["deny", "web", "192.0.2.9"]],
        )
    ],
    "add": [
        Case(
            ["names", dead, "--name", fresh, "--weight", "7"],
            [r"^names/n\d+ is added at 127\.0\.0\.1:\d+ with weight 7$"],
        )
    ],
    "remove": [
        Case(
            ["names/less"],
            [r"^names/less is removed$"],
            (),
            [["add", "names", dead, "--name", "less"]],
        )
    ],
    "plan": [
        Case([], [r"would change nothing"], [r"would change nothing"]),
        Case(
            [file],
            [
                r"would change this:$",
                *CHANGED[1:],
                r"^  POOL +LIVE +ON REMOVED +HASH KEYS MOVED$",
                r"^  plain +\d +\d +(\d\d|100) %$",
            ],
            [*CHANGED[1:], r"^  pool +live +on_removed_backends +hash_keys_moved$"],
        ),
    ],
    "reload": [
        Case([], [r"l4lb\.toml is in force"], [r"l4lb\.toml is in force"]),
        Case(
            [file, "--confirm", "5m"],
            [*CHANGED, r"^not for good: it goes back in 5 min unless `l4lb admin confirm` comes$"],
            [*CHANGED, r"^not for good: it goes back in 5 min unless `l4lb admin confirm` comes$"],
        ),
    ],
    "confirm": [Case([], [r"stays in force$"], (), [["reload", "--confirm", "5m"]])],
    "rollback": [
        Case(
            [],
            [r"^the configuration before is in force: nothing"],
            [r"^the configuration before is in force: nothing"],
            [["reload", "--confirm", "5m"]],
        )
    ],
    "diff": [
        Case(
            [],
            [r"^changed backend names/a: weight 1 -> 9$", r"^added backend found/127\.0\.0\.1:"],
            [r"^changed backend names/a: weight 1 -> 9$"],
            [["weight", "names/a", "9"]],
        )
    ],
    "save": [Case([], [r"^\[pools\.", r"^\[listeners\."], [r"^\[pools\."])],
    "rebalance": [Case([], [r"^\d+ sessions have changed their worker$"])],
    "kill": [
        Case([session], [r"^session \d+\.\d+\.\d+ is ended$"]),
        Case(["--backend", "names/b"], [r"^0 sessions of names/b are ended$"]),
    ],
    "wait": [
        Case(
            ["backend-down", "web/gone"],
            [r"^backend-down web/gone: so after \d+(\.\d)? m?s$"],
        )
    ],
    "upgrade": [Case([], [r"^version \S+ has taken over$"])],
}
