"""The doctor's rules on made-up hosts: a folder that looks like /proc and /sys."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from l4lb.doctor import packet
from l4lb.doctor.checks import RULES, Check, Need, examine
from l4lb.doctor.host import Host

SOUND = {
    "/proc/sys/kernel/osrelease": "6.1.0-18-amd64",
    "/proc/sys/fs/nr_open": "1048576",
    "/proc/sys/fs/file-nr": "1000\t0\t9223372036854775807",
    "/proc/sys/fs/file-max": "9223372036854775807",
    "/proc/sys/fs/pipe-max-size": "1048576",
    "/proc/sys/fs/pipe-user-pages-soft": "16384",
    "/proc/sys/net/core/somaxconn": "4096",
    "/proc/sys/net/core/rmem_max": "4194304",
    "/proc/sys/net/core/wmem_max": "4194304",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog": "4096",
    "/proc/sys/net/ipv4/tcp_syncookies": "1",
    "/proc/sys/net/ipv4/ip_local_port_range": "1024\t65535",
    "/proc/sys/net/ipv4/tcp_tw_reuse": "1",
    "/proc/sys/net/ipv4/tcp_migrate_req": "1",
    "/proc/sys/net/ipv4/ip_unprivileged_port_start": "1024",
    "/proc/sys/net/netfilter/nf_conntrack_max": "1000000",
    "/proc/sys/net/netfilter/nf_conntrack_count": "10",
    "/proc/self/cgroup": "0::/system.slice/l4lb.service",
    "/proc/self/status": "Name:\tl4lb\nCapEff:\t0000000000000000\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "/sys/fs/cgroup/system.slice/l4lb.service/cpu.max": "max 100000",
}


def host(root: Path, files: dict[str, str] | None = None, **own: Any) -> Host:
    for path, text in (SOUND | (files or {})).items():
        place = Path(str(root) + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + "\n")
    facts: dict[str, Any] = {
        "cpus": 4, "open_files": 1 << 20, "processes": 10_000, "is_root": False, "seccomp": "",
    }  # fmt: skip
    return Host(str(root), **(facts | own))


def of(found: list[Check], name: str) -> Check:
    (check,) = [one for one in found if one.name == name]
    return check


NEED = Need(max_connections=100_000, workers=4, udp=True)


def test_a_sound_host_is_well(tmp_path: Path) -> None:
    assert {one.verdict for one in examine(host(tmp_path), NEED)} == {"ok"}


@pytest.mark.parametrize(
    ("path", "value", "name", "remedy"),
    [
        ("/proc/sys/kernel/osrelease", "5.10.0-28-amd64", "kernel", "5.14"),
        ("/proc/sys/fs/nr_open", "65536", "fs.nr_open", "sysctl -w fs.nr_open=200256"),
        ("/proc/sys/fs/file-max", "9000", "fs.file-max", "sysctl -w fs.file-max="),
        ("/proc/sys/fs/pipe-max-size", "65536", "fs.pipe-max-size", "sysctl -w"),
        ("/proc/sys/fs/pipe-user-pages-soft", "1024", "fs.pipe-user-pages-soft", "=0"),
        ("/proc/sys/net/core/somaxconn", "128", "net.core.somaxconn", "somaxconn=4096"),
        ("/proc/sys/net/core/rmem_max", "212992", "net.core.rmem_max", "=4194304"),
        ("/proc/sys/net/core/wmem_max", "212992", "net.core.wmem_max", "=4194304"),
        ("/proc/sys/net/ipv4/tcp_max_syn_backlog", "128", "net.ipv4.tcp_max_syn_backlog", "sys"),
        ("/proc/sys/net/ipv4/tcp_syncookies", "0", "net.ipv4.tcp_syncookies", "=1"),
        ("/proc/sys/net/ipv4/ip_local_port_range", "50000 60000", "net.ipv4.ip_local_port_range",
         '"1024 65535"'),
        ("/proc/sys/net/ipv4/tcp_tw_reuse", "0", "net.ipv4.tcp_tw_reuse", "=1"),
        ("/proc/sys/net/ipv4/tcp_migrate_req", "0", "net.ipv4.tcp_migrate_req", "=1"),
        ("/proc/sys/net/netfilter/nf_conntrack_max", "65536", "net.netfilter.nf_conntrack_max",
         "notrack"),
        ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet",
         "clock source", "tsc"),
        ("/sys/fs/cgroup/system.slice/l4lb.service/cpu.max", "200000 100000", "CPU quota",
         "workers = 2"),
        ("/sys/fs/cgroup/system.slice/io.max", "8:0 wbps=1048576", "I/O limit", "journald"),
    ],
)  # fmt: skip
def test_what_will_hurt_is_told_with_its_remedy(
    tmp_path: Path, path: str, value: str, name: str, remedy: str
) -> None:
    check = of(list(examine(host(tmp_path, {path: value}), NEED)), name)
    assert check.verdict in ("warn", "bad")
    assert remedy in check.remedy
    assert check.meaning
    assert check.wanted


def test_few_open_files_say_how_many_sessions_fit(tmp_path: Path) -> None:
    check = of(list(examine(host(tmp_path, open_files=1024), NEED)), "open files")
    assert (check.verdict, check.value) == ("bad", "1024")
    assert "384 sessions" in check.meaning


def test_low_ports_need_root_or_the_capability(tmp_path: Path) -> None:
    need = Need(ports=(80, 8080))
    check = of(list(examine(host(tmp_path), need)), "ports below 1024")
    assert (check.verdict, check.value) == ("bad", "80")
    able = {"/proc/self/status": "CapEff:\t0000000000000400"}
    assert of(list(examine(host(tmp_path, able), need)), "ports below 1024").verdict == "ok"


@pytest.mark.parametrize(
    ("setting", "missing", "verdict", "value"),
    [
        ("auto", "", "ok", "of workers and the checker"),
        ("auto", "no library", "warn", "none: no library"),
        ("on", "no library", "bad", "none: no library"),
        ("off", "no library", "ok", "none: [process] seccomp is off"),
    ],
)
def test_whether_there_will_be_filters_of_system_calls_is_told(
    tmp_path: Path, setting: Any, missing: str, verdict: str, value: str
) -> None:
    found = examine(host(tmp_path, seccomp=missing), Need(seccomp=setting))
    check = of(list(found), "seccomp filters")
    assert (check.verdict, check.value) == (verdict, value)
    assert ("apt install libseccomp2" in check.remedy) is (verdict != "ok")


def test_a_root_user_is_not_bound_by_the_pages_of_pipes(tmp_path: Path) -> None:
    few = {
        "/proc/sys/fs/pipe-user-pages-soft": "64",
        "/proc/self/status": "CapEff:\t000001ffffffffff",
    }
    check = of(list(examine(host(tmp_path, few), NEED)), "fs.pipe-user-pages-soft")
    assert check.verdict == "ok"
    assert "does not bind" in check.value


def test_a_host_that_shows_nothing_is_no_fault(tmp_path: Path) -> None:
    bare = Host(str(tmp_path / "nothing"), cpus=1, open_files=0, processes=0, is_root=False)
    found = list(examine(bare, NEED))
    assert {one.name for one in found} == {"open files", "processes", "workers"}


def test_every_rule_is_asked(tmp_path: Path) -> None:
    files = {"/sys/fs/cgroup/system.slice/io.max": "8:0 wbps=1",
             "/sys/fs/cgroup/system.slice/l4lb.service/cpu.max": "100000 100000"}  # fmt: skip
    found = list(examine(host(tmp_path, files), Need(ports=(1,))))
    assert len(found) == len(RULES)
    assert all(inspect.isfunction(rule) for rule in RULES)


@pytest.mark.parametrize("text", ["", "x", "-1", "\x00", "9" * 400])
def test_odd_files_break_nothing(tmp_path: Path, text: str) -> None:
    odd = host(tmp_path, dict.fromkeys(SOUND, text))
    assert all(one.verdict in ("ok", "warn", "bad") for one in examine(odd, NEED))


@pytest.mark.parametrize(
    ("workers", "cpus", "quota", "told"),
    [
        (3, 4, "250000 100000", {}),  # by default all usable CPUs, rounded up
        (4, 4, "250000 100000", {"CPU quota": "workers = 3"}),
        (4, 2, "max 100000", {"workers": "workers = 2"}),
        (4, 2, "100000 100000", {"workers": "workers = 1", "CPU quota": "workers = 1"}),
    ],
)
def test_more_workers_than_cpus_that_it_may_use_are_told(
    tmp_path: Path, workers: int, cpus: int, quota: str, told: dict[str, str]
) -> None:
    files = {"/sys/fs/cgroup/system.slice/cpu.max": quota}  # quota of a group above its own
    found = [
        one
        for one in examine(host(tmp_path, files, cpus=cpus), Need(workers=workers))
        if one.name in ("workers", "CPU quota") and one.verdict != "ok"
    ]
    assert {one.name for one in found} == told.keys()
    assert all(told[one.name] in one.remedy for one in found)


# ---- the shield ----------------------------------------------------------------------------------

SHIELD = Need(shield="tc", interfaces=("eth0",))
ETH0 = {"/sys/class/net/eth0/ifindex": "2"}
ONE_RIGHT = {"/proc/self/status": f"CapEff:\t{1 << 39:016x}\n"}
BOTH_RIGHTS = {"/proc/self/status": f"CapEff:\t{1 << 39 | 1 << 12:016x}\n"}


def shield_on(root: Path, files: dict[str, str], need: Need = SHIELD) -> dict[str, str]:
    """Returns the verdicts about the shield, by name."""
    return {one.name: one.verdict for one in packet.examine(host(root, files), need)}


def test_without_a_shield_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert shield_on(tmp_path, {}, NEED) == {}


@pytest.mark.parametrize(
    ("files", "need", "name", "verdict"),
    [
        ({}, SHIELD, "interfaces of the shield", "bad"),
        (ETH0, SHIELD, "interfaces of the shield", "ok"),
        ({}, SHIELD, "rights of the shield", "bad"),
        (BOTH_RIGHTS, SHIELD, "rights of the shield", "ok"),
        (ONE_RIGHT, SHIELD, "rights of the shield", "bad"),
        ({"/proc/sys/kernel/osrelease": "5.15.0"}, SHIELD, "kernel of the shield", "bad"),
        ({}, SHIELD, "kernel of the shield", "warn"),  # 6.1 has no links of tcx
        ({}, Need(shield="xdp", interfaces=("eth0",)), "kernel of the shield", "ok"),
        ({"/proc/sys/kernel/osrelease": "6.6.1"}, SHIELD, "kernel of the shield", "ok"),
    ],
)  # fmt: skip
def test_the_shield_has_what_it_needs(
    tmp_path: Path, files: dict[str, str], need: Need, name: str, verdict: str
) -> None:
    assert shield_on(tmp_path, files, need)[name] == verdict


FORWARDS = Need(interfaces=("eth0",), forwards=("ipv4", "ipv6"))
LOCAL_PORTS = "/proc/sys/net/ipv4/ip_local_port_range"
OFF = {"/proc/sys/net/ipv6/conf/eth0/forwarding": "0"}
ON = {"/proc/sys/net/ipv4/conf/eth0/forwarding": "1"}


@pytest.mark.parametrize(
    ("files", "name", "verdict"),
    [
        (ON, "forwarding of interfaces", "ok"),
        (ON | OFF, "forwarding of interfaces", "bad"),
        ({}, "interfaces of the shield", "bad"),
        ({"/proc/modules": "nf_tables 303104 0 - Live"}, "firewall", "ok"),
        ({LOCAL_PORTS: "32768\t60999"}, "ports for the kernel", "ok"),
        ({LOCAL_PORTS: "1024\t65535"}, "ports for the kernel", "warn"),
        ({LOCAL_PORTS: "2\t65000"}, "ports for the kernel", "warn"),
        ({"/proc/modules": "x 1 2 -\nnf_tables 303104 12 - Live"}, "firewall", "warn"),
        ({"/proc/net/ip_tables_names": "filter"}, "firewall", "warn"),
    ],
)
def test_a_listener_that_the_kernel_serves_has_what_it_needs(
    tmp_path: Path, files: dict[str, str], name: str, verdict: str
) -> None:
    assert shield_on(tmp_path, files, FORWARDS)[name] == verdict


def test_the_remedy_for_forwarding_names_each_interface(tmp_path: Path) -> None:
    found = {one.name: one for one in packet.examine(host(tmp_path, ON | OFF), FORWARDS)}
    assert found["forwarding of interfaces"].remedy == "sysctl -w net.ipv6.conf.eth0.forwarding=1"


def test_a_package_without_the_shield_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packet.program, "is_built", lambda: False)
    assert shield_on(tmp_path, ETH0)["shield"] == "bad"
