"""Whether a process hangs: only looks that came in time count."""

from __future__ import annotations

from l4lb.supervisor.process.pulse import LATE_MS, LOOK_EVERY_MS, SILENT_LOOKS, Pulse


def looks(pulse: Pulse, beats: list[int], every_ms: int = LOOK_EVERY_MS) -> Pulse:
    for beat in beats:
        pulse = pulse.after(pulse.at_ms + every_ms, beat)
    return pulse


def test_a_process_is_lost_after_so_many_looks_without_a_heartbeat() -> None:
    almost = looks(Pulse(0, 7), [7] * (SILENT_LOOKS - 1))
    assert not almost.is_lost
    assert looks(almost, [7]).is_lost


def test_one_heartbeat_is_enough_to_be_well() -> None:
    almost = looks(Pulse(0, 7), [7] * (SILENT_LOOKS - 1))
    assert not looks(almost, [8, *[8] * (SILENT_LOOKS - 1)]).is_lost


def test_a_process_that_beats_slowly_is_never_lost() -> None:
    beats = [number // (SILENT_LOOKS - 1) for number in range(1_000)]
    assert not looks(Pulse(0, 0), beats).is_lost


def test_a_heartbeat_that_is_old_after_a_stop_of_everything_is_no_sign() -> None:
    """As with a frozen container: the next look comes hours late, the one after it in time."""
    frozen = Pulse(0, 7).after(3 * 3_600_000, 7)
    assert frozen.silent == 0
    assert not looks(frozen, [7] * (SILENT_LOOKS - 1)).is_lost


def test_where_all_is_slow_nobody_is_lost() -> None:
    assert not looks(Pulse(0, 7), [7] * 1_000, LOOK_EVERY_MS + LATE_MS + 1).is_lost
    assert looks(Pulse(0, 7), [7] * SILENT_LOOKS, LOOK_EVERY_MS + LATE_MS).is_lost
