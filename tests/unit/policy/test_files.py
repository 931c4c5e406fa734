"""Files of a forward proxy that change, or that cannot be read any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from l4lb.lists.build import NameList
from l4lb.policy.files import Books, Watched, list_of, signature, users_of
from l4lb.policy.operators import shown

# openssl passwd -apr1 -salt saltsalt secret
ALICE = "alice:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0\n"


def a_list(*files: Path) -> Watched[NameList]:
    return list_of(
        "ads",
        SimpleNamespace(files=list(map(str, files)), format="auto", subdomains=True, excepted=()),
    )


def removed(file: Path) -> None:
    file.unlink()


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def too_large(file: Path) -> None:
    os.truncate(file, 17 << 20)


BREAKS = [removed, a_pipe, endless]


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_list_whose_file_cannot_be_read_stays_as_it_was(
    tmp_path: Path, breaks: Callable[[Path], None]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("ads.example\n")
    second.write_text("other.example\n")
    watched = a_list(first, second)
    assert watched.look()
    breaks(first)
    assert not watched.look()
    assert watched.value is not None
    assert watched.value.has("ads.example")
    assert watched.value.has("other.example")


def test_a_list_begins_without_a_file_that_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "there"
    file.write_text("ads.example\n")
    watched = a_list(tmp_path / "absent", file)
    assert watched.look()
    assert watched.value is not None
    assert watched.value.has("ads.example")
    absent = f"{tmp_path / 'absent'}: "
    assert str(shown(watched)["error"]).startswith(absent)
    assert not Books(None, {"ads": watched}).is_whole("ads")
    (tmp_path / "absent").write_text("other.example\n")
    assert watched.look()
    assert shown(watched)["error"] is None
    assert Books(None, {"ads": watched}).is_whole("ads")


@pytest.mark.parametrize(
    "breaks",
    [
        *BREAKS,
        a_folder,
        too_large,
        lambda file: file.write_text(ALICE + "bob:$apr1$sal"),
        lambda file: file.write_text("mallory:secret\n"),
        lambda file: file.write_bytes(b"\xff:" + ALICE.encode()),
    ],
)
def test_users_whose_file_cannot_be_used_stay_as_they_were(
    tmp_path: Path, breaks: Callable[[Path], object]
) -> None:
    file = tmp_path / "users"
    file.write_text(ALICE)
    watched = users_of("office", str(file), None)
    assert watched.look()
    breaks(file)
    assert not watched.look()
    assert watched.value is not None
    assert watched.value.verify("alice", "secret")
    assert set(watched.value.hashes) == {"alice"}


def test_other_rights_of_a_file_are_a_change(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(ALICE)
    os.utime(file, ns=(1, 1))
    before = signature([str(file)])
    file.chmod(0o600)
    assert signature([str(file)]) != before


def test_a_folder_that_may_not_be_read_is_a_change_and_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "domains").write_text("ads.example\n")
    before = signature([str(tmp_path)])

    def refused(_: str) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "scandir", refused)
    assert signature([str(tmp_path)]) != before
