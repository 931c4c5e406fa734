"""TLS to servers, and the settings that TLS of both sides shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.importer.draft import Rank
from l4lb.importer.haproxy.proxy import Proxy, World
from l4lb.importer.haproxy.words import Line

VERSIONS = {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}


def min_version(text: str) -> str:
    """Returns the minimum TLS version; l4lb's oldest is 1.2."""
    return VERSIONS.get(text, "1.2")


def server_tls(proxy: Proxy, said: Mapping[str, str], line: Line) -> dict[str, Any] | None:
    """Returns the pool's tls table for the options of one server."""
    world = proxy.world
    words = {**{key: one.words[1] for key, one in _defaults(world).items()}, **said}
    found: dict[str, Any] = {}
    if words.get("verify") == "none" or ("verify" not in words and not world.verify_servers):
        found["verify"] = False
    elif words.get("ca-file") and not words["ca-file"].startswith("@"):
        found["ca"] = world.path("ca-base", words["ca-file"])
    _name(proxy, words, found, line)
    if "crt" in words:
        found["cert"] = world.path("crt-base", words["crt"])
    if "alpn" in words:
        found["alpn"] = words["alpn"].split(",")
    for key in ("ciphers", "ciphersuites"):
        if key in words:
            found[key] = words[key]
    if words.get("ssl-min-ver") == "TLSv1.3" or "force-tlsv13" in words or "no-tlsv12" in words:
        found["min_version"] = "1.3"
    if "no-ssl-reuse" in words:
        found["resume"] = False
    return found


def _defaults(world: World) -> dict[str, Line]:
    return {
        key: line if len(line.words) > 1 else Line(line.place, (key, ""))
        for key, line in world.server_tls.items()
    }


def _name(proxy: Proxy, words: Mapping[str, str], found: dict[str, Any], line: Line) -> None:
    """Converts the server name: HAProxy sends one, and verifies one, only if it is told to."""
    sni, wanted = words.get("sni", ""), words.get("verifyhost", "")
    if sni.startswith("str(") and sni.endswith(")"):
        wanted = sni[4:-1]
    elif sni:
        proxy.leave(Rank.DIFFERENT, "sni: one name for all sessions, or the backend's own", line)
    if wanted:
        found["server_name"] = wanted
    elif found.get("verify", True) and "ssl" in words:
        why = "the backend's certificate must be for its address here: see server_name"
        proxy.leave(Rank.DIFFERENT, why, line)
