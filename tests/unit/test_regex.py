"""Regular expressions as tables match what RE2 matches."""

from __future__ import annotations

import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from l4lb.regex import Automaton, PatternError, compiled


def matches(found: Automaton, text: str) -> bool:
    """Returns whether a text matches: what a worker does."""
    state = found.start
    for byte in text.encode():
        state = found.steps[state * found.classes + found.class_of[byte]]
    return found.ends[state]


TOKENS = ["a", "b", "c", "/", ".", r"\.", "[ab]", "[^a]", "[a-c/]", "^", "$", "(", ")", "|", "*"]
TOKENS += ["+", "?", "{2}", "{1,2}", "{0,}", r"\d", r"\w", "1", "(?:", "(?i)", "A", "[]a]", "a*?"]
patterns = st.lists(st.sampled_from(TOKENS), max_size=8).map("".join)
texts = st.text("abcA1/._", max_size=10)


@settings(max_examples=600, deadline=None)
@given(patterns, st.lists(texts, min_size=1, max_size=6))
@example("a$|^b", ["", "a", "b", "ab", "ba"])
@example("^$", ["", "a"])
@example("^*a", ["a"])
@example("(a|b)*c$", ["abcabc", "abca"])
@example("$^", ["", "a"])
def test_a_table_matches_what_re2_matches(pattern: str, given_texts: list[str]) -> None:
    try:
        found = compiled(pattern)
    except PatternError:
        return
    twin = re2.compile(pattern)
    for text in given_texts:
        assert matches(found, text) == bool(twin.search(text)), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(a", "without its )"),
        ("a)", "without its ("),
        ("[a", "without its ]"),
        ("*a", "repeats nothing"),
        ("a**", "repeats a repetition"),
        (r"a\b", "not supported"),
        (r"(a)\1", "not supported"),
        ("(?=a)", "not supported"),
        ("[[:alpha:]]", "not supported"),
        ("a{101}", "0 to 100"),
        ("a{2,1}", "0 to 100"),
        ("a{", "no count"),
        ("[c-a]", "no order"),
        ("\u00e4", "not ASCII"),
        ("(" * 60 + ")" * 60, "more than 50"),
        ("((a{100}){100}){100}", "too large"),
        ("(a|b)*a(a|b){30}", "too complex"),
    ],
)
def test_a_pattern_that_is_not_understood_is_told(pattern: str, told: str) -> None:
    with pytest.raises(PatternError) as refused:
        compiled(pattern)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "pattern", [r"^/user/\d+$", r"\.(php|asp)x?$", "(?i)^/ADMIN(/|$)", "^/[a-z]{2}-[A-Z]{2}/"]
)
def test_usual_patterns_are_small(pattern: str) -> None:
    assert len(compiled(pattern).ends) < 20
