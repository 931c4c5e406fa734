"""Secrets in JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.record.json_text import masked_json

from .making import MASKS, SECRET


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"token":"x","a":1}', '{"token":"***","a":1}'),
        ('{ "Token" :\n "x" , "a":1}', '{ "Token" :\n "***" , "a":1}'),
        (r'{"\u0074oken":"x\"y","a":1}', r'{"\u0074oken":"***","a":1}'),
        (r'{"token":"x\\","a":"\""}', r'{"token":"***","a":"\""}'),
        ('{"pwd":-1.5e3,"secret":null,"sig":true}', '{"pwd":"***","secret":"***","sig":"***"}'),
        ('{"auth":{"a":["]}",{}],"b":1},"c":[2]}', '{"auth":"***","c":[2]}'),
        ('{"auth":["a","\\"]"],"c":[2]}', '{"auth":"***","c":[2]}'),
        ('[{"token":"x"},{"token":"y"}]', '[{"token":"***"},{"token":"***"}]'),
        ('{"a":{"b":[{"token":"x"}]}}', '{"a":{"b":[{"token":"***"}]}}'),
        ('{"token":"x"}\n{"token":"y"}\n', '{"token":"***"}\n{"token":"***"}\n'),
        ('\ufeff{"token":"x"}', '\ufeff{"token":"***"}'),
        (")]}',\n" + '{"token":"x"}', ")]}',\n" + '{"token":"***"}'),
        (
            r'{"t\/oken":"x","toke\n":1,"toke\u006E":2}',
            r'{"t\/oken":"x","toke\n":1,"toke\u006E":"***"}',
        ),
        ('{"user[password]":"x"}', '{"user[password]":"***"}'),
    ],
)
def test_secret_members_are_masked(text: str, masked: str) -> None:
    assert masked_json(text.encode(), MASKS) == masked.encode()
    assert masked_json(masked.encode(), MASKS) == masked.encode()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"a":1,token:"secret"}', '{"a":1,***'),
        ("{'token':'secret'}", "{***"),
        ('{"a":1,/**/"token":"secret"}', '{"a":1,***'),
        ('{"token":/**/"secret","a":1}', '{"token":"***"'),
        ('{"token":secret with, commas}', '{"token":"***" ***'),
        ('{"token":,"a":"secret"}', '{"token":"***"'),
        ('{"a":"b"c","token":"secret"}', '{"a":"b"***'),
        ("token=secret", "***"),
    ],
)
def test_from_where_it_is_no_json_everything_is_masked(text: str, masked: str) -> None:
    assert masked_json(text.encode(), MASKS) == masked.encode()
    assert masked_json(masked.encode(), MASKS) == masked.encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_another_encoding_than_utf_8_is_masked_whole(encoding: str) -> None:
    assert masked_json('{"token":"x"}'.encode(encoding), MASKS) == b"***"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.text(max_size=6).filter(lambda name: not MASKS.hides(name))
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)
HIDDEN = st.sampled_from(["password", "TOKEN", "x-amz-signature", "Secret"])


def written(tree: object, *, is_ascii: bool, indent: int | None) -> bytes:
    return json.dumps(tree, ensure_ascii=is_ascii, indent=indent).encode("utf-8", "surrogatepass")


PERCENTS = st.integers(0, 100)  # of a text, where it is cut


@given(TREES, st.booleans(), st.sampled_from([None, 2]), PERCENTS)
def test_json_without_secrets_stays_byte_for_byte(
    tree: Any, is_ascii: bool, indent: int | None, percent: int
) -> None:
    text = written(tree, is_ascii=is_ascii, indent=indent)
    begin = text[: len(text) * percent // 100]
    assert masked_json(text, MASKS) == text
    assert masked_json(begin, MASKS) == begin


@given(TREES, TREES, HIDDEN, st.booleans(), st.sampled_from([None, 1]))
def test_a_secret_is_masked_in_any_place(
    before: Any, after: Any, name: str, is_ascii: bool, indent: int | None
) -> None:
    def tree(value: Any) -> Any:
        return [before, {"a": before, name: value, "b": after}, after]

    for secret in (SECRET, [1, {"a": SECRET}], {"a": [SECRET], "b": {}}):
        text = written(tree(secret), is_ascii=is_ascii, indent=indent)
        masked = written(tree("***"), is_ascii=is_ascii, indent=indent)
        assert masked_json(text, MASKS) == masked


def test_a_secret_is_masked_wherever_the_text_is_cut() -> None:
    for secret in (SECRET, [1, {"a": SECRET}], {"a": [SECRET], "b": {}}):
        text = written({"a": ["b"], "Token": secret, "c": "d"}, is_ascii=True, indent=1)
        for end in range(len(text)):
            assert SECRET[:4].encode() not in masked_json(text[:end], MASKS)


@given(st.binary() | st.text('{}[]:,"\\token 1', max_size=40).map(str.encode))
def test_any_bytes_are_taken_and_twice_is_the_same_as_once(text: bytes) -> None:
    once = masked_json(text, MASKS)
    assert masked_json(once, MASKS) == once


@pytest.mark.parametrize("part", ['"', "\\", '"\\', "[", '{"token":[', '"token":', "1,", '"a":1,'])
def test_time_is_in_proportion_to_the_length(part: str) -> None:
    def needed_s(count: int) -> float:
        begin = time.process_time()
        masked_json(b'{"token":[' + part.encode() * count, MASKS)
        masked_json(part.encode() * count, MASKS)
        return time.process_time() - begin

    short, long = (min(needed_s(count) for _ in range(3)) for count in (1_000, 16_000))
    assert long < max(short, 1e-4) * 16 * 8
