"""The service log: one event is one line, no secret is shown, and no cause fills the log."""

from __future__ import annotations

import json

import pytest
import structlog

import l4lb.log
from l4lb.log import HIDDEN, LINES_A_MINUTE, Limited

LOG = l4lb.log.get("test")


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    l4lb.log.setup("info", "json")
    LOG.debug("not this")
    LOG.warning("this", text='a "b"\nc', number=3)
    (event,) = said(capsys)
    assert (event["event"], event["level"], event["process"]) == ("this", "warning", "test")
    assert (event["text"], event["number"]) == ('a "b"\\nc', 3)


def test_text_of_others_cannot_begin_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    l4lb.log.setup("info", "text")
    LOG.info("seen", text="x\n2026-01-01 [error] forged\x1b[2J", name="\u2028")
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "\x1b[2J" not in text


def test_a_traceback_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    l4lb.log.setup("info", "text")
    try:
        raise ValueError("here")
    except ValueError:
        LOG.error("crashed", exc_info=True)
    assert "ValueError: here" in capsys.readouterr().err


def test_secrets_are_not_shown_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    l4lb.log.setup("info", "json")
    LOG.info("config", http_token="s3cret", tables=[{"Password": "s3cret", "user": "me"}])
    (event,) = said(capsys)
    assert event["http_token"] == HIDDEN
    assert event["tables"] == [{"Password": HIDDEN, "user": "me"}]


def test_one_cause_has_its_lines_and_the_next_minute_tells_what_was_left_out() -> None:
    now = [0.0]
    limited = Limited(clock=lambda: now[0])

    def told(**fields: str) -> dict[str, object] | None:
        try:
            return dict(limited(None, "error", {"event": "it fails", **fields}))
        except structlog.DropEvent:
            return None

    assert all(told(backend="a") for _ in range(LINES_A_MINUTE))
    assert [told(backend="a") for _ in range(5)] == [None] * 5
    assert told(backend="b"), "another backend is another cause"
    now[0] = 60.0
    again = told(backend="a")
    assert again is not None
    assert again["left_out"] == 5
    following = told(backend="a")
    assert following is not None
    assert "left_out" not in following
