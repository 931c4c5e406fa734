"""Tables and facts at every width: no line is too wide, and the most important columns stay."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.cli import layout
from l4lb.cli.layout import Column, View

PIPE = View()
COLUMNS = (
    Column("name", 0, "name"), Column("state", 0), Column("active", 1, "number"),
    Column("bytes_in", 2, "number", "in"), Column("note", 0, "sentence", rare=True),
)  # fmt: skip
ROWS = [
    ["web/a-name-that-goes-on-and-on-and-on", "up", "3", "17.3 MiB", "-"],
    ["web/b", "down", "12", "0 B", "it was refused three times in a row and has been down since"],
]
SGR = re.compile(r"\x1b\[[0-9;]*m")


def at(width: int, rows: list[list[str]] = ROWS) -> list[str]:
    return layout.table(COLUMNS, rows, View(width))


def test_where_there_is_room_everything_stands_in_its_column() -> None:
    assert at(150) == [
        "NAME                                   STATE  ACTIVE        IN  NOTE",
        "web/a-name-that-goes-on-and-on-and-on  up          3  17.3 MiB  -",
        (
            "web/b                                  down       12       0 B  it was refused three"
            " times in a row and has been down since"
        ),
    ]


def test_a_sentence_goes_on_in_its_column_or_below_its_row() -> None:
    row = "web/b                                  down       12       0 B  "
    assert at(100)[2:] == [
        f"{row}it was refused three times in a row",
        f"{' ' * len(row)}and has been down since",
    ]
    assert at(66)[2:] == [
        "web/b                                  down       12       0 B",
        "    it was refused three times in a row and has been down since",
    ]


def test_columns_are_left_out_by_rank_before_names_cannot_be_read_and_are_named() -> None:
    rows = [[*row[:4], "-"] for row in ROWS]
    assert at(46, rows)[:2] == [
        "NAME                   STATE  ACTIVE        IN",
        "web/a-name…-on-and-on  up          3  17.3 MiB",
    ]
    assert at(36, rows) == [
        "NAME                   STATE  ACTIVE",
        "web/a-name…-on-and-on  up          3",
        "web/b                  down       12",
        "",
        "not shown: in (a wider terminal, or",
        "--json)",
    ]


def test_on_a_narrow_terminal_each_row_is_a_block_of_facts() -> None:
    wide = Column("hash"), Column("other")
    assert layout.table(wide, [["x" * 15, "y" * 12]] * 2, View(26)) == [
        "hash   xxxxxxxxxxxxxxx",
        "other  yyyyyyyyyyyy",
        "",
        "hash   xxxxxxxxxxxxxxx",
        "other  yyyyyyyyyyyy",
    ]


def test_a_pipe_gets_every_column_and_every_word_whole() -> None:
    lines = layout.table(COLUMNS, ROWS, PIPE)
    assert lines[0].split() == ["name", "state", "active", "bytes_in", "note"]
    assert [re.split(" {2,}", line) for line in lines[1:]] == ROWS


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("short", 5, "short"), ("127.0.0.1:8080", 9, "127.…8080"), ("abcdef", 4, "ab…f"),
        ("abc", 1, "…"), ("日本語日本語", 7, "日…語"), ("日本", 4, "日本"),
    ],
)  # fmt: skip
def test_what_is_too_long_is_cut_in_its_middle(text: str, room: int, shown: str) -> None:
    assert layout.cut(text, room) == shown
    assert layout.wide(shown) <= room


def test_colours_come_only_where_they_are_wanted_and_change_no_letter() -> None:
    plain, coloured = at(80), layout.table(COLUMNS, ROWS, View(80, colour=True))
    assert not any(SGR.search(line) for line in plain)
    assert "\x1b[31mdown" in coloured[2]
    assert [SGR.sub("", line).rstrip() for line in coloured] == plain


def test_facts_have_their_sentences_beside_their_labels() -> None:
    said = [("serves", ["no"]), ("because", ["it is down and nobody knows why", "it is full"])]
    assert layout.facts(said, View(28)) == [
        "serves   no",
        "because  it is down and",
        "         nobody knows why",
        "         it is full",
    ]


WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=60)
KINDS: Any = st.sampled_from(["word", "number", "name"])


@given(
    st.integers(1, 200),
    st.lists(st.tuples(KINDS, st.integers(0, 5), WORDS), min_size=1, max_size=8),
    WORDS,
    st.booleans(),
)
def test_no_line_of_any_table_is_wider_than_the_terminal(
    width: int, made: list[tuple[Any, int, str]], sentence: str, colour: bool
) -> None:
    columns = [Column(f"k{at}", rank, kind) for at, (kind, rank, _) in enumerate(made)]
    columns.append(Column("said", 0, "sentence"))
    row = [*(word for _, _, word in made), sentence]
    for line in layout.table(columns, [row, ["-"] * len(row)], View(width, colour)):
        assert layout.wide(SGR.sub("", line)) <= max(width, layout.WIDTH_LEAST)
