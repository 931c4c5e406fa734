"""The file source: the watched file is replaced, rewritten, broken, removed."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

from l4lb.discovery.types import Member
from tests.unit.discovery.conftest import following


def addresses(*ports: int) -> list[str]:
    return [f"10.0.0.1:{port}" for port in ports]


def replace(path: Path, ports: list[int]) -> None:
    """Replaces a file as a careful program does: by renaming a new file over it."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(addresses(*ports)))
    os.replace(beside, path)


def test_each_replacement_is_told_and_a_touch_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    replace(path, [1])
    with following(type="file", path=str(path)) as source:
        assert source.addresses() == addresses(1)
        replace(path, [1, 2])
        source.until(*addresses(1, 2))
        os.utime(path)
        replace(path, [1, 2])
        assert source.addresses() == addresses(1, 2)
        replace(path, [3])
        source.until(*addresses(3))


def test_toml_and_a_file_written_in_place(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text('backends = ["10.0.0.1:1"]\n')
    with following(type="file", path=str(path)) as source:
        assert source.addresses() == addresses(1)
        path.write_text('backends = [{ address = "10.0.0.1:2", weight = 9 }]\n')
        source.until("10.0.0.1:2")
        path.write_text('backends = [{ address = "10.0.0.1:2", weight = 9 }]\n# more\n')
        assert source.next() == [Member("10.0.0.1:2", weight=9)]


def test_a_link_that_is_turned_to_another_file_is_seen(tmp_path: Path) -> None:
    for version in (1, 2):
        (tmp_path / f"v{version}").mkdir()
        replace(tmp_path / f"v{version}" / "b.json", [version])
    (tmp_path / "now").symlink_to("v1")
    (tmp_path / "b.json").symlink_to("now/b.json")
    with following(type="file", path=str(tmp_path / "b.json")) as source:
        assert source.addresses() == addresses(1)
        (tmp_path / "new").symlink_to("v2")
        os.replace(tmp_path / "new", tmp_path / "now")
        source.until(*addresses(2))
        replace(
            tmp_path / "v2" / "b.json", [3]
        )  # the folder that the link leads to now is watched too
        source.until(*addresses(3))


def test_a_folder_that_is_made_anew_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "conf" / "b.json"
    path.parent.mkdir()
    replace(path, [1])
    (tmp_path / "next").mkdir()
    replace(tmp_path / "next" / "b.json", [2])
    with following(type="file", path=str(path), interval="200ms") as source:
        assert source.addresses() == addresses(1)
        path.parent.rename(tmp_path / "old")
        (tmp_path / "next").rename(path.parent)
        source.until(*addresses(2))
        replace(path, [3])
        source.until(*addresses(3))


def test_a_pipe_in_the_file_s_place_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.json")
    with following(type="file", path=str(tmp_path / "b.json"), interval="1h") as source:
        assert "no regular file" in source.fault()


def test_a_broken_or_missing_file_is_a_fault_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    with following(type="file", path=str(path)) as source:
        assert f"{path}: No such file" in source.fault()
    path.write_text("[")
    with following(type="file", path=str(path)) as source:
        assert "not JSON" in source.fault()
    with following(type="file", path=str(tmp_path / "no" / "b.json")) as source:
        assert "there is no folder" in source.fault()


def test_a_file_rewritten_a_thousand_times_ends_with_its_last_content(tmp_path: Path) -> None:
    chance = random.Random(4)
    path = tmp_path / "b.json"
    replace(path, [1])
    with following(type="file", path=str(path)) as source:
        assert source.addresses() == addresses(1)
        for _ in range(1_000):
            ports = sorted(chance.sample(range(1, 9_000), chance.randrange(1, 6)))
            if chance.random() < 0.5:
                replace(path, ports)
            else:
                path.write_text(json.dumps(addresses(*ports)))
            if chance.random() < 0.1:
                time.sleep(chance.random() * 0.01)
        replace(path, [9_999])
        source.until(*addresses(9_999))
