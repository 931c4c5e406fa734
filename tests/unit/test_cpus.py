"""The number of usable CPUs by control groups of made-up hosts: a folder that looks like / ."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.cpus import cpu_quota, usable_cpus

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n"


def tree(root: Path, files: dict[str, str]) -> str:
    for path, text in files.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return str(root)


def group2(root: Path, path: str, quotas: dict[str, str], mounts: str = V2) -> str:
    """Returns a host with only version 2. quotas: cpu.max by folder."""
    files = {"/proc/self/cgroup": f"0::{path}\n", "/proc/self/mountinfo": mounts}
    files |= {f"/sys/fs/cgroup{folder}/cpu.max": f"{text}\n" for folder, text in quotas.items()}
    return tree(root, files)


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("max 100000", 8), ("400000 100000", 4), ("150000 100000", 2), ("100001 100000", 2),
        ("300000 100000", 3), ("30000 100000", 1), ("1000 100000", 1), ("1600000 100000", 8),
        ("", 8), ("max", 8), ("-1 100000", 8), ("x y", 8), ("0 100000", 8), ("100000 0", 8),
        ("9" * 400 + " 1", 8),
    ],
)  # fmt: skip
def test_a_quota_is_rounded_up_and_is_at_most_what_it_may_run_on(
    tmp_path: Path, quota: str, cpus: int
) -> None:
    assert (
        usable_cpus(group2(tmp_path, "/a.slice/b.service", {"/a.slice/b.service": quota}), 8)
        == cpus
    )


def test_the_least_quota_on_the_way_to_the_root_holds(tmp_path: Path) -> None:
    quotas = {"/a": "max 100000", "/a/b": "200000 100000", "/a/b/c": "600000 100000",
              "/other": "100000 100000"}  # fmt: skip
    root = group2(tmp_path, "/a/b/c", quotas)
    assert cpu_quota(root) == 2
    assert usable_cpus(root, 8) == 2


def test_the_root_of_a_containers_own_namespace_has_the_containers_quota(tmp_path: Path) -> None:
    assert cpu_quota(group2(tmp_path, "/", {"/": "250000 100000"})) == 2.5


def test_groups_above_a_namespace_are_not_looked_for(tmp_path: Path) -> None:
    assert cpu_quota(group2(tmp_path, "/../../b", {"/": "250000 100000"})) == 2.5


def test_what_is_mounted_of_the_hierarchy_is_left_out_of_the_way(tmp_path: Path) -> None:
    mounts = V2.replace(" / /sys", " /docker/abc /sys")
    root = group2(tmp_path, "/docker/abc/app", {"/": "3 1", "/app": "2 1"}, mounts)
    assert cpu_quota(root) == 2
    elsewhere = mounts.replace("/docker/abc", "/kubepods/xyz")
    assert cpu_quota(group2(tmp_path, "/docker/abc/app", {}, elsewhere)) == 3


def test_version_1_says_it_in_two_files(tmp_path: Path) -> None:
    files = {
        "/proc/self/cgroup": "4:memory:/m\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/s\n0::/u\n",
        "/proc/self/mountinfo": V1 + V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
        "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
    }
    root = tree(tmp_path, files)
    assert cpu_quota(root) == 2.5
    assert usable_cpus(root, 8) == 3
    assert usable_cpus(root, 2) == 2


def test_a_controller_whose_name_begins_with_cpu_is_another(tmp_path: Path) -> None:
    files = {
        "/proc/self/cgroup": "5:cpuset:/a\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "1\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "1\n",
    }
    assert cpu_quota(tree(tmp_path, files)) is None


def test_a_host_that_shows_nothing_limits_nothing(tmp_path: Path) -> None:
    assert cpu_quota(str(tmp_path)) is None
    assert usable_cpus(str(tmp_path), 3) == 3
    assert usable_cpus() >= 1
