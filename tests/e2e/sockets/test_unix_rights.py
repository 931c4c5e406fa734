"""Rights of a listener's unix socket: mode, owner and group of its file, from the first moment."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import Backends, Balancer, one_pool, run, toml


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(1) as running:
        yield running


def rights(path: Path) -> tuple[int, str, str]:
    found = path.lstat()
    owner, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    return stat.S_IMODE(found.st_mode), owner, group


def config(path: Path, backends: Backends, **more: Any) -> dict[str, Any]:
    made = one_pool(f"unix:{path}", backends.addresses, process={"workers": 1})
    made["listeners"]["web"] |= more
    return made


def test_the_file_has_its_mode_from_the_start_after_reloads_and_an_upgrade(
    backends: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "app.sock"
    me = rights_of_mine()
    with Balancer(config(path, backends, mode="0640")) as lb:
        assert lb.config is not None
        assert rights(path) == (0o640, *me)
        inode = path.stat().st_ino
        lb.config["listeners"]["web"]["mode"] = "666"
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        assert rights(path) == (0o666, *me)
        lb.admin("upgrade")
        assert (rights(path), path.stat().st_ino) == ((0o666, *me), inode)
        other = tmp_path / "other.sock"
        lb.config["listeners"]["more"] = {"bind": [f"unix:{other}"], "pool": "web", "mode": "0600"}
        del lb.config["listeners"]["web"]["mode"]
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        assert rights(other) == (0o600, *me)
        assert rights(path)[0] & 0o022 == 0, "as the umask leaves it"


def rights_of_mine() -> tuple[str, str]:
    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_the_file_to_a_user_and_a_group(backends: Backends, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    given = {"mode": "0660", "owner": "nobody", "group": group}
    with Balancer(config(path, backends, **given)) as lb:
        assert rights(path) == (0o660, "nobody", group)
        assert lb.config is not None
        lb.config["listeners"]["web"] |= {"owner": "0", "group": "0"}
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        assert rights(path) == (0o660, "root", "root")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("owner", "no-such-one", 'this host has no user "no-such-one"'),
        ("group", "no-such-one", 'this host has no group "no-such-one"'),
        ("mode", "0888", '"0888" is not a mode'),
        ("mode", 432, "432 is not a mode"),
    ],
)
def test_check_tells_what_cannot_be_with_its_line(
    backends: Backends, tmp_path: Path, key: str, value: object, told: str
) -> None:
    file = tmp_path / "l4lb.toml"
    made = config(tmp_path / "app.sock", backends, **{key: value})
    file.write_text(toml(made))
    (line,) = (
        number
        for number, text in enumerate(file.read_text().splitlines(), 1)
        if text.startswith(f"{key} = ")
    )
    done = run("check", "-c", str(file))
    assert done.returncode == 2
    assert f"{file}:{line}: listeners.web.{key}: {told}" in done.stderr
