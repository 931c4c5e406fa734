"""The order to the control process to follow discovery sources."""

from __future__ import annotations

from l4lb.config.model import Backend, Config
from l4lb.supervisor.reload import discovery
from l4lb.supervisor.reload.overlay import Overlay
from l4lb.supervisor.reload.source import Source

FILE = Config.model_validate({
    "listeners": {"l": {"bind": ["127.0.0.1:8080"], "pool": "web"}},
    "pools": {"web": {
        "backends": ["10.0.0.1:80"],
        "discovery": {"type": "file", "path": "/etc/l4lb/web.json"},
    }},
})  # fmt: skip


def test_what_an_operator_added_is_no_source_s() -> None:
    overlay = Overlay().with_added("web", Backend.model_validate({"address": "10.0.0.2:80"}))
    overlay = overlay.with_discovered("web", (Backend.model_validate({"address": "10.0.0.3:80"}),))
    order = discovery.order(Source("", FILE, overlay))
    assert order["own"] == {"web": ["10.0.0.1:80", "10.0.0.2:80"]}
    assert order["pools"]["web"]["path"] == "/etc/l4lb/web.json"
