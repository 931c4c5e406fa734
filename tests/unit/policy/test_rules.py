"""Rules of a forward proxy: which of them decides, and what the decision depends on."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from l4lb.policy.domains import domains_of
from l4lb.policy.rules import SOCKS, Decision, Question, Rule, Rules, decide
from l4lb.policy.times import parse
from l4lb.policy.urls import urls_of

GROUPS = {"anna": frozenset({"staff"}), "ben": frozenset({"staff", "admins"})}
LISTS = {"ads": ("ads.example", "x.a.example"), "social": ("a.example",), "gone": ()}
MONDAY_S = 4 * 86_400  # 1970-01-05 00:00 UTC
HOUR_S = 3_600


class Facts:
    """Groups and lists of these tests, and a clock that stands still."""

    def __init__(self, hour: float = 0) -> None:
        self._now_s = MONDAY_S + hour * HOUR_S

    def now_s(self) -> float:
        return self._now_s

    def groups_of(self, user: str) -> frozenset[str]:
        return GROUPS.get(user, frozenset())

    def is_whole(self, name: str) -> bool:
        return name != "gone"

    def find(self, name: str, host: str) -> str | None:
        return f"/lists/{name}:{LISTS[name].index(host) + 1}" if host in LISTS[name] else None


def utc(_: float) -> int:
    return 0


ASK = Question(None, ipaddress.ip_address("192.0.2.1"), "a.example", 443, "CONNECT")
GET = dataclasses.replace(ASK, method="GET", port=80)
ANNA = dataclasses.replace(ASK, user="anna")


def decided(*rules: Rule, ask: Question = ASK, hour: float = 0) -> Decision:
    return decide(Rules(rules), ask, Facts(hour))


def test_without_a_rule_that_matches_the_default_decides() -> None:
    assert decided() == Decision("deny")
    assert decide(Rules((), "allow"), ASK, Facts()) == Decision("allow")


def test_the_first_rule_that_matches_decides() -> None:
    first = Rule("ports", "deny", ports=((1, 100), (8080, 8080)))
    all_ = Rule("all", "allow")
    assert decided(first, all_) == Decision("allow", "all")
    assert decided(first, all_, ask=GET) == Decision("deny", "ports")


def test_a_decision_by_a_list_names_the_list_and_the_line() -> None:
    rule = Rule("ads", "deny", lists=("ads", "social"))
    assert decided(rule) == Decision("deny", "ads", "social", "/lists/social:1")


def test_a_host_may_be_in_a_list_that_is_not_whole() -> None:
    assert decided(Rule("no", "deny", lists=("ads", "gone")), Rule("all", "allow")) == Decision(
        "deny", "no", "gone", "the list is not whole"
    )
    assert decided(Rule("some", "allow", lists=("gone",))) == Decision("deny")


def test_a_rule_that_depends_on_the_user_asks_for_one() -> None:
    staff = Rule("staff", "allow", groups=frozenset({"staff"}))
    assert decided(staff) == Decision("auth", "staff", needs_user=True)
    assert decided(staff, ask=ANNA) == Decision("allow", "staff", needs_user=True)
    other = dataclasses.replace(ASK, user="carl")
    assert decided(staff, ask=other) == Decision("deny", needs_user=True)


def test_a_rule_that_fails_otherwise_asks_for_no_user() -> None:
    staff = Rule("staff", "allow", groups=frozenset({"staff"}), ports=((22, 22),))
    assert decided(staff, Rule("all", "allow")) == Decision("allow", "all")


def test_a_client_cannot_choose_a_later_rule_by_keeping_silent() -> None:
    rules = (Rule("guests", "deny", users=frozenset({"guest"})), Rule("all", "allow"))
    assert decided(*rules).action == "auth"
    assert decided(*rules, ask=ANNA) == Decision("allow", "all", needs_user=True)


def test_a_star_is_any_known_user() -> None:
    rule = Rule("known", "allow", users=frozenset({"*"}))
    assert decided(rule).action == "auth"
    assert decided(rule, ask=ANNA).action == "allow"


def test_users_and_groups_must_both_hold() -> None:
    rule = Rule("both", "allow", users=frozenset({"anna", "ben"}), groups=frozenset({"admins"}))
    assert decided(rule, ask=ANNA).action == "deny"
    assert decided(rule, ask=dataclasses.replace(ASK, user="ben")).action == "allow"


def test_a_rule_that_asks_for_a_user_decides_nothing_about_a_known_one() -> None:
    rules = (Rule("who", "auth"), Rule("all", "allow"))
    assert decided(*rules) == Decision("auth", "who", needs_user=True)
    assert decided(*rules, ask=ANNA) == Decision("allow", "all", needs_user=True)


def test_a_rule_about_urls_asks_for_the_path() -> None:
    rules = (Rule("ads", "deny", urls=urls_of(["a.example/ads"])), Rule("all", "allow"))
    assert decided(*rules, ask=GET) == Decision("deny", "ads", needs_path=True)
    for path, action in (("/ads?x", "deny"), ("/", "allow")):
        found = decided(*rules, ask=dataclasses.replace(GET, path=path))
        assert (found.action, found.needs_path) == (action, True)


def test_a_tunnel_has_no_path_and_passes_rules_about_urls() -> None:
    rules = (Rule("ads", "deny", urls=urls_of(["a.example"])), Rule("all", "allow"))
    for method in ("CONNECT", SOCKS):
        ask = dataclasses.replace(ASK, method=method)
        assert decided(*rules, ask=ask) == Decision("allow", "all")


def test_a_decision_holds_until_a_window_that_it_depends_on_changes() -> None:
    work = Rule("work", "deny", times=parse("mon-fri 08:00-19:00", utc))
    lunch = Rule("lunch", "allow", ports=((80, 80),), times=parse("mon 12:00-13:00", utc))
    rules = (lunch, work, Rule("all", "allow"))
    assert decided(*rules, hour=9) == Decision("deny", "work", valid_until=MONDAY_S + 19 * HOUR_S)
    found = decided(*rules, hour=9, ask=GET)
    assert found == Decision("deny", "work", valid_until=MONDAY_S + 12 * HOUR_S)


def test_a_method_and_a_source_are_conditions() -> None:
    sources = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("::/0"))
    rule = Rule("get", "allow", methods=frozenset({"GET"}), sources=sources)
    assert decided(rule, ask=GET).action == "allow"
    assert decided(rule).action == "deny"
    away = dataclasses.replace(GET, source=ipaddress.ip_address("198.51.100.1"))
    assert decided(rule, ask=away).action == "deny"
    six = dataclasses.replace(GET, source=ipaddress.ip_address("2001:db8::1"))
    assert decided(rule, ask=six).action == "allow"


def some(*values: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), max_size=2)


USERS = ("anna", "ben", "carl")
PATHS = ("/", "/ads/x", "/?id=1")
HOSTS = ("a.example", "x.a.example", "ads.example", "192.0.2.9")
rule_of = st.builds(
    Rule,
    name=st.sampled_from(["r1", "r2", "r3"]),
    action=st.sampled_from(["allow", "deny", "auth"]),
    users=some(*USERS, "*"),
    groups=some("staff", "admins"),
    sources=st.sampled_from([(), (ipaddress.ip_network("192.0.2.0/24"),)]),
    domains=st.sampled_from([None, domains_of(["*.example"]), domains_of(["a.example"])]),
    lists=st.sampled_from([(), ("ads",), ("social", "ads")]),
    ports=st.sampled_from([(), ((80, 80),), ((1, 100), (440, 450))]),
    methods=some("GET", "CONNECT"),
    urls=st.sampled_from([None, urls_of(["a.example/ads"]), urls_of([], [r"id=\d"])]),
    times=st.sampled_from([None, parse("mon 08:00-12:00", utc), parse("mon-sun 00:00-24:00", utc)]),
)
rules_of = st.builds(
    Rules, st.lists(rule_of, max_size=5).map(tuple), st.sampled_from(["allow", "deny"])
)
questions = st.builds(
    Question,
    user=st.sampled_from([None, *USERS]),
    source=st.sampled_from(["192.0.2.1", "198.51.100.1", "2001:db8::1"]).map(ipaddress.ip_address),
    host=st.sampled_from(HOSTS),
    port=st.sampled_from([80, 443]),
    method=st.sampled_from(["GET", "CONNECT", SOCKS]),
    path=st.none() | st.sampled_from(PATHS),
).map(lambda one: one if one.method == "GET" else dataclasses.replace(one, path=None))
hours = st.floats(0, 7 * 24)


def naive(rules: Rules, ask: Question, hour: float) -> tuple[str, str]:
    """Returns action and rule of a question whose user is known, and whose path is, if it has
    one."""
    user = ask.user or ""
    for rule in rules.rules:
        times = rule.times is None or rule.times.is_in(MONDAY_S + hour * HOUR_S)
        conditions: list[Callable[[], object]] = [
            lambda rule=rule: not rule.users or rule.users & {user, "*"},
            lambda rule=rule: not rule.groups or rule.groups & GROUPS.get(user, set()),
            lambda rule=rule: not rule.sources or any(ask.source in net for net in rule.sources),
            lambda rule=rule: rule.domains is None or rule.domains.has(ask.host),
            lambda rule=rule: not rule.lists or any(ask.host in LISTS[one] for one in rule.lists),
            lambda rule=rule: not rule.ports or any(a <= ask.port <= b for a, b in rule.ports),
            lambda rule=rule: not rule.methods or ask.method in rule.methods,
            lambda rule=rule: (
                rule.urls is None
                or (ask.path is not None and rule.urls.match(ask.host, ask.port, ask.path))
            ),
            lambda times=times: times,
        ]
        if rule.action != "auth" and all(holds() for holds in conditions):
            return rule.action, rule.name
    return rules.otherwise, ""


def known(ask: Question, user: str, path: str) -> Question:
    return dataclasses.replace(ask, user=user, path=path if ask.method == "GET" else None)


@given(rules_of, questions, st.sampled_from(USERS), st.sampled_from(PATHS), hours)
def test_a_question_with_all_its_parts_is_decided_as_a_naive_twin_does(
    rules: Rules, ask: Question, user: str, path: str, hour: float
) -> None:
    whole = known(ask, user, path)
    found = decide(rules, whole, Facts(hour))
    assert (found.action, found.rule) == naive(rules, whole, hour)


@given(rules_of, questions, st.sampled_from(USERS), st.sampled_from(PATHS), hours)
def test_a_decision_holds_for_all_that_it_does_not_depend_on(
    rules: Rules, ask: Question, user: str, path: str, hour: float
) -> None:
    found = decide(rules, ask, Facts(hour))
    other = known(
        ask,
        ask.user if found.needs_user and ask.user else user,
        ask.path if found.needs_path and ask.path else path,
    )
    if found.needs_path and ask.path is None:
        assert found.action == "deny"
        assert ask.method == "GET"
    elif found.needs_user and ask.user is None:
        assert found.action == "auth"
    else:
        assert (found.action, found.rule) == naive(rules, other, hour)


@given(rules_of, questions, hours, st.floats(0, 0.999))
def test_a_decision_holds_until_it_says(
    rules: Rules, ask: Question, hour: float, part: float
) -> None:
    now_s = MONDAY_S + hour * HOUR_S
    found = decide(rules, ask, Facts(hour))
    until = now_s + 30 * 86_400 if found.valid_until is None else found.valid_until
    assert until > now_s
    later = decide(rules, ask, Facts((now_s + (until - now_s) * part - MONDAY_S) / HOUR_S))
    assert dataclasses.replace(later, valid_until=None) == dataclasses.replace(
        found, valid_until=None
    )


@given(rules_of, questions, hours)
def test_who_is_refused_for_want_of_a_user_would_get_further_with_one(
    rules: Rules, ask: Question, hour: float
) -> None:
    """Asking twice is enough: neither the path nor the user is asked for again."""
    first = decide(rules, known(ask, "", "/"), Facts(hour))
    assert first.action in ("allow", "deny")
    without = decide(rules, dataclasses.replace(ask, user=None), Facts(hour))
    if without.action == "auth":
        assert without.needs_user
        assert decide(rules, known(ask, "anna", "/"), Facts(hour)).action != "auth"
