"""Error pages: which files of a folder they are, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from l4lb.config import bounds
from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.errors import ConfigError, L4lbError
from l4lb.http import pages
from l4lb.http.texts import Page


def test_a_file_named_after_a_status_is_its_page(tmp_path: Path) -> None:
    (tmp_path / "502.html").write_text("<p>away</p>")
    (tmp_path / "429.json").write_text("{}")
    (tmp_path / "503.txt").write_text("later\n")
    for name in ("200.html", "502.html~", "50x.html", "600.html", "readme", "502.png"):
        (tmp_path / name).write_text("no page")
    assert pages.read(str(tmp_path)) == {
        429: Page("application/json", b"{}"),
        502: Page("text/html; charset=utf-8", b"<p>away</p>"),
        503: Page("text/plain; charset=utf-8", b"later\n"),
    }


def test_a_page_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(L4lbError, match="No such file"):
        pages.read(str(tmp_path / "missing"))
    (tmp_path / "500.html").write_bytes(bytes(bounds.ERROR_PAGE_BYTES_MAX + 1))
    with pytest.raises(L4lbError, match=r"500\.html is larger than 64KiB"):
        pages.read(str(tmp_path))
    (tmp_path / "500.html").unlink()
    os.mkfifo(tmp_path / "502.html")  # nobody waits for who writes into it
    with pytest.raises(L4lbError, match=r"502\.html is no file"):
        pages.read(str(tmp_path))


def test_two_pages_for_one_status_and_too_many_pages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "502.html").touch()
    (tmp_path / "502.txt").touch()
    with pytest.raises(L4lbError, match="another page for the status 502"):
        pages.read(str(tmp_path))
    (tmp_path / "502.txt").unlink()
    for status in range(400, 400 + bounds.ERROR_PAGES_MAX):
        (tmp_path / f"{status}.html").touch()
    with pytest.raises(L4lbError, match="more than 32 error pages"):
        pages.read(str(tmp_path))


def test_a_check_names_the_key_of_a_folder_that_cannot_be_read() -> None:
    listener = {
        "bind": ["127.0.0.1:1"],
        "protocol": "http",
        "pool": "a",
        "http": {"errors": "/nonexistent/pages"},
    }
    config = build(
        {"listeners": {"web": listener}, "pools": {"a": {"backends": ["127.0.0.1:2"]}}}, Origin()
    )
    with pytest.raises(ConfigError) as caught:
        pages.check(config)
    (problem,) = caught.value.problems
    assert problem.key == "listeners.web.http.errors"
    assert "/nonexistent/pages" in problem.message


def test_a_check_names_the_rule_whose_page_cannot_be_read(tmp_path: Path) -> None:
    good = tmp_path / "blocked.html"
    good.write_bytes(b"no")
    (tmp_path / "blocked.exe").touch()
    paths = (str(good), "/nonexistent/blocked.html", str(tmp_path / "blocked.exe"))
    rules = [
        {"name": f"rule{number}", "action": "deny", "port": number + 1, "page": path}
        for number, path in enumerate(paths)
    ]
    listener = {"bind": ["127.0.0.1:1"], "protocol": "http", "forward": "office"}
    data = {"listeners": {"web": listener}, "forward": {"office": {"rules": rules}}}
    with pytest.raises(ConfigError) as caught:
        pages.check(build(data, Origin()))
    gone, odd = caught.value.problems
    assert gone.key == "forward.office.rules[1].page"
    assert "/nonexistent/blocked.html" in gone.message
    assert odd.key == "forward.office.rules[2].page"
    assert "must end with .html, .json, .txt" in odd.message
    assert pages.read_page(str(good)) == Page("text/html; charset=utf-8", b"no")
