"""The access log's writer and its sinks: no line is lost that a sink can take, no line is cut, and
no worker waits."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import socket
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from doors import ended

import l4lb.log
from l4lb.access_log import sinks
from l4lb.access_log.main import BUSY_WAIT_S, FAILED_WAIT_S, IDLE_WAIT_S, Writer
from l4lb.access_log.ready import readable
from l4lb.access_log.settings import Settings
from l4lb.native import session_stats
from l4lb.native.table import Table
from tests.e2e.harness.processes import open_files
from tests.unit.access_log.test_lines import table_with


class Stubborn:
    """A sink that takes `maximum` lines at a time, or fails while `broken`."""

    def __init__(self, maximum: int = 1_000) -> None:
        self.maximum, self.broken = maximum, False
        self.got: list[bytes] = []

    def write(self, lines: Sequence[bytes]) -> int:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.got += lines[: self.maximum]
        return min(self.maximum, len(lines))

    def reopen(self) -> None: ...
    def close(self) -> None: ...


def writer_of(table: Table, sink: sinks.Sink) -> Writer:
    reader = session_stats.LogReader(table, style="text")
    return Writer(reader, sink, Settings("/x"), clock=lambda: 100.0)


def end_sessions(table: Table, count: int) -> None:
    for number in range(count):
        ended.account(table, 0, "client_fin", bytes_in=number)


def test_all_lines_are_written_in_their_order() -> None:
    table, sink = table_with(), Stubborn(maximum=3)
    writer = writer_of(table, sink)
    end_sessions(table, 10)
    while writer.turn() != IDLE_WAIT_S:
        pass
    assert [int(line.split(b"bytes_in=")[1].split()[0]) for line in sink.got] == list(range(10))
    assert session_stats.log_counts(table) == (10, 0, 0, 0)


def test_a_sink_that_fails_costs_nothing_until_the_ring_is_full(
    capsys: pytest.CaptureFixture[str],
) -> None:
    l4lb.log.setup("info", "json")
    table, sink = table_with(), Stubborn()
    writer = writer_of(table, sink)
    sink.broken = True
    end_sessions(table, 9_000)
    assert [writer.turn() for _ in range(5)] == [FAILED_WAIT_S] * 5
    assert session_stats.log_counts(table)[2:] == (5, 9_000 - 8_192)
    sink.broken = False
    for _ in range(20):
        writer.turn()
    assert len(sink.got) == 8_192
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2, "once that it fails, once that it is well again"
    assert "No space left" in told[0]


def test_a_sink_that_sleeps_is_asked_again_soon() -> None:
    table, sink = table_with(), Stubborn(maximum=0)
    writer = writer_of(table, sink)
    end_sessions(table, 1)
    assert writer.turn() == BUSY_WAIT_S
    sink.maximum = 5
    writer.turn()
    assert len(sink.got) == 1


def test_the_farewell_writes_what_is_left() -> None:
    table, sink = table_with(), Stubborn(maximum=700)
    writer = writer_of(table, sink)
    end_sessions(table, 8_000)
    writer.farewell()
    assert len(sink.got) == 8_000


def test_a_file_is_found_again_after_it_was_moved_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    sink = sinks.File(str(path))
    assert sink.write([b"one\n"]) == 1
    path.rename(tmp_path / "old")
    sink.write([b"two\n"])
    path.unlink()
    sink.write([b"three\n", b"four\n"])
    sink.close()
    assert (tmp_path / "old").read_text() == "one\n"
    assert path.read_text() == "three\nfour\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_not_there_is_an_error_and_no_end(tmp_path: Path) -> None:
    sink = sinks.File(str(tmp_path / "no" / "access.log"))
    with pytest.raises(FileNotFoundError):
        sink.write([b"one\n"])
    (tmp_path / "no").mkdir()
    assert sink.write([b"one\n"]) == 1


def test_a_line_that_was_begun_is_ended_before_the_next() -> None:
    rest = sinks._Unbroken()
    lines = [b"first\n", b"second\n"]
    assert rest.after(lines, 6 + 3) == 2
    assert rest.rest == b"ond\n"
    assert rest.after([b"third\n"], 2) == 0
    assert rest.after([b"third\n"], 2 + 6) == 1
    assert rest.rest == b""
    assert rest.after(lines, 6) == 1
    assert rest.rest == b""


def test_a_pipe_that_nobody_reads_takes_some_and_makes_nobody_wait_long() -> None:
    reading, writing = os.pipe()
    try:
        sink = sinks.Stream(writing)
        sent = [f"{n:05} {'x' * 90}\n".encode() for n in range(2_000)]
        left = list(sent)
        for _ in range(100):
            taken = sink.write(left)
            left = left[taken:]
            if not taken:
                break
        assert left, "a pipe is full at some time"
        got = b""
        while left or select.select([reading], [], [], 0)[0]:
            got += os.read(reading, 65_536)
            left = left[sink.write(left) :] if left else left
        sink.close()
        while select.select([reading], [], [], 0)[0]:
            got += os.read(reading, 65_536)
        assert got == b"".join(sent)
    finally:
        os.close(reading)
        os.close(writing)


SYSLOG = rb"<134>1 \d{4}-\d\d-\d\dT[\d:.]{12}Z \S+ l4lb \d+ access - ts="


def line_of(table: Table) -> bytes:
    end_sessions(table, 1)
    return session_stats.LogReader(table, style="text").read(1)[0]


def test_syslog_over_udp_gets_a_message_a_line() -> None:
    line = line_of(table_with())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        sink = sinks.Syslog(Settings("syslog", syslog=f"udp://127.0.0.1:{server.getsockname()[1]}"))
        assert sink.write([line, line]) == 2
        server.settimeout(10)
        said = server.recv(4_096)
        sink.close()
    head, _, message = said.partition(b" access - ")
    assert message == line.rstrip()
    assert head.startswith(b"<134>1 " + line[3:27] + b" ")


def test_a_message_to_syslog_has_a_time_whatever_its_line_looks_like() -> None:
    combined = b'127.0.0.1 - - [29/Nov/2026:17:40:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n'
    timed = b"ts=2026-11-25T01:40:00.123Z client=-\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        sink = sinks.Syslog(Settings("syslog", syslog=f"udp://127.0.0.1:{server.getsockname()[1]}"))
        assert sink.write([combined, timed]) == 2
        first, second = server.recv(2_000), server.recv(2_000)
        sink.close()
    assert re.match(rb"<\d+>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", first)
    assert first.endswith(combined.rstrip())
    assert b">1 2026-11-25T01:40:00.123Z " in second


def test_syslog_over_tcp_counts_its_octets_and_comes_back() -> None:
    line = line_of(table_with())
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sink = sinks.Syslog(Settings("syslog", syslog=f"tcp://127.0.0.1:{port}"))
        assert sink.write([line]) == 1
        first, _ = server.accept()
        with first:
            first.settimeout(10)
            data = first.recv(65_536)
        length, _, message = data.partition(b" ")
        assert int(length) == len(message)
        with pytest.raises(OSError):
            sink.write([line] * 10)
        assert sink.write([line]) == 1
        second, _ = server.accept()
        second.close()
        sink.close()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_syslog_on_this_host_is_found_either_way(tmp_path: Path, kind: int) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(path)
        if kind == socket.SOCK_STREAM:
            server.listen()
        sink = sinks.Syslog(Settings("syslog", syslog=f"unix:{path}"))
        assert sink.write([line_of(table_with())]) == 1
        sink.close()


def test_a_syslog_that_is_gone_raises_until_it_is_back(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    sink = sinks.Syslog(Settings("syslog", syslog=f"unix:{path}"))
    line = line_of(table_with())
    for _ in range(2):
        with pytest.raises(OSError):
            sink.write([line])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        assert sink.write([line]) == 1
        assert server.recv(4_096).endswith(line.rstrip())


def test_the_journal_gets_fields(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        assert sinks.Journald(path).write([b"ts=now end=x\n"]) == 1
        fields = dict(line.split(b"=", 1) for line in server.recv(4_096).splitlines())
    assert fields[b"MESSAGE"] == b"ts=now end=x"
    assert fields[b"SYSLOG_IDENTIFIER"] == b"l4lb"


def test_descriptors_of_any_number_are_written_to() -> None:
    """select(2) cannot watch descriptors from 1,024 on; a service with many listeners has such
    descriptors."""
    reading, writing = os.pipe()
    far = fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, 1_500)
    try:
        assert sinks.Stream(far).write([b"a line\n"]) == 1
        assert os.read(reading, 100) == b"a line\n"
        assert not readable(far, 0)
    finally:
        for fd in (reading, writing, far):
            os.close(fd)


def test_settings_that_came_over_the_channel_are_those_that_were_sent() -> None:
    sent = Settings("/x", style="json", mask=(24, 48), query=False)
    assert Settings.from_map(json.loads(json.dumps(asdict(sent)))) == sent


def test_a_reload_that_changes_nothing_of_the_log_leaves_its_file_open(tmp_path: Path) -> None:
    settings = Settings(str(tmp_path / "log"))
    table, sink = table_with(), sinks.sink_for(settings)
    writer = Writer(session_stats.LogReader(table, style="text"), sink, settings)
    end_sessions(table, 1)
    writer.turn()
    before = open_files(os.getpid())
    writer.configure(Settings.from_map(json.loads(json.dumps(asdict(settings)))))
    assert open_files(os.getpid()) == before
    sink.close()
