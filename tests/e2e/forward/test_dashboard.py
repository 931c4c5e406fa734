"""The part of the dashboard for forward proxies, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..harness import PORTS, until
from ..harness.browser import browser, console
from .proxy import ALL, ask, proxy


def cells(page: Any, table: str, row: str) -> list[str]:
    return [one.text for one in page.find_elements("css selector", f"#{table} {row} > *")]


def test_forward_proxies_are_shown_with_what_was_asked_of_them_most(tmp_path: Path) -> None:
    (tmp_path / "ads").write_text("ads.example\n")
    rules = [{"name": "ads", "list": "ads", "action": "deny"}, ALL]
    lb = proxy(rules=rules, lists={"ads": {"files": [str(tmp_path / "ads")]}})
    assert lb.config
    lb.config["process"]["http"] = f"127.0.0.1:{PORTS.take()}"
    with lb, browser() as page:
        for _ in range(3):
            assert ask(lb, "http://ads.example/").status == 403
        page.get(f"http://{lb.config['process']['http']}/")
        shown = page.find_element("id", "forward-s")
        until(lambda: shown.is_displayed(), "forward proxies are shown")
        until(lambda: cells(page, "denied", "tbody tr")[:1] == ["ads.example"], "who was refused")
        assert cells(page, "denied", "tbody tr") == ["ads.example", "3", "ads"]
        assert cells(page, "forwards", "tbody tr")[:1] == ["office"]
        until(lambda: cells(page, "forwards", "tbody tr")[5] == "3", "they are refused by a rule")
        assert cells(page, "lists", "tbody tr")[:2] == ["ads", "1"]
        assert not page.find_element("id", "users").is_displayed(), "nobody has logged in"
        assert "0 waiting" in page.find_element("id", "policy").text
        assert not console(page)
