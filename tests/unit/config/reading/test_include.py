"""Configurations in several files: merged, with every error at its own file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from l4lb.config import bounds, plain
from l4lb.config.reading import include, parse
from l4lb.errors import ConfigError

LISTENER = '[listeners.web]\nbind = ["127.0.0.1:1"]\npool = "web"\n'
POOL = '[pools.web]\nbackends = ["127.0.0.1:2"]\n'


def write(folder: Path, **files: str) -> str:
    """Writes files by name (two underscores are a slash). Returns the path of main."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(folder / "main.toml")


def problems(path: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse.load(path)
    return [str(one) for one in error.value.problems]


def test_tables_of_several_files_are_one_configuration(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='include = ["pools/*.toml", "more.toml"]\n' + LISTENER,
        pools__a=POOL,
        pools__b='[pools.other]\nbackends = ["127.0.0.1:3"]\n',
        more='[pools.web.health]\ninterval = "5s"\n[process]\nworkers = 3\n',
    )
    config = parse.load(main)
    assert sorted(config.pools) == ["other", "web"]
    assert config.pools["web"].health is not None
    assert config.pools["web"].health.interval_ms == 5_000
    assert config.process.workers == 3


def test_what_is_put_together_is_written_out_as_one_file(tmp_path: Path) -> None:
    main = write(tmp_path, main='include = ["p.toml"]\n' + LISTENER, p=POOL)
    whole = tmp_path / "whole.toml"
    whole.write_text(LISTENER + POOL)
    assert plain.to_plain(parse.load(main)) == plain.to_plain(parse.load(str(whole)))


def test_a_fault_is_told_with_the_file_it_stands_in(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='include = ["p.toml"]\n' + LISTENER + "[process]\nworkers = 0\n",
        p=POOL + 'balnce = "x"\n',
    )
    found = problems(main)
    assert len(found) == 2
    assert any(f"{main}:6: process.workers" in one for one in found)
    assert any(f"{tmp_path}/p.toml:3: pools.web.balnce" in one for one in found)


def test_a_missing_pool_is_told_where_it_is_named(tmp_path: Path) -> None:
    main = write(tmp_path, main='include = ["l.toml"]\n' + POOL, l=LISTENER.replace('"web"', '"x"'))
    (told,) = problems(main)
    assert told.startswith(f"{tmp_path}/l.toml:3: listeners.web.pool: no pool is named")


def test_a_value_said_twice_is_an_error_that_names_both(tmp_path: Path) -> None:
    main = write(tmp_path, main='include = ["p.toml"]\n' + LISTENER + POOL, p=POOL)
    (told,) = problems(main)
    assert told == (
        f"{tmp_path}/p.toml:2: pools.web.backends: pools.web.backends is said in {main}:6"
        " already (keep one of the two)"
    )


def test_a_loop_is_told_as_a_loop(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='include = ["a.toml"]\n' + LISTENER + POOL,
        a='include = ["b.toml"]\n',
        b='include = ["a.toml"]\n',
    )
    (told,) = problems(main)
    a, b = tmp_path / "a.toml", tmp_path / "b.toml"
    assert told == f"{b}:1: include[0]: an include loop: {a} -> {b} -> {a}"


def test_a_loop_over_a_link_is_found(tmp_path: Path) -> None:
    os.symlink("main.toml", tmp_path / "link.toml")
    (told,) = problems(write(tmp_path, main='include = ["link.toml"]\n' + LISTENER + POOL))
    assert "an include loop" in told


def test_one_file_included_twice_side_by_side_is_no_loop_but_says_it_twice(tmp_path: Path) -> None:
    main = write(tmp_path, main='include = ["p.toml", "p.toml"]\n' + LISTENER, p=POOL)
    assert any("is said in" in one for one in problems(main))


def test_a_missing_file_is_an_error_and_an_empty_pattern_is_none(tmp_path: Path) -> None:
    main = write(tmp_path, main='include = ["none/*.toml"]\n' + LISTENER + POOL)
    assert parse.load(main).pools
    (told,) = problems(write(tmp_path, main='include = ["none.toml"]\n' + LISTENER + POOL))
    assert "include[0]" in told
    assert "cannot be read: No such file" in told


def test_every_broken_file_is_told_at_once(tmp_path: Path) -> None:
    main = write(tmp_path, main='include = ["a.toml", "b.toml"]\n', a="x =", b="= y\n")
    found = problems(main)
    assert [one.split(":")[0] for one in found] == [f"{tmp_path}/a.toml", f"{tmp_path}/b.toml"]


@pytest.mark.parametrize("value", ['"x.toml"', "1", "[1]", '[""]', '["a\\u0000b"]', "[[]]"])
def test_an_include_that_is_none_is_an_error(tmp_path: Path, value: str) -> None:
    (told,) = problems(write(tmp_path, main=f"include = {value}\n" + LISTENER + POOL))
    assert "main.toml:1: include" in told


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(include, "INCLUDES_MAX", 3)
    (tmp_path / "d").mkdir()
    for number in range(9):
        (tmp_path / "d" / f"{number}.toml").write_text("")
    (told,) = problems(write(tmp_path, main='include = ["d/*.toml"]\n' + LISTENER + POOL))
    assert "more than 3 files are included" in told


def test_the_bytes_of_all_files_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(include, "FILE_BYTES_MAX", 1 << 20)
    main = write(
        tmp_path,
        main='include = ["a.toml", "b.toml"]\n' + LISTENER + POOL,
        a="#" * 600_000,
        b="#" * 600_000,
    )
    (told,) = problems(main)
    assert "more than 1 MiB are included" in told


def test_a_deep_chain_of_files_is_read(tmp_path: Path) -> None:
    for number in range(bounds.INCLUDES_MAX - 1):
        (tmp_path / f"{number}.toml").write_text(f'include = ["{number + 1}.toml"]\n')
    (tmp_path / f"{bounds.INCLUDES_MAX - 1}.toml").write_text(POOL)
    assert parse.load(write(tmp_path, main='include = ["0.toml"]\n' + LISTENER)).pools
