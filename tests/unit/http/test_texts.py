"""Texts for HTTP: what Python compiles is what a worker reads."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.http.texts import ListenerTexts, Page, PoolTexts, compiled
from l4lb.native.http_texts import TEXTS_BYTES, publish_texts
from l4lb.native.table import Table
from tests.doors import texts as door

ROWS = 4
NOTHING = {"request_id": b"", "via": b"", "hsts": b"", "hide": (), "pages": {}}
WORD = st.text("abcXYZ-", max_size=9)
LISTENER = st.builds(
    ListenerTexts,
    request_id=WORD,
    via=WORD,
    hsts=WORD,
    hide=st.lists(WORD, max_size=5).map(tuple),
    pages=st.dictionaries(
        st.integers(400, 599), st.builds(Page, type=WORD, body=st.binary(max_size=40)), max_size=5
    ),
)


def table() -> Table:
    return Table((1, ROWS, ROWS, 1, 1))


def as_read(texts: ListenerTexts) -> dict[str, object]:
    return {
        "request_id": texts.request_id.encode(),
        "via": texts.via.encode(),
        "hsts": texts.hsts.encode(),
        "hide": tuple(name.lower().encode() for name in texts.hide),
        "pages": {status: (page.type.encode(), page.body) for status, page in texts.pages.items()},
    }


@settings(deadline=None)
@given(
    st.dictionaries(
        WORD.filter(bool), st.builds(Page, type=WORD, body=st.binary(max_size=40)), max_size=5
    )
)
def test_a_rule_has_the_page_that_was_compiled_for_its_name(pages: dict[str, Page]) -> None:
    shared = table()
    publish_texts(shared, compiled([], [(2, PoolTexts("host", pages=pages))]))
    for name, page in pages.items():
        assert door.of_rule(shared, 2, name.encode()) == (page.type.encode(), page.body)
    assert door.of_rule(shared, 2, b"no rule") is None
    assert door.of_rule(shared, 1, b"a") is None


@settings(deadline=None)
@given(
    st.lists(LISTENER, max_size=3),
    st.dictionaries(st.integers(0, ROWS - 1), st.integers(0, 2), max_size=ROWS),
    st.dictionaries(st.integers(0, ROWS - 1), WORD, max_size=ROWS),
)
def test_a_worker_reads_what_was_compiled(
    listeners: list[ListenerTexts], owners: dict[int, int], hosts: dict[int, str]
) -> None:
    owners = {row: owner for row, owner in owners.items() if owner < len(listeners)}
    groups = [
        ([row for row, owner in owners.items() if owner == index], texts)
        for index, texts in enumerate(listeners)
    ]
    shared = table()
    publish_texts(shared, compiled(groups, [(row, PoolTexts(host)) for row, host in hosts.items()]))
    for row in range(ROWS):
        wanted = as_read(listeners[owners[row]]) if row in owners else NOTHING
        assert door.of_listener(shared, row, range(400, 600)) == wanted
        assert door.of_pool(shared, row) == hosts.get(row, "").encode()


def test_a_table_without_texts_has_none() -> None:
    shared = table()
    assert door.of_listener(shared, 0, (502,)) == NOTHING
    assert door.of_pool(shared, 0) == b""


def test_a_reader_notices_that_the_texts_have_changed() -> None:
    shared = table()
    reading = door.Reading(shared)
    assert reading.holds()
    publish_texts(shared, compiled([([0], ListenerTexts(via="new"))], []))
    assert not reading.holds()
    assert door.of_listener(shared, 0)["via"] == b"new"


def test_texts_that_are_too_long_change_nothing() -> None:
    shared = table()
    publish_texts(shared, compiled([([0], ListenerTexts(via="old"))], []))
    with pytest.raises(OverflowError, match="4 MiB"):
        publish_texts(shared, bytes(TEXTS_BYTES + 1))
    assert door.of_listener(shared, 0)["via"] == b"old"


@pytest.mark.parametrize("seed", range(200))
def test_no_content_leads_a_reader_out_of_the_texts(seed: int) -> None:
    chance = random.Random(seed)
    some = ListenerTexts("a", "b", "c", ("d", "e"), {502: Page("f", b"g"), 503: Page("h", b"i")})
    content = bytearray(compiled([([0, 1], some)], [(0, PoolTexts("j"))]))
    for _ in range(chance.randint(1, 4)):
        at = 4 * chance.randrange(len(content) // 4)
        content[at : at + 4] = chance.choice((0, 1, 4, len(content), 1 << 22, 0xFFFFFFFF)).to_bytes(
            4, "little"
        )
    shared = table()
    publish_texts(shared, bytes(content))
    for row in range(ROWS):
        found = door.of_listener(shared, row, (502, 503))
        assert all(len(one) <= TEXTS_BYTES for one in found["hide"])
        assert len(door.of_pool(shared, row)) <= TEXTS_BYTES
