"""Health checks of haproxy.cfg: their request, their expected answer, their interval."""

from __future__ import annotations

import shutil

import pytest

from l4lb.config.model import Health
from l4lb.config.values import payload
from l4lb.importer.draft import Rank
from tests.unit.importer.made import pg


def health(lines: str, server: str = "check", defaults: str = "") -> Health:
    made = pg(lines, server, defaults)
    assert not made.left, made.left
    found = made.config.pools["pg"].health
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("option httpchk", ("OPTIONS", "/", None)),
        ("option httpchk /up", ("OPTIONS", "/up", None)),
        ("option httpchk GET /up", ("GET", "/up", None)),
        (r"option httpchk GET /up HTTP/1.1\r\nHost:\ www.example", ("GET", "/up", "www.example")),
        ("option httpchk\n http-check send meth HEAD uri /x hdr Host a.example",
         ("HEAD", "/x", "a.example")),
    ],
)  # fmt: skip
def test_http_checks_are_carried_over(lines: str, found: tuple[str, str, str | None]) -> None:
    check = health(lines)
    assert (check.type, check.method, check.path, check.host) == ("http", *found)


@pytest.mark.parametrize(
    ("expect", "status"),
    [
        ("status 200,204", ("200", "204")),
        ("status 200-299,301", ("200-299", "301")),
        ("! status 500", ("100-499", "501-599")),
        ("rstatus ^[23]..", ("200-399",)),
        ("! rstatus ^5", ("100-499",)),
    ],
)
def test_statuses_that_are_a_pass_are_carried_over(expect: str, status: tuple[str, ...]) -> None:
    assert health(f"option httpchk\n http-check expect {expect}").status == status


def test_what_a_body_must_hold_is_an_expression() -> None:
    check = health("option httpchk\n http-check expect string a.b")
    assert (check.body, check.status) == (r"a\.b", ("100-599",))
    assert health("option httpchk\n http-check expect rstring ^ok").body == "^ok"


def test_a_path_that_is_no_path_is_named() -> None:
    made = pg("option httpchk OPTIONS *", "check")
    assert made.rank("option httpchk") is Rank.DIFFERENT


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        (r"tcp-check send PING\r\n" + "\n tcp-check expect string +PONG", [("PING\r\n", "+PONG")]),
        (
            "tcp-check expect rstring ^220\n tcp-check send QUIT",
            [(None, "regex:^220"), ("QUIT", None)],
        ),
        (
            "tcp-check send-binary 50494E47\n tcp-check expect binary 2b",
            [("hex:50494e47", "hex:2b")],
        ),
        ("tcp-check connect\n tcp-check send hex:1", [("text:hex:1", None)]),
    ],
)
def test_conversations_are_steps(lines: str, steps: list[tuple[str | None, str | None]]) -> None:
    check = health("option tcp-check\n " + lines)
    assert check.steps is not None
    assert [(one.send, one.expect) for one in check.steps] == steps


def test_what_cannot_be_said_of_a_conversation_leaves_it_unchecked() -> None:
    lines = "tcp-check expect ! string x\n tcp-check send x\n tcp-check connect"
    made = pg("option tcp-check\n " + lines, "check")
    assert made.rank("tcp-check expect !") is Rank.UNCHECKED
    assert made.rank("tcp-check connect") is Rank.UNCHECKED
    assert pg("tcp-check send x", "check").rank("tcp-check send") is Rank.NOTE


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("redis-check", b"+PONG\r\n"),
        ("mysql-check", b"\x4a\0\0\0\x0a8.0.36\0"),
        ("pgsql-check user haproxy", b"R\0\0\0\x08\0\0\0\0"),
        ("ldap-check", b"0\x0c\x02\x01\x01"),
    ],
)
def test_ready_made_checks_know_a_good_answer_from_a_bad_one(option: str, answer: bytes) -> None:
    check = health(f"option {option}")
    assert check.steps is not None
    expected = check.steps[-1].expect
    assert expected is not None
    assert payload.find(expected, answer) >= 0
    assert payload.find(expected, b"E no") < 0


def test_a_check_of_postgres_is_the_packet_that_postgres_reads() -> None:
    check = health("option pgsql-check user haproxy")
    assert check.steps is not None
    sent = payload.to_bytes(check.steps[0].send or "")
    assert sent == b"\0\0\0\x16\0\3\0\0user\0haproxy\0\0"


def test_mail_servers_are_greeted() -> None:
    check = health("option smtpchk EHLO lb.example")
    assert check.steps is not None
    assert check.steps[1].send == "EHLO lb.example\r\n"


def test_checks_over_tls_are_carried_over() -> None:
    assert health("", "check check-ssl verify none").type == "tls"
    assert health("", "check check-ssl verify none").verify is False
    assert (
        health("option httpchk", "check check-ssl check-sni a.example verify none").sni
        == "a.example"
    )
    assert health("", "check ssl verify none").type == "tls"
    assert health("", "check port 9 ssl verify none").type == "tcp"
    assert health("option ssl-hello-chk").type == "tls"


def test_a_program_that_checks_gets_what_haproxy_gives_it() -> None:
    sh = shutil.which("sh") or "/bin/sh"
    check = health(f"option external-check\n external-check command {sh}")
    assert check.type == "exec"
    assert check.command is not None
    assert check.command[-1] == sh
    assert '"$L4LB_HOST" "$L4LB_PORT"' in check.command[2]
    assert pg("option external-check", "check").draft.grave
    path = f"external-check path /opt/a b:/bin\n external-check command {sh}"
    told = health(f"option external-check\n {path}".replace("a b", '"a b"'))
    assert told.command is not None
    assert "exec env PATH='/opt/a b:/bin' HAPROXY_PROXY_NAME" in told.command[2]


def test_the_pace_of_checks_is_carried_over() -> None:
    check = health("timeout check 3s", "check inter 5s fastinter 1s downinter 9s rise 4 fall 5")
    assert (check.interval_ms, check.fast_interval_ms, check.down_interval_ms) == (
        5_000,
        1_000,
        9_000,
    )
    assert (check.rise, check.fall, check.timeout_ms) == (4, 5, 3_000)
    assert health("", "check inter 7s").timeout_ms == 7_000  # HAProxy uses inter as the timeout
    assert health("", "check", "  option httpchk\nglobal\n spread-checks 5").jitter_percent == 5


def test_the_later_of_two_kinds_of_check_counts() -> None:
    assert health("option httpchk GET /x\n no option httpchk").type == "tcp"
    assert health("option httpchk GET /x\n option redis-check").type == "tcp"
    assert health("option tcp-check", "check", "  option httpchk GET /x").type == "tcp"
