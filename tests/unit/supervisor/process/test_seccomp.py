"""Filters of system calls: the calls on the lists, and what a child under a filter can do."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
import subprocess
import termios
import threading
from pathlib import Path
from typing import Any

import pytest

from l4lb.supervisor.process import seccomp
from l4lb.supervisor.process import system_calls as calls
from l4lb.supervisor.process.system_calls import (
    CHECKER,
    CHECKER_OF_PROGRAMS,
    KEEPER,
    RECORDER,
    WORKER,
    WORKER_OF_FILES,
    Calls,
)
from tests.unit.supervisor.process.filtering import (
    Told,
    Under,
    filtered,
    refused,
    told,
    under,
)

__all__ = ["told", "under"]  # fixtures

LIBC = ctypes.CDLL(None, use_errno=True)
LISTS = {
    "worker": WORKER,
    "worker of files": WORKER_OF_FILES,
    "worker of maps": calls.of_maps(WORKER),
    "keeper": KEEPER,
    "recorder": RECORDER,
    "checker": CHECKER,
    "checker of programs": CHECKER_OF_PROGRAMS,
}
DANGEROUS = {
    "execve", "execveat", "fork", "vfork", "kill", "tkill", "ptrace", "process_vm_readv",
    "process_vm_writev", "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "bpf",
    "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "init_module",
    "finit_module", "delete_module", "kexec_load", "reboot", "setuid", "setresuid", "capset",
    "chmod", "fchmod", "chown", "fchown", "truncate", "ftruncate", "link", "linkat", "symlinkat",
    "mknodat", "creat", "seccomp", "io_uring_setup", "open_by_handle_at", "pidfd_getfd",
}  # fmt: skip


def allowed(what: Calls) -> set[str]:
    return {rule.call for rule in what.rules if not rule.error}


@pytest.mark.parametrize("what", [WORKER, WORKER_OF_FILES, CHECKER])
def test_no_list_has_a_dangerous_call(what: Calls) -> None:
    assert what.error is None
    assert not allowed(what) & DANGEROUS


def test_a_worker_that_hands_sessions_over_may_only_read_and_write_entries_of_maps() -> None:
    what = calls.of_maps(WORKER)
    assert allowed(what) & DANGEROUS == {"bpf"}
    rules = [rule.only for rule in what.rules if rule.call == "bpf"]
    lookup, update, delete, lookup_and_delete = 1, 2, 3, 21  # linux/bpf.h, enum bpf_cmd
    commands = (lookup, update, delete, lookup_and_delete)
    assert rules == [((0, calls.WHOLE, one),) for one in commands]


def test_the_keeper_may_only_ask_whether_a_process_runs() -> None:
    assert allowed(KEEPER) & DANGEROUS == {"kill"}
    (rule,) = [rule for rule in KEEPER.rules if rule.call == "kill"]
    assert rule.only == ((1, calls.WHOLE, 0),)
    assert not allowed(KEEPER) & {"clone", "socket", "connect", "rename", "renameat", "unlink"}


def test_the_recorder_may_only_set_modes_and_ask_whether_a_process_runs() -> None:
    assert allowed(RECORDER) & DANGEROUS == {"kill", "fchmod"}
    (rule,) = [rule for rule in RECORDER.rules if rule.call == "kill"]
    assert rule.only == ((1, calls.WHOLE, 0),)
    assert not allowed(RECORDER) & {"clone", "socket", "connect", "rename", "unlink", "mkdir"}


def test_a_worker_starts_no_process_and_no_thread_and_makes_no_memory_executable() -> None:
    assert not allowed(WORKER) & {"clone", "clone3", "unlink", "rename", "mkdir"}
    for call in ("mmap", "mprotect"):
        (rule,) = [rule for rule in WORKER.rules if rule.call == call]
        assert rule.only == ((2, calls.PROT_EXEC, 0),)


@pytest.mark.parametrize("what", [WORKER, CHECKER, KEEPER])
def test_files_are_opened_only_to_be_read(what: Calls) -> None:
    rules = [rule for rule in what.rules if rule.call in ("open", "openat") and not rule.error]
    assert len(rules) == 2
    for rule in rules:
        (only,) = rule.only
        assert only.value == 0
        assert only.mask & os.O_ACCMODE == os.O_ACCMODE
        assert only.mask & os.O_CREAT
        assert only.mask & os.O_TRUNC


@filtered
@pytest.mark.parametrize("name", LISTS)
def test_libseccomp_knows_every_name(name: str) -> None:
    import pyseccomp

    for rule in LISTS[name].rules:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, rule.call)
        assert number != seccomp.UNKNOWN, rule.call
        assert number <= calls.NEWEST, rule.call


# ---- a child under a filter ----------------------------------------------------------------------


def number(call: str) -> int:
    import pyseccomp

    return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call))


def error_of(call: str, *args: Any) -> str:
    """Returns the name of the error of a system call; "" if it succeeds."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in (*args, *[0] * 6)[:6]]
    if LIBC.syscall(ctypes.c_long(number(call)), *words) >= 0:
        return ""
    return errno.errorcode[ctypes.get_errno()]


