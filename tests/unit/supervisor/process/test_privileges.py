"""Users that a service may become, and folders that such a user can enter."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from l4lb.errors import L4lbError
from l4lb.supervisor.process.privileges import User

ME = pwd.getpwuid(os.geteuid())


def test_a_user_is_known_by_its_name() -> None:
    assert User.named(ME.pw_name) == User(ME.pw_name, ME.pw_uid, ME.pw_gid)


def test_a_user_of_no_name_is_an_error_with_a_remedy() -> None:
    with pytest.raises(L4lbError, match="useradd --system nobody-at-all"):
        User.named("nobody-at-all")


def test_only_root_becomes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(L4lbError, match="only root can become"):
        User.named("nobody")


def test_the_first_closed_folder_on_a_way_is_found(tmp_path: Path) -> None:
    stranger = User("nobody", 54_321, 54_321)
    way = tmp_path / "open" / "closed" / "inner"
    way.mkdir(parents=True)
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "open" / "closed").chmod(0o700)
    assert stranger.closed_part(str(way)) == str(tmp_path / "open" / "closed")
    assert stranger.closed_part(str(tmp_path / "open")) is None
