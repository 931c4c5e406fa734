"""The filters of HTTP listeners as rules that workers read (csrc/shm/http_routes.h)."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config.tables.http_filter import CONDITIONS, DENIED, OF_METHODS, TOO_MANY, Filter
from l4lb.config.tables.http_filter import FilterRule as Rule
from l4lb.config.tables.http_route import RequestConditions
from l4lb.http import routes


def names_of(its: Filter | None) -> list[str]:
    """Returns the names of a filter's rules, in the order in which they are looked at."""
    if its is None:
        return []
    of_methods = [OF_METHODS] if its.methods is not None else []
    return [*of_methods, *(rule.name for rule in its.rules)]


def compiled(its: Filter | None, slots: list[int]) -> list[routes.Route]:
    """Returns the rules of a filter. slots: of each, as names_of has them."""
    if its is None:
        return []
    rules = [_of_methods(its.methods)] if its.methods is not None else []
    rules += [_rule(rule) for rule in its.rules]
    return [rule._replace(slot=slot) for rule, slot in zip(rules, slots, strict=True)]


def _of_methods(methods: tuple[str, ...]) -> routes.Route:
    return routes.Route(
        pool=routes.Rule("deny", 405),
        slot=0,
        conditions=(routes.Condition("other_method", methods),),
        set_answer={"Allow": ", ".join(methods)},
        name=OF_METHODS,
    )


def _rule(rule: Rule) -> routes.Route:
    status = rule.status or (TOO_MANY if rule.action == "limit" else DENIED)
    rate = rule.limit or 0
    return routes.Route(
        pool=routes.Rule(rule.action, status),
        slot=0,
        hosts=rule.host or (),
        conditions=tuple(conditions(rule)),
        requests_per_source=routes.Limit(rate, rule.burst or rate, status, rule.dry_run),
        name=rule.name,
    )


def conditions(rule: RequestConditions) -> Iterator[routes.Condition]:
    """Yields the conditions of a rule beside its hosts."""
    for kind in CONDITIONS:
        value = getattr(rule, kind, None)
        if value is None or kind == "host":
            continue
        if kind == "user_agent":
            yield routes.Condition("header", value, "User-Agent")
        elif isinstance(value, dict):
            for name, patterns in value.items():
                yield routes.Condition(kind, patterns, name)
        else:
            yield routes.Condition(kind, value if isinstance(value, tuple) else (str(value),))


def told(its: Filter | None) -> Iterator[tuple[str, str, str, bool]]:
    """Yields of each rule its name, its conditions and its action in words, and whether it only
    counts."""
    if its is None:
        return
    if its.methods is not None:
        yield OF_METHODS, f"method none of {' | '.join(its.methods)}", "deny 405", False
    for rule in its.rules:
        status = rule.status or (TOO_MANY if rule.action == "limit" else DENIED)
        action = {
            "deny": f"deny {status}",
            "limit": f"limit {rule.limit}/s {status}",
        }.get(rule.action, rule.action)
        yield rule.name, when(rule), action, rule.dry_run


def when(rule: RequestConditions) -> str:
    """Returns the conditions of a rule in one line."""
    words = [f"host {' | '.join(rule.host)}"] if rule.host else []
    for kind, items, name in conditions(rule):
        equal = f" {name} =" if name else ""
        words.append(f"{kind}{equal} {' | '.join(one or chr(34) * 2 for one in items)}")
    return ", ".join(words)
