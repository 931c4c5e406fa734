"""Pages of rules: what clients get that a rule refuses."""

from __future__ import annotations

from pathlib import Path

from ..harness import run
from .proxy import ALL, Tunnel, ask, proxy


def test_a_client_that_a_rule_refuses_gets_the_page_of_the_rule(tmp_path: Path) -> None:
    page, ours = tmp_path / "blocked.html", tmp_path / "errors"
    page.write_text("<p>no ads</p>")
    ours.mkdir()
    (ours / "403.txt").write_text("not allowed")
    rules = [
        {"name": "ads", "domain": "ads.example", "action": "deny", "page": str(page)},
        {"name": "others", "domain": "others.example", "action": "deny"},
        ALL,
    ]
    with proxy(rules=rules, inside=False, http={"errors": str(ours)}) as lb:
        refused = ask(lb, "http://ads.example/<script>")
        assert (refused.status, refused.body) == (403, b"<p>no ads</p>")
        assert refused.get("content-type") == "text/html; charset=utf-8"
        with Tunnel(lb, "ads.example:443") as tunnel:
            assert tunnel.status == 403
            assert tunnel.read(len(b"<p>no ads</p>")) == b"<p>no ads</p>"
        assert ask(lb, "http://others.example/").body == b"not allowed"
        assert ask(lb, "http://127.0.0.1/").body == b"not allowed", "no rule refuses it"
        page.write_text("<p>none at all</p>")
        lb.admin("reload")
        assert ask(lb, "http://ads.example/").body == b"<p>none at all</p>"
        page.unlink()
        assert lb.config is not None
        done = run("admin", "--socket", lb.socket, "reload")
        assert done.returncode == 2
        assert f"cannot read the error page {page}" in done.stderr
        assert ask(lb, "http://ads.example/").body == b"<p>none at all</p>"
