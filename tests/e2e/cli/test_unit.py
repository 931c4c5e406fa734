"""`l4lb unit`: systemd accepts the printed unit, the unit is tight, and the service works under
it."""

from __future__ import annotations

import ctypes
import functools
import platform
import re
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from ..harness import Backends, Balancer, echo, greet, run, toml, until

NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 22, 38, 65  # linux/prctl.h
SECCOMP_MODE_FILTER, MDWE_REFUSE_EXEC_GAIN = 2, 1
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO of EPERM
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
MOST_EXPOSED = 26  # maximum exposure of `systemd-analyze security`, of 100
analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here (Debian: systemd)"
)

CONFIGURATIONS = {
    "one port": {},
    "low ports, transparent": {
        "listeners": {"web": {"bind": ["0.0.0.0:80"], "pool": "web", "transparent": True}}
    },
    "sockets and a log": {
        "process": {"log": {"access": "/var/log/l4lb/web/access.log"}, "drain_timeout": "5m"},
        "listeners": {"web": {"bind": ["unix:/run/web/a.sock"], "pool": "web"}},
    },
    "another user": {"process": {"user": "nobody"}},
    "UDP": {"listeners": {"web": {"bind": ["[::]:53"], "protocol": "udp", "pool": "web"}}},
}


def unit_of(folder: Path, config: dict[str, object]) -> Path:
    whole = {
        "listeners": {"web": {"bind": ["127.0.0.1:8080"], "pool": "web"}},
        "pools": {"web": {"backends": ["127.0.0.1:1"]}},
        **config,
    }
    (folder / "l4lb.toml").write_text(toml(whole))
    done = run("unit", "-c", str(folder / "l4lb.toml"))
    assert (done.returncode, done.stderr) == (0, "")
    unit = folder / "l4lb.service"
    unit.write_text(done.stdout)
    return unit


@analyze
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_it_prints_is_one_that_systemd_takes_and_tight(tmp_path: Path, name: str) -> None:
    unit = unit_of(tmp_path, CONFIGURATIONS[name])
    assert not re.search(r"@[A-Z]+@", unit.read_text())
    said = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert "l4lb.service" not in said.stderr, said.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


def calls_of(unit: str) -> set[str]:
    """Returns the system calls that a unit allows."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        calls = set().union(*map(_expanded, line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


@functools.cache
def _expanded(word: str) -> frozenset[str]:
    if not word.startswith("@"):
        return frozenset({word})
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True
    )
    words = [line.strip() for line in said.stdout.splitlines()[1:] if "#" not in line]
    return frozenset().union(*map(_expanded, filter(None, words)))


def confine(numbers: list[int]) -> None:
    """Restricts this process and its children to these system calls, and forbids new executable
    memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = [(LOAD, 0, 0, 0)]
    for number in numbers:
        code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    code.append((RETURN, 0, 0, REFUSE))
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text))
    )
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # since Linux 6.3
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0


class Confined(Balancer):
    """A balancer under the system call filter of its own unit."""

    def confine_to(self, calls: set[str]) -> None:
        known = dict(re.findall(r"#define __NR_(\w+) (\d+)", NUMBERS.read_text()))
        numbers = sorted(int(known[one]) for one in calls if one in known)
        self.before_exec = functools.partial(confine, numbers)


@analyze
@pytest.mark.skipif(
    platform.machine() != "x86_64" or not NUMBERS.exists(),
    reason="numbers of system calls are known for x86-64 with the kernel's headers",
)
@pytest.mark.parametrize("user", [None, "nobody"])
def test_the_service_works_with_the_system_calls_and_memory_that_it_leaves(
    tmp_path: Path, user: str | None
) -> None:
    process = {"workers": 1, "log": {"access": "stdout"}} | ({"user": user} if user else {})
    with Backends(2) as backends:
        made = Balancer.before(backends.rows(), process=process, health={"type": "tcp"})
        lb = Confined(made.config)
        lb.confine_to(calls_of(unit_of(tmp_path, {"process": process}).read_text()))
        with lb:
            client, _ = greet(lb)
            with client:
                echo(client, 1, 500_000)
            until(lambda: "client_fin" in lb.out(), "the access log has it")
            lb.wait_for_new_worker(0, lb.kill(0))
            lb.admin("reload")
            if user is None:  # a user who cannot read the installation
                lb.admin("upgrade")
                until(lb.answers, "the upgraded program answers")
            client, _ = greet(lb)
            client.close()
            lb.signal(signal.SIGTERM)
            assert lb.wait() == 0
            assert "Operation not permitted" not in lb.log()
