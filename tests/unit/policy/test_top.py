"""The names that were counted most, compared with exact counts."""

from __future__ import annotations

import random
from collections import Counter

from l4lb.policy.top import Top


def test_no_large_count_is_missing_and_none_is_too_small() -> None:
    chance = random.Random(7)
    top, exact, places = Top(50), Counter[str](), 50
    for _ in range(20_000):
        name = f"host{int(chance.paretovariate(0.9)) % 3_000}.example"
        uses = chance.randint(1, 5)
        top.add(name, uses)
        exact[name] += uses
    found = {one.name: one for one in top.most(places)}
    assert len(top) == len(found) == places
    for one in found.values():
        assert one.count - one.error <= exact[one.name] <= one.count
    large = {name for name, count in exact.items() if count > exact.total() / places}
    assert large <= found.keys()
    assert len(large) >= 3
    counts = [one.count for one in top.most(10)]
    assert counts == sorted(counts, reverse=True)


def test_a_name_keeps_what_was_denied_and_the_rule_that_was_last() -> None:
    top = Top()
    top.add("a", 3, denied=True, rule="ads")
    top.add("a", 2, rule="all")
    (one,) = top.most(5)
    assert (one.count, one.denied, one.rule, one.error) == (5, 3, "all", 0)


def test_a_table_goes_on_where_another_one_ended() -> None:
    before, after = Top(3), Top(3)
    for name, count in (("a", 5), ("b", 2), ("c", 1), ("d", 1)):
        before.add(name, count)
    after.restore(before.plain())
    assert after.most(9) == before.most(9)
    after.add("e", 1)  # the smallest leaves
    assert [one.name for one in after.most(2)] == ["a", "e"]
