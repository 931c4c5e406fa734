"""The systemd unit for a configuration: its user, its rights, and the files that it can see."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

import pytest

from l4lb.cli import readers, unit

from .conftest import L4lb

PACKET = '[process.packet]\ninterfaces = ["lo"]\n'
BASE = '[listeners.web]\nbind = ["{bind}"]\npool = "web"\n[pools.web]\nbackends = ["127.0.0.1:1"]\n'
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away (needs root)")


@pytest.fixture
def open_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the program where every user can read it; the test's folders are readable too."""
    monkeypatch.setattr(unit, "_places", lambda: ("/usr/bin",))
    way = readers._way

    def below(path: str) -> list[tuple[str, int]]:
        return [one for one in way(path) if os.path.basename(one[0]) == "l4lb.toml"]

    monkeypatch.setattr(readers, "_way", below)


def said(l4lb: L4lb, file: Path) -> dict[str, list[str]]:
    done = l4lb("unit", "-c", str(file))
    assert (done.status, done.err) == (0, "")
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", done.out, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def written(folder: Path, text: str = "", bind: str = "127.0.0.1:8080", mode: int = 0o644) -> Path:
    file = folder / "l4lb.toml"
    file.write_text(text + BASE.format(bind=bind))
    file.chmod(mode)
    return file


