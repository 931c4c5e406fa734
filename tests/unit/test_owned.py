"""Folders and files of the service where other users have put something first."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from l4lb import owned
from l4lb.access_log.settings import Settings
from l4lb.access_log.sinks import sink_for
from l4lb.config.tables.process import Process
from l4lb.errors import L4lbError
from l4lb.supervisor.process.privileges import User
from l4lb.supervisor.sockets.http_token import NAME, token_of
from l4lb.supervisor.sockets.listening import open_admin

NOBODY = pwd.getpwnam("nobody")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user as well")


@pytest.fixture
def run() -> Iterator[Path]:
    """Returns a folder inside one that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="l4lb-owned-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "run"


def as_nobody(work: Callable[[], object]) -> None:
    """Runs it in a child as the user nobody."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(*[NOBODY.pw_gid] * 3)
            os.setresuid(*[NOBODY.pw_uid] * 3)
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def refusal(path: Path) -> str:
    """Returns why there is no admin socket."""
    with pytest.raises(L4lbError) as caught:
        open_admin(str(path)).close()
    return caught.value.message


# ---- folders -----------------------------------------------------------------------------------


def test_a_folder_is_made_for_its_group_or_in_a_shared_one_for_its_owner_alone(run: Path) -> None:
    with owned.folder(str(run)):
        assert stat.S_IMODE(run.stat().st_mode) == 0o750
    run.parent.chmod(0o1777)
    with owned.folder(str(run.parent / "l4lb-1000")) as folder:
        assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700


def test_a_folder_that_others_may_write_to_is_refused_with_the_remedy(run: Path) -> None:
    for mode in (0o770, 0o707, 0o777):
        run.mkdir()
        run.chmod(mode)
        told = refusal(run / "admin.sock")
        assert f"other users may write to the folder {run}" in told
        assert f"chmod go-w {run}" in told
        assert list(run.iterdir()) == []
        run.rmdir()


def test_a_sticky_folder_is_as_good_as_tmp(run: Path) -> None:
    run.mkdir()
    run.chmod(0o1777)
    open_admin(str(run / "admin.sock")).close()


@root_only
def test_a_folder_of_another_user_is_refused_with_the_remedy(run: Path) -> None:
    run.mkdir()
    os.chown(run, NOBODY.pw_uid, NOBODY.pw_gid)
    told = refusal(run / "admin.sock")
    assert f"the folder {run} belongs to user {NOBODY.pw_uid}" in told
    assert f"chown 0 {run}" in told
    assert list(run.iterdir()) == []


@root_only
def test_a_link_of_another_user_is_not_followed_and_one_of_root_is(run: Path) -> None:
    run.mkdir()
    (run / "there").mkdir()
    (run / "link").symlink_to("there")
    open_admin(str(run / "link" / "admin.sock")).close()
    assert (run / "there" / "admin.sock.lock").exists()
    os.chown(run / "link", NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    assert "is a symbolic link that another user" in refusal(run / "link" / "admin.sock")


@root_only
def test_who_is_not_root_refuses_folders_of_others_too(run: Path) -> None:
    run.mkdir()
    os.chown(run, 1, 1)
    run.chmod(0o755)
    as_nobody(lambda: refusal(run / "admin.sock").index("belongs to user 1"))
    os.chown(run, NOBODY.pw_uid, NOBODY.pw_gid)
    as_nobody(lambda: open_admin(str(run / "admin.sock")).close())


def test_links_that_lead_in_a_circle_are_refused(run: Path) -> None:
    run.symlink_to(run)
    assert "Too many levels of symbolic links" in refusal(run / "admin.sock")


# ---- the lock ----------------------------------------------------------------------------------


def test_a_lock_that_is_a_link_is_not_followed(run: Path) -> None:
    run.mkdir(0o700)
    victim = run.parent / "victim"
    victim.write_text("precious")
    lock = run / "admin.sock.lock"
    for target in (victim, run.parent / "made"):
        lock.symlink_to(target)
        told = refusal(run / "admin.sock")
        assert f"{lock} is no file" in told
        assert f"rm {lock}" in told
        lock.unlink()
    assert victim.read_text() == "precious"
    assert not (run.parent / "made").exists()


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder"])
def test_what_is_no_file_is_no_lock(run: Path, kind: str) -> None:
    run.mkdir(0o700)
    lock = run / "admin.sock.lock"
    with socket.socket(socket.AF_UNIX) as sock:
        if kind == "fifo":
            os.mkfifo(lock)
        elif kind == "socket":
            sock.bind(str(lock))
        else:
            lock.mkdir()
        assert "is no file" in refusal(run / "admin.sock") or kind == "folder"
    assert not (run / "admin.sock").exists()


@root_only
def test_a_lock_of_another_user_or_that_others_may_write_is_refused(run: Path) -> None:
    run.mkdir(0o700)
    lock = run / "admin.sock.lock"
    lock.write_text("theirs")
    os.chown(lock, NOBODY.pw_uid, NOBODY.pw_gid)
    assert f"{lock} belongs to user {NOBODY.pw_uid}" in refusal(run / "admin.sock")
    os.chown(lock, 0, 0)
    lock.chmod(0o666)
    assert f"other users may write to {lock}" in refusal(run / "admin.sock")
    assert lock.read_text() == "theirs"


@root_only
def test_the_user_gets_the_socket_and_can_lead_no_later_start_astray(run: Path) -> None:
    user = User("nobody", NOBODY.pw_uid, NOBODY.pw_gid)
    path = run / "admin.sock"
    admin = open_admin(str(path))
    admin.give(user)
    assert (path.stat().st_uid, Path(f"{path}.lock").stat().st_uid) == (NOBODY.pw_uid, 0)
    about = run.stat()
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (0, NOBODY.pw_gid, 0o750)

    def attack() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
        for change in (
            lambda: os.unlink(f"{path}.lock"),
            lambda: os.unlink(path),
            lambda: os.rename(path, run / "other"),
            lambda: os.symlink("/etc/passwd", run / "link"),
        ):
            with pytest.raises(PermissionError):
                change()

    as_nobody(attack)
    admin.close()


@root_only
def test_a_folder_with_other_things_in_it_stays_as_it_is(run: Path) -> None:
    run.mkdir(0o755)
    (run / "another").write_text("")
    admin = open_admin(str(run / "admin.sock"))
    admin.give(User("nobody", NOBODY.pw_uid, NOBODY.pw_gid))
    assert (run.stat().st_gid, stat.S_IMODE(run.stat().st_mode)) == (0, 0o755)
    admin.close()


# ---- the token ---------------------------------------------------------------------------------


def process_in(run: Path, **more: str) -> Process:
    return Process.model_validate(
        {"admin": str(run / "admin.sock"), "http": "127.0.0.1:1", "http_admin": True, **more}
    )


def no_token(process: Process) -> str:
    with pytest.raises(L4lbError) as caught:
        token_of(process)
    return caught.value.message


def test_the_token_is_made_once_for_its_owner_alone(run: Path) -> None:
    token = token_of(process_in(run))
    assert len(token) >= 16
    assert token_of(process_in(run)) == token
    assert stat.S_IMODE((run / NAME).stat().st_mode) == 0o600


def test_a_token_that_is_a_link_or_a_pipe_is_refused(run: Path) -> None:
    run.mkdir(0o700)
    (run.parent / "theirs").write_text("known to the attacker\n")
    (run / NAME).symlink_to(run.parent / "theirs")
    assert "is no file" in no_token(process_in(run))
    (run / NAME).unlink()
    os.mkfifo(run / NAME)
    assert "is no file" in no_token(process_in(run))


@root_only
def test_a_token_of_another_user_is_refused_unless_the_service_becomes_that_user(
    run: Path,
) -> None:
    run.mkdir(0o700)
    (run / NAME).write_text("known to the attacker\n")
    (run / NAME).chmod(0o600)
    os.chown(run / NAME, NOBODY.pw_uid, NOBODY.pw_gid)
    assert f"belongs to user {NOBODY.pw_uid}" in no_token(process_in(run))
    assert token_of(process_in(run, user="nobody")) == "known to the attacker"


@root_only
def test_the_user_of_the_service_may_read_the_token(run: Path) -> None:
    token = token_of(process_in(run, user="nobody"))
    admin = open_admin(str(run / "admin.sock"))
    admin.give(User("nobody", NOBODY.pw_uid, NOBODY.pw_gid))
    as_nobody(lambda: (run / NAME).read_text().index(token))
    admin.close()


def test_an_operators_token_may_be_behind_a_link_but_is_a_file(run: Path) -> None:
    run.mkdir()
    (run / "real").write_text("0123456789abcdef\n")
    (run / "link").symlink_to("real")
    assert token_of(process_in(run, http_token_file=str(run / "link"))) == "0123456789abcdef"
    os.mkfifo(run / "pipe")
    assert "not a regular file" in no_token(process_in(run, http_token_file=str(run / "pipe")))
    assert "No such file" in no_token(process_in(run, http_token_file=str(run / "none")))


# ---- logs --------------------------------------------------------------------------------------


def logged(path: Path) -> None:
    sink = sink_for(Settings(target=str(path)))
    assert sink.write([b"a line\n"]) == 1
    sink.close()


def test_a_log_may_be_behind_a_link_of_ours(run: Path) -> None:
    run.mkdir()
    (run / "log").symlink_to("real")
    logged(run / "log")
    assert (run / "real").read_text() == "a line\n"


@root_only
def test_a_log_behind_a_link_of_another_user_is_not_written(run: Path) -> None:
    run.mkdir()
    run.chmod(0o1777)
    as_nobody(lambda: (run / "log").symlink_to(run / "made"))
    with pytest.raises(PermissionError, match="is a symbolic link that another user"):
        logged(run / "log")
    assert not (run / "made").exists()
