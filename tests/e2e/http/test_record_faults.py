"""Records that are full, gone or changed, and deaths of who keeps them."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
from pathlib import Path
from typing import Any

from ..harness import PORTS, run
from ..harness.configuration import toml
from ..harness.deadline import until
from ..harness.http import answer, client, request
from ..harness.metrics import Metrics
from ..harness.origin import Gate, Origin
from ..harness.processes import send_signal, stopped
from ..harness.recorded import all_in, echoing, kept_in, recorded, recorder, reload, shown

MIB = 1 << 20


def test_the_oldest_leave_when_the_folder_is_full_and_nothing_else_does(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    (folder / "notes.txt").write_text("mine")
    body = random.Random(1).randbytes(60_000)
    with (
        Origin(lambda _: answer(body)) as origin,
        recorded([origin], folder, record={"max_size": "1MiB"}) as lb,
        client(lb) as peer,
    ):
        for number in range(40):
            assert peer.ask(f"/{number}").body == body
        until(lambda: shown(lb).get("kept") == 40, "all were kept")
        found = [one.target for one in kept_in_but(folder, "notes.txt")]
        assert found == [f"/{number}" for number in range(40)][-len(found) :]
        assert 5 <= len(found) < 17
        used = sum(one.lstat().st_blocks * 512 for one in folder.glob("20*/**/*"))
        assert used <= MIB
        assert shown(lb)["files_bytes"] <= MIB
        assert (folder / "notes.txt").read_text() == "mine"


def kept_in_but(folder: Path, name: str) -> list[Any]:
    """Returns what is kept in a folder that has another file as well."""
    aside = folder.parent / "aside"
    shutil.copytree(folder, aside, ignore=shutil.ignore_patterns(name))
    os.chmod(aside, 0o700)
    try:
        return kept_in(aside)
    finally:
        shutil.rmtree(aside)


def test_a_folder_that_vanishes_is_told_and_found_again_by_a_reload(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with Origin(echoing) as origin, recorded([origin], folder) as lb, client(lb) as peer:
        peer.ask("/1")
        all_in(folder, 1)
        shutil.rmtree(folder)
        assert peer.ask("/2").status == 200
        until(lambda: shown(lb).get("failed") == 1, "it is counted")
        assert "No such file" in shown(lb)["error"]
        assert lb.log().count("requests cannot be kept") == 1
        old = recorder(lb).pid
        reload(lb)
        until(lambda: recorder(lb).pid != old, "another recorder takes over")
        assert peer.ask("/3").status == 200
        (one,) = all_in(folder, 1)
        assert one.target == "/3"


def test_a_reload_looks_at_the_folder_again(tmp_path: Path) -> None:
    folder, away = tmp_path / "kept", tmp_path / "away"
    with Origin(echoing) as origin, recorded([origin], folder) as lb, client(lb) as peer:
        peer.ask("/1")
        all_in(folder, 1)
        folder.rename(away)
        old = recorder(lb).pid
        reload(lb)
        until(lambda: recorder(lb).pid != old, "another recorder takes over")
        peer.ask("/2")
        assert [one.target for one in all_in(folder, 1)] == ["/2"]
        assert len(kept_in(away)) == 1
        folder.chmod(0o755)
        done = run("admin", "--socket", lb.socket, "reload")
        assert "others may look into it" in done.stderr


def test_a_folder_that_others_may_look_into_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    folder.chmod(0o750)
    other = tmp_path / "other"
    with Origin(echoing) as origin, recorded([origin], other) as lb, client(lb) as peer:
        lb.config["record"]["kept"]["folder"] = str(folder)
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        done = run("admin", "--socket", lb.socket, "reload")
        assert done.returncode != 0
        assert f"others may look into it (chmod 700 {folder})" in done.stderr
        assert peer.ask("/still").status == 200
        all_in(other, 1)
        done = run("run", "-c", str(lb.folder / "l4lb.toml"))
        assert done.returncode != 0
        assert "others may look into it" in done.stderr


def test_a_recorder_that_is_killed_or_hangs_holds_up_no_client(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    body = b"z" * 60_000
    with (
        Origin(lambda _: answer(body)) as origin,
        recorded([origin], folder, process={"http": f"127.0.0.1:{PORTS.take()}"}) as lb,
        client(lb) as peer,
    ):
        metrics = Metrics(lb)
        peer.ask("/1")
        until(lambda: shown(lb).get("kept") == 1, "it is kept and counted")
        old = recorder(lb)
        send_signal(old.pid, signal.SIGKILL)
        assert peer.ask("/2").body == body
        until(lambda: recorder(lb).pid != old.pid, "another one takes its place")
        until(lambda: len(kept_in(folder)) == 2, "the second one is kept, too")
        with stopped(recorder(lb).pid):
            for _ in range(120):  # more than its ring has room for
                assert peer.ask("/many").body == body
        until(lambda: metrics.value("l4lb_records_dropped_total"), "some found no room")
        until(lambda: all_of(metrics) == 122, "each is kept or counted")
        assert len(kept_in(folder)) > 30
        for one in kept_in(folder):
            assert body.startswith(one.answer_body)
            assert bool(one.about["cut"]) == (one.answer_body != body)


def test_a_recorder_that_dies_again_and_again_and_a_reload_make_one_recorder(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "kept"
    with Origin(echoing) as origin, recorded([origin], folder) as lb, client(lb) as peer:
        for _ in range(4):  # its next start is put off
            old = recorder(lb).pid
            send_signal(old, signal.SIGKILL)
            died = rf"a process died child=recorder .*pid={old}\b"
            until(lambda died=died: re.search(died, lb.log()), "its death is told")
        lb.config["record"]["kept"] |= {"max_body": "1KiB"}
        reload(lb)
        late = r"a process died child=recorder .*restart_in_ms=[1-9]"
        assert re.search(late, lb.log())
        pid = recorder(lb).pid
        until(lambda: peer.ask("/a").status == 200 and kept_in(folder), "requests are kept")
        lb.admin("status")
        assert [one.pid for one in lb.processes() if "recorder" in one.cmdline()[0]] == [pid]


def test_a_request_in_progress_when_another_recorder_takes_over_is_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    gate = Gate(echoing)
    process = {"http": f"127.0.0.1:{PORTS.take()}"}
    with Origin(gate) as origin, recorded([origin], folder, process=process) as lb:
        with client(lb) as peer:
            peer.say(request("/slow"))
            until(lambda: origin.requests, "it is under way")
            lb.config["record"]["kept"] |= {"max_body": "1KiB"}
            old = recorder(lb).pid
            reload(lb)
            until(lambda: recorder(lb).pid != old, "another recorder takes over")
            gate.open()
            assert peer.answer().status == 200
        until(lambda: Metrics(lb).value("l4lb_records_dropped_total") == 1, "it is counted")
        assert kept_in(folder) == []


def test_a_worker_that_leaves_for_good_leaves_what_it_had(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    gate = Gate(echoing)
    with Origin(gate) as origin, recorded([origin], folder, workers=3) as lb:
        peers = [client(lb) for _ in range(16)]
        for at, peer in enumerate(peers):
            peer.say(request(f"/{at}"))
        until(lambda: len(origin.requests) == 16, "all are under way")
        lb.config["process"]["workers"] = 1
        reload(lb)
        gate.open()
        for peer in peers:
            with peer:
                assert peer.answer().status == 200
        until(lambda: len(lb.ask("workers")) == 1, "the others have left")
        all_in(folder, 16)


def all_of(metrics: Metrics) -> float:
    """Returns how many requests were kept, whole or not, or dropped."""
    whole, cut = (
        metrics.value("l4lb_records_total", record="kept", result=result)
        for result in ("kept", "cut")
    )
    return (whole or 0) + (cut or 0) + (metrics.value("l4lb_records_dropped_total") or 0)


def test_a_worker_that_is_killed_leaves_what_it_had_begun(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with Origin(echoing) as origin, recorded([origin], folder) as lb:
        with client(lb) as peer:
            peer.say(request("/half", "POST", fields=[("Content-Length", "100")]) + b"half of")
            until(lambda: origin.connections, "the request is under way")
            old = lb.kill(0)
        lb.wait_for_new_worker(0, old)
        with client(lb) as peer:
            assert peer.ask("/after").status == 200
        half, after = sorted(all_in(folder, 2), key=lambda one: one.target, reverse=True)
        assert (half.target, half.request_body, half.answer) == ("/half", b"half of", None)
        assert half.about["cut"]
        assert (after.target, after.answer_body) == ("/after", b"fine")


def test_records_come_change_and_go_by_reloads_and_live_through_an_upgrade(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with Origin(echoing) as origin, recorded([origin], one, rules=[]) as lb, client(lb) as peer:
        assert peer.ask("/none").status == 200
        lb.config["listeners"]["web"]["http"]["record"] = [{"name": "a", "record": "kept"}]
        reload(lb)
        assert peer.ask("/one").status == 200
        assert [found.target for found in all_in(one, 1)] == ["/one"]
        lb.config["record"]["kept"] |= {"folder": str(two), "max_body": "0B"}
        old = recorder(lb).pid
        reload(lb)
        until(lambda: recorder(lb).pid != old, "another recorder takes over")
        assert peer.ask("/two", "POST", body=b"abc").status == 200
        (found,) = all_in(two, 1)
        assert (found.target, found.request_body, found.answer_body) == ("/two", b"", b"")
        before = shown(lb)
        lb.admin("upgrade")
        until(lambda: shown(lb) == before, "the counts live on")
        with client(lb) as again:
            assert again.ask("/three").status == 200
        assert [found.target for found in all_in(two, 2)] == ["/two", "/three"]
        del lb.config["record"], lb.config["listeners"]["web"]["http"]["record"]
        reload(lb)
        with client(lb) as again:
            assert again.ask("/four").status == 200
        assert lb.admin("records") == []
        assert len(kept_in(two)) == 2


def test_the_end_of_the_service_keeps_what_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with Origin(echoing) as origin, recorded([origin], folder) as lb, client(lb) as peer:
        with stopped(recorder(lb).pid):
            for number in range(50):
                assert peer.ask(f"/{number}").status == 200
        lb.signal(signal.SIGTERM)
        lb.wait()
        assert len(kept_in(folder)) == 50