@filtered
@pytest.mark.parametrize("what", [WORKER, CHECKER])
@pytest.mark.parametrize("call", ["ptrace", "execve", "mount", "setns", "bpf", "keyctl", "kill"])
def test_a_call_that_is_not_on_the_list_ends_the_child_and_is_told_by_its_name(
    under: Under, told: Told, what: Calls, call: str
) -> None:
    assert under(what, lambda: len(error_of(call, -1, -1, -1))) == "killed by SIGSYS"
    assert refused(told) == call


@filtered
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("tgkill", (os.getpid(), os.getpid(), 0)),  # this process, the child's parent
        ("fcntl", (0, fcntl.F_SETSIG, signal.SIGKILL)),
        ("fcntl", (0, fcntl.F_SETOWN, os.getpid())),
        ("ioctl", (0, termios.TIOCSTI, 1)),
        ("prlimit64", (0, 7, 1, 0)),
        ("sched_setaffinity", (os.getpid(), 0, 0)),
        ("prctl", (seccomp.PR_SET_SECCOMP, 2, 0)),
        ("prctl", (calls.PR_SET_DUMPABLE, 1)),
        ("mmap", (0, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC, 0x22, -1, 0)),
        ("mprotect", (0, 0, mmap.PROT_EXEC)),
    ],
)
def test_a_call_of_the_list_with_arguments_that_are_not_is_none_of_it(
    under: Under, told: Told, call: str, arguments: tuple[int, ...]
) -> None:
    assert under(WORKER, lambda: len(error_of(call, *arguments))) == "killed by SIGSYS"
    assert refused(told) == call


@filtered
@pytest.mark.parametrize(
    ("family", "call"), [(socket.AF_ALG, "socket"), (socket.AF_PACKET, "socket")]
)
def test_a_worker_opens_sockets_of_the_families_of_backends_alone(
    under: Under, told: Told, family: int, call: str
) -> None:
    def main() -> int:
        for good in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            LIBC.socket(good, socket.SOCK_STREAM, 0)
        LIBC.socket(family, socket.SOCK_RAW, 0)
        return 0

    assert under(WORKER, main) == "killed by SIGSYS"
    assert refused(told) == call


@filtered
@pytest.mark.parametrize("command", [0, 5, 6, 7, 14])  # a map, a program, pins, a map by its number
def test_a_worker_of_maps_makes_and_finds_none(under: Under, told: Told, command: int) -> None:
    def main() -> int:
        attributes = ctypes.create_string_buffer(b"\xff" * 4, 128)  # map_fd
        for entry in (1, 2, 3, 21):
            assert error_of("bpf", entry, attributes, 128) == "EBADF"
        return len(error_of("bpf", command, attributes, 128))

    assert under(calls.of_maps(WORKER), main) == "killed by SIGSYS"
    assert refused(told) == "bpf"


@filtered
def test_a_worker_writes_no_file(under: Under, told: Told, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def main() -> int:
        assert path.read_text() == "before"
        path.write_text("after")
        return 0

    assert under(WORKER, main) == "killed by SIGSYS"
    assert refused(told) in ("open", "openat")
    assert path.read_text() == "before"


@filtered
def test_the_checker_goes_on_where_it_may_not_write(
    under: Under, told: Told, tmp_path: Path
) -> None:
    """As when Python tries to write a compiled module."""

    def main() -> int:
        for write in (lambda: (tmp_path / "file").write_text(""), (tmp_path / "new").mkdir):
            try:
                write()
            except PermissionError:
                continue
            return 1
        return 0

    assert under(CHECKER, main) == "exited"
    assert not list(tmp_path.iterdir())
    assert not told


@filtered
def test_the_checker_has_threads_and_no_children(under: Under, told: Told) -> None:
    def main() -> int:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        os.fork()
        return 0

    assert under(CHECKER, main) == "killed by SIGSYS"
    assert refused(told) in ("clone", "fork")


@filtered
@pytest.mark.parametrize("what", LISTS.values())
def test_calls_newer_than_the_list_are_not_there(under: Under, told: Told, what: Calls) -> None:
    def main() -> int:
        newer = range(calls.NEWEST + 1, calls.NEWEST + calls.LATER + 1)
        found = {(LIBC.syscall(one, 0, 0, 0, 0, 0, 0), ctypes.get_errno()) for one in newer}
        return int(found != {(-1, errno.ENOSYS)} or error_of("clone3") != "ENOSYS")

    assert under(what, main) == "exited"
    assert not told


@filtered
def test_programs_of_the_checker_run_and_what_no_check_needs_is_refused(
    under: Under, told: Told
) -> None:
    refusals = ("ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "init_module", "reboot")

    def main() -> int:
        assert subprocess.run(["/bin/true"], check=False).returncode == 0
        return int({error_of(call, 0) for call in refusals} != {"EPERM"})

    assert under(CHECKER_OF_PROGRAMS, main) == "exited"
    assert not told


@filtered
def test_a_child_that_ends_otherwise_is_not_told(under: Under, told: Told) -> None:
    assert under(WORKER, lambda: 3) == "exited with status 3"
    assert under(CHECKER_OF_PROGRAMS, lambda: os.kill(os.getpid(), signal.SIGKILL) or 0) == (
        "killed by SIGKILL"
    )
    assert not told


@filtered
def test_a_child_that_asserts_wrongly_ends_by_abort(under: Under, told: Told) -> None:
    assert under(WORKER, lambda: LIBC.abort()) == "killed by SIGABRT"
    assert not told