@pytest.mark.usefixtures("open_place")
class TestUnit:
    """The unit of a program that everybody can read."""

    def test_where_all_can_be_read_by_everybody_systemd_makes_the_user(
        self, l4lb: L4lb, tmp_path: Path
    ) -> None:
        found = said(l4lb, written(tmp_path))
        assert found["DynamicUser"] == ["yes"]
        assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == [""]
        assert "User" not in found

    def test_what_only_root_can_read_is_read_by_a_root_without_rights(
        self, l4lb: L4lb, tmp_path: Path
    ) -> None:
        found = said(l4lb, written(tmp_path, bind="127.0.0.1:443", mode=0o600))
        assert found["User"] == (["root"] if os.geteuid() == 0 else [pwd.getpwuid(os.geteuid())[0]])
        assert found["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]
        assert "DynamicUser" not in found

    @root
    def test_a_group_that_can_read_it_is_lent_to_the_user(self, l4lb: L4lb, tmp_path: Path) -> None:
        file = written(tmp_path, mode=0o640)
        os.chown(file, 0, 65_533)
        found = said(l4lb, file)
        assert (found["DynamicUser"], found["SupplementaryGroups"]) == (["yes"], ["65533"])

    @root
    def test_files_of_one_user_are_read_by_that_user(self, l4lb: L4lb, tmp_path: Path) -> None:
        file = written(tmp_path, mode=0o600)
        os.chown(file, pwd.getpwnam("nobody").pw_uid, 0)
        assert said(l4lb, file)["User"] == ["nobody"]

    def test_the_configured_user_is_the_units(self, l4lb: L4lb, tmp_path: Path) -> None:
        found = said(l4lb, written(tmp_path, '[process]\nuser = "nobody"\n'))
        assert found["User"] == ["nobody"]

    @root
    def test_a_configured_user_who_cannot_read_it_is_become_by_root(
        self, l4lb: L4lb, tmp_path: Path
    ) -> None:
        found = said(l4lb, written(tmp_path, '[process]\nuser = "nobody"\n', mode=0o600))
        assert "User" not in found
        assert "CAP_SETUID" in found["CapabilityBoundingSet"][0]
        assert "@setuid" in found["SystemCallFilter"][-1]

    @pytest.mark.parametrize(
        ("bind", "more", "rights"),
        [
            ("127.0.0.1:80", "", "CAP_NET_BIND_SERVICE"),
            ("127.0.0.1:1020-1030", "", "CAP_NET_BIND_SERVICE"),
            ("127.0.0.1:1024", "", ""),
            ("127.0.0.1:8080", '[process]\nhttp = "127.0.0.1:90"\n', "CAP_NET_BIND_SERVICE"),
            ("127.0.0.1:80", "mark", "CAP_NET_BIND_SERVICE CAP_NET_RAW"),
            ("unix:/run/web/x", "owner", "CAP_CHOWN"),
            ("127.0.0.1:8080", PACKET, "CAP_BPF CAP_NET_ADMIN"),
            ("127.0.0.1:8080", PACKET + 'shield = "off"\n', "CAP_BPF CAP_NET_ADMIN"),
        ],
    )
    def test_it_has_the_rights_that_its_keys_need(
        self, l4lb: L4lb, tmp_path: Path, bind: str, more: str, rights: str
    ) -> None:
        file = written(tmp_path, more if "[" in more else "", bind)
        if more == "mark":
            file.write_text(file.read_text() + "mark = 1\n")
        if more == "owner":
            file.write_text(file.read_text().replace("pool =", 'owner = "nobody"\npool =', 1))
        found = said(l4lb, file)
        assert found["AmbientCapabilities"] == found["CapabilityBoundingSet"] == [rights]

    def test_times_limits_and_folders_are_those_of_the_file(
        self, l4lb: L4lb, tmp_path: Path
    ) -> None:
        text = (
            '[process]\ndrain_timeout = "5m"\nadmin = "/run/one/two/admin.sock"\n'
            'log = { access = "/var/log/web/a.log" }\n[limits]\nmax_connections = 500000\n'
        )
        found = said(l4lb, written(tmp_path, text, bind="unix:/srv/x/y.sock"))
        assert found["TimeoutStopSec"] == [str(300 + unit.STOP_MARGIN_S)]
        assert int(found["LimitNOFILE"][0]) > 1_000_000
        assert found["RuntimeDirectory"] == ["l4lb one/two"]
        assert found["LogsDirectory"] == ["l4lb web"]
        assert found["ReadWritePaths"] == ["/srv/x"]
        assert found["RuntimeDirectoryMode"] == ["0750"]

    def test_the_folders_of_caches_are_made_or_can_be_written(
        self, l4lb: L4lb, tmp_path: Path
    ) -> None:
        assert "CacheDirectory" not in said(l4lb, written(tmp_path))
        text = "".join(
            f'[cache.{name}]\ndisk = {{ path = "{path}", size = "1GiB" }}\n'
            for name, path in (("a", "/var/cache/l4lb/a"), ("b", "/srv/b"), ("c", "/var/cache/c"))
        )
        found = said(l4lb, written(tmp_path, text))
        assert found["CacheDirectory"] == ["c l4lb/a"]
        assert found["CacheDirectoryMode"] == ["0700"]
        assert found["ReadWritePaths"] == ["/srv/b"]

    def test_clients_come_to_sockets_in_its_folder_below_run(
        self, l4lb: L4lb, tmp_path: Path
    ) -> None:
        found = said(l4lb, written(tmp_path, bind="unix:/run/web/x.sock"))
        assert (found["RuntimeDirectory"], found["RuntimeDirectoryMode"]) == (
            ["l4lb web"],
            ["0755"],
        )

    def test_what_is_below_a_home_or_tmp_is_seen(
        self, l4lb: L4lb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert said(l4lb, written(tmp_path))["ProtectHome"] == ["yes"]
        monkeypatch.setattr(unit, "_places", lambda: ("/home/bob/l4lb/.venv/bin",))
        found = said(l4lb, written(tmp_path))
        assert found["ProtectHome"] == ["read-only"]
        if str(tmp_path).startswith("/tmp/"):
            assert found["BindReadOnlyPaths"] == [str(tmp_path)]


def test_a_file_that_is_wrong_has_no_unit(l4lb: L4lb, tmp_path: Path) -> None:
    file = tmp_path / "l4lb.toml"
    file.write_text("[proces]\n")
    done = l4lb("unit", "-c", str(file))
    assert (done.status, done.out) == (2, "")
    assert "did you mean" in done.err


def test_a_file_that_is_not_there_is_told(l4lb: L4lb, tmp_path: Path) -> None:
    done = l4lb("unit", "-c", str(tmp_path / "none.toml"))
    assert done.status == 0
    assert "none.toml is not there" in done.err
