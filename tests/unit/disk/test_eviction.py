"""What leaves a full disk, compared with a naive choice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from l4lb.disk.eviction import File, chosen, excess

FILES = st.lists(
    st.builds(
        File,
        used_ns=st.integers(0, 20),
        bytes=st.integers(0, 5).map(lambda n: n * 4096),
        folder=st.integers(0, 255),
        name=st.text("0123456789abcdef", min_size=2, max_size=2),
    ),
    max_size=40,
    unique=True,
)


def naive(sample: list[File], wanted: int, whole: bool) -> list[File]:
    """Takes the oldest file again and again."""
    left, leaving = list(sample), []
    most = len(sample) if whole else (len(sample) + 3) // 4
    while left and len(leaving) < most and sum(one.bytes for one in leaving) < wanted:
        oldest = min(left, key=lambda one: one.used_ns)
        left.remove(oldest)
        leaving.append(oldest)
    return leaving


@given(FILES, st.integers(0, 100_000), st.booleans())
def test_the_oldest_leave_until_there_is_room(sample: list[File], wanted: int, whole: bool) -> None:
    assert chosen(sample, wanted, whole=whole) == naive(sample, wanted, whole)


@given(FILES, st.integers(1, 1 << 40))
def test_a_quarter_of_a_sample_is_not_exceeded(sample: list[File], wanted: int) -> None:
    assert len(chosen(sample, wanted, whole=False)) * 4 <= len(sample) + 3


@given(st.integers(0, 1 << 50), st.integers(16 << 20, 64 << 40))
def test_files_leave_from_95_percent_on_until_90_percent(used: int, size: int) -> None:
    room = size * 90 // 100
    for leaving, limit in ((False, size * 95 // 100), (True, room)):
        wanted = excess(used, size, leaving=leaving)
        assert wanted == (used - room if used > limit else 0)
        assert not wanted or excess(used - wanted, size, leaving=True) == 0
