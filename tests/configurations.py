"""Random configurations, made from the schema: over many of them every table and every key occurs.

Each value is valid by itself. Values that contradict each other are removed again, until the
configuration is valid.

This file is long. why: it is one table of examples, which has a row for each key.
"""

from __future__ import annotations

import copy
import random
from typing import Any

from pydantic import ValidationError

from l4lb.config import explain
from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.position import Path
from l4lb.config.rules import checks
from l4lb.config.schema import json_schema
from l4lb.config.units import DURATION, PERCENT, SIZE

UNITS = {unit.name: unit for unit in (DURATION, PERCENT, SIZE)}
NAMES = ("web", "a.b", 'x"y', "é", "${x}", "127.0.0.1:9")
ODD = ("plain", "${HOME}", "$${x}", "a\\b\"c'd", "\t\r\n é \x7f", "$", "${", "hex:00ff")
POOL_OF = ("web", "é", "${x}")
CACHES = ("web", "${x}")
FORWARDS = ("office", "${x}")
LISTS = ("ads", "é")
ENGINES = ("av", "${x}")
RECORDS = ("faults", "${x}")
# The names in tables that have any: those that others name.
FREE = {"listeners": NAMES[:2], "cache": CACHES, "forward": FORWARDS, "lists": LISTS,
        "icap": ENGINES, "record": RECORDS}  # fmt: skip

# All conditions of a rule about requests.
CONDITIONS: dict[str, Any] = {
    "method": "GET",
    "host": "a.example",
    "path": "/x",
    "path_prefix": ["/a/"],
    "path_suffix": ".exe",
    "path_regex": "^/b",
    "scheme": "http",
    "header": {"X-A": "2*"},
    "cookie": {"a": ""},
    "query": {"${x}": "b c"},
    "source": "10.0.0.0/8",
}

# Values for keys whose schema does not say what is allowed, by the end of the key's path.
EXAMPLES: dict[str, tuple[Any, ...]] = {
    "include": ([],),
    "process.admin": ("/tmp/a.sock", "/run/${x}/b"),
    "process.http": ("127.0.0.1:9180", "[::1]:1", "name.example:80"),
    "process.user": ("root", "nobody"),
    "process.hash_seed": ODD,
    "process.log.access": ("stdout", "/var/log/${x}"),
    "process.log.syslog": ("unix:/dev/log", "udp://127.0.0.1:514"),
    "http_hosts": (["a.example"], ["a", "b"]),
    "http_token_file": ("/etc/token",),
    "process.packet.pins": ("/sys/fs/bpf/l4lb", "/sys/fs/bpf/${x}"),
    "hash_key": (
        "source_ip",
        "source_mac",
        "sni",
        "quic_cid",
        "header:X-User",
        "query:${x}",
        "path",
    ),
    "sticky.key": ("source_ip", "sni", "cookie:sid", "host"),
    "interface": ("eth0", "${x}"),
    "interfaces[]": ("eth0", "eth1"),
    "dscp": (0, 46, "af41"),
    "owner": ("root", "0"),
    "group": ("root", "0"),
    "mode": ("0660", "0600"),
    "bind": (["127.0.0.1:1000-1003"], ["[::]:80", "name.example:81"], ["unix:/run/${x}"]),
    "listeners.NAME.pool": POOL_OF,
    "routes[].pool": POOL_OF,
    "listeners.NAME.routes": (
        [{"sni": "a.example", "pool": "web"}, {"percent": 5, "source": "::/0", "pool": "é"}],
        [{"alpn": ["h2", "http/1.1"], "pool": "${x}"}],
        [{"source_mac": "02:00:00:00:00:01", "pool": "web"}, {"percent": 5, "pool": "é"}],
        [
            {"host": "a.example", "path_prefix": "/a/", "rewrite_prefix": "/", "pool": "web"},
            {"path": "/b", "redirect": "https://{host}/c", "status": 308, "method": "GET"},
            {
                "path_regex": "[.]php$",
                "path_suffix": [".css"],
                "respond": {"status": 404, "body": "${x}"},
                "name": "é",
            },
        ],
        [
            {"scheme": "https", "respond": {"file": "/etc/a", "content_type": "text/html"}},
            {
                "header": {"X-A": "2*"},
                "cookie": {"a": ["1", ""]},
                "query": {"${x}": "b c"},
                "set_request_headers": {"X-B": "${x}"},
                "remove_request_headers": "X-C",
                "set_response_headers": {"X-D": ""},
                "remove_response_headers": ["Server", "Via"],
                "timeout": "1h",
                "cache": "web",
                "limits": {
                    "requests": {"limit": 5, "burst": 10, "status": 503, "dry_run": True},
                    "requests_per_source": {"limit": 1, "burst": 2, "status": 420, "dry_run": True},
                    "requests_per_key": {
                        "key": "query:${x}",
                        "limit": 1,
                        "burst": 2,
                        "status": 420,
                        "dry_run": True,
                    },
                },
                "pool": "é",
            },
        ],
        [{"host": ["*.example", "[::1]"], "limits": {"requests": 7}, "pool": "web"}],
    ),
    "errors_per_source.statuses": ([404, "500-503"], ["400-499"]),
    "requests_per_key.key": ("header:X-User", "query:${x}", "path"),
    "filter.methods": (["GET"], "PURGE"),
    "filter.rules": (
        [
            {"name": "a", "path": "/x", "action": "tarpit", "dry_run": True},
            {"name": "${x}", "user_agent": ["", "*bot*"], "action": "deny", "status": 404},
            {"name": "b", "body_over": "1MiB", "query_length": "2KiB", "action": "log"},
            {"name": "c", "header_count": 50, "action": "limit", "limit": 5, "burst": 10},
        ],
        [
            {
                "name": "é",
                "host": "a.example",
                "path_prefix": ["/a/"],
                "path_suffix": ".php",
                "path_regex": "^/b",
                "method": "GET",
                "scheme": "http",
                "header": {"X-A": "2*"},
                "cookie": {"a": ["1", ""]},
                "query": {"${x}": "b c"},
                "source": "10.0.0.0/8",
                "sni": "a.example",
                "action": "deny",
            }
        ],
        [],
    ),
    "routes[].name": ("static", "é"),
    "routes[].host": ("a.example", ["*.example", "[::1]"]),
    "routes[].path": ("/login", ["/a", "/b c"]),
    "routes[].path_prefix": ("/static/", ["/a", "/b"]),
    "routes[].path_suffix": (".css", [".js", ".png"]),
    "routes[].path_regex": ("^/user/[0-9]+$", ["a|b", "c"]),
    "routes[].method": ("GET", ["GET", "PURGE"]),
    "routes[].scheme": ("https", ["http", "https"]),
    "routes[].header": ({"X-Version": "2*"}, {"A": ["b", ""]}),
    "routes[].cookie": ({"beta": "1"},),
    "routes[].query": ({"a b": "*"},),
    "routes[].redirect": ("/new/", "https://{host}{path}"),
    "routes[].respond": ({"status": 404},),
    "routes[].rewrite_prefix": ("/", "/app/"),
    "routes[].set_request_headers": ({"X-A": "b"},),
    "routes[].remove_request_headers": ("Cookie", ["A", "B"]),
    "routes[].set_response_headers": ({"X-A": "b"},),
    "routes[].remove_response_headers": ("Server", ["A", "B"]),
    "routes[].limits": ({"requests": 5},),
    "routes[].sni": ("a.example", ["*.example", "*"]),
    "alpn": (["h2", "${x}"], []),
    "routes[].alpn": ("h2", ["h2", "http/1.1"]),
    "routes[].source_mac": ("02:00:00:00:00:01", ["00:00:5e:00:53:af"]),
    "routes[].source": ("10.0.0.0/8", ["::/0", "127.0.0.1"]),
    "percent": (5, 0.1, "100%"),
    "cert": ("/etc/${x}.pem",),
    "key": ("/etc/key.pem",),
    "ca": ("/etc/ca.pem",),
    "ciphers": ("ECDHE+AESGCM",),
    "ciphersuites": ("TLS_AES_128_GCM_SHA256",),
    "trusted": (["10.0.0.0/8"], []),
    "allow": (["10.0.0.0/8"], []),
    "deny": (["10.0.0.0/8", "::1"], []),
    "allow_file": ("/etc/allow",),
    "deny_file": ("/etc/deny",),
    "hash_prefix": ([24, 64], [32, 128]),
    "prefix": ([24, 64], [32, 128]),
    "log.mask_client": ([24, 48], [32, 128]),
    "source_prefix": ([24, 64], [32, 64]),
    "hash_balance_factor": ("150%", 1.5),
    "maglev_size": (65537, 251),
    "pools.NAME.source": ("127.0.0.1", ["127.0.0.1", "127.0.0.2"], []),
    "proxy_tlvs": (["authority", "alpn"], [], ["received"]),
    "backends[].address": ("127.0.0.1:90", "[::1]:90", "name.example:90", "unix:/run/${b}"),
    "backends[].name": NAMES,
    "server_id": ("0a", "0B"),
    "alert": (["/bin/true", "${x}"],),
    "discovery.name": ("web.example", "_http._tcp.example"),
    "servers": (["127.0.0.1:53"],),
    "discovery.path": ("/etc/backends.json",),
    "discovery.command": (["/bin/find", "$${x}"],),
    "discovery.url": ("http://127.0.0.1:8500/?a=${b}",),
    "tag": ("blue", "${x}"),
    "discovery.prefix": ("/web/", "${x}"),
    "token_file": ("/etc/token",),
    "health.address": ("127.0.0.1",),
    "health.source": ("127.0.0.1",),
    "send": ODD,
    "expect": ("PONG", "regex:^\\+${x}|", "hex:00 ff", "${HOME}"),
    "method": ("GET", "HEAD"),
    "health.path": ("/", "/a?b=${c}"),
    "health.host": ("a.example",),
    "headers": (["X-Token: ${x}", "A: b"],),
    "health.status": ([200, "300-399"], ["200-399"]),
    "body": ("ok|${x}", "^$$"),
    "health.sni": ("a.example",),
    "server_name": ("a.example",),
    "health.query": ("a.example.", "b.example."),
    "health.record": ("NS", "A"),
    "rcode": (["NOERROR"], ["NOERROR", "NXDOMAIN"]),
    "health.command": (["/bin/check", "${x} ${y:-z}"],),
    "factor": (1.5, 3),
    "http.request_id": ("off", "X-Id", "X-Request-Id"),
    "http.via": ("off", "l4lb"),
    "http.hide": (["Server"], [], ["Server", "X-Powered-By", "X-AspNet-Version", "Via"]),
    "http.errors": ("/etc/errors/${x}",),
    "http.retry_on": (["connect", "502"], [], ["connect", "reuse"]),
    "sticky.cookie.name": ("l4lb", "backend"),
    "sticky.cookie.path": ("/", "/app"),
    "http.host": ("keep", "backend", "app.example:8080"),
    "http.cache": ("off", *CACHES),
    "forward.NAME.cache": ("off", *CACHES),
    "routes[].cache": ("off", *CACHES),
    "http.inspect": (
        [
            {
                "name": "a",
                "icap": "${x}",
                "what": "answers",
                "on_failure": "allow",
                **CONDITIONS,
            }
        ],
        [{"name": "é", "icap": "av", "what": ["requests"]}, {"name": "${x}", "icap": "av"}],
        [],
    ),
    "http.record": (
        [
            {
                "name": "a",
                "record": "${x}",
                "percent": 0.5,
                **CONDITIONS,
            }
        ],
        [{"name": "é", "record": "faults"}, {"name": "${x}", "record": "faults"}],
        [],
    ),
    "record.NAME.folder": ("/var/lib/l4lb/a", "/srv/${x}/b"),
    "record.NAME.statuses": ([500, "501-599"], 404),
    "record.NAME.mask_fields": (["X-Api-Key"], []),
    "record.NAME.mask_values": (["password"], [], ["${x}", "é"]),
    "icap.NAME.url": ("icap://127.0.0.1/scan", "icap://[::1]:1345/a?b=${c}"),
    "cache.NAME.max_object": ("1KiB", "10000B"),
    "cache.NAME.disk.path": ("/var/cache/l4lb", "/srv/${x}/pages/"),
    "cache.NAME.disk.size": ("16MiB", "20GiB", "64TiB"),
    "cache.NAME.disk.max_object": ("64KiB", "1MiB"),
    "cache.NAME.key": (["path"], ["host", "path"], ["scheme", "host", "path", "query"]),
    "cache.NAME.ignore_query": (["utm_*", "${x}"], [], "fbclid"),
    "cache.NAME.ignore_cookies": (["_ga*"], []),
    "cache.NAME.default_ttl": ("0s", "1m"),
    "cache.NAME.max_ttl": ("1s", "30d"),
    "cache.NAME.stale_while_revalidate": ("0s", "10s"),
    "cache.NAME.stale_if_error": ("0s", "1d"),
    "cache.NAME.purge.networks": (["127.0.0.0/8"], "10.0.0.1"),
    "cache.NAME.purge.method": ("PURGE", "BAN"),
    "cache.NAME.tags": ("Cache-Tag", "Surrogate-Key", "off"),
    "cache.NAME.status": ("Cache-Status", "X-Cache", "off"),
    "cache.NAME.statuses": ({"404": "10s"}, {"301": "1h", "503": "1s"}, {}),
    "cache.NAME.cdn_cache_control": (["CDN-Cache-Control"], []),
    "listeners.NAME.forward": FORWARDS,
    "forward.NAME.connect_ports": ([443], 8443, "1-65535"),
    "forward.NAME.ports": ([80, "8000-8999"],),
    "forward.NAME.allow_private": (["10.20.0.0/16"], []),
    "forward.NAME.resolve.servers": (["10.0.0.53"], ["[2001:db8::1]:5353"], []),
    "auth.htpasswd": ("/etc/l4lb/${x}",),
    "auth.groups": ("/etc/l4lb/groups",),
    "auth.realm": ("proxy", "the office"),
    "forward.NAME.rules": (
        [
            {
                "name": "${x}",
                "list": ["ads", "é"],
                "url": "example.com/${x}/",
                "url_regex": ["[.]exe$"],
                "method": ["GET", "POST"],
                "action": "deny",
                "page": "/etc/blocked.html",
            },
            {
                "name": "b",
                "user": ["a", "*"],
                "group": "staff",
                "source": "10.0.0.0/8",
                "domain": ["*.example.com", "é.example"],
                "port": [443, "1-2"],
                "time": "mon-fri 08:00-19:00",
                "action": "allow",
            },
        ],
        [{"name": "c", "action": "auth"}],
        [],
    ),
    "lists.NAME.files": (["/etc/l4lb/lists/*.txt"], "/srv/${x}"),
    "lists.NAME.except": (["cdn.example"], []),
}


def some(chance: random.Random, density: float = 0.3) -> dict[str, Any]:
    """Returns the data of a valid configuration. density: the share of keys that are present."""
    data: dict[str, Any] = _Maker(chance, density).table(json_schema(), "")
    data.pop("include", None)
    for number, listener in enumerate(data.get("listeners", {}).values(), 1):
        if chance.random() < 0.8:  # why: a forward proxy has few of the other keys
            listener.pop("forward", None)
        if chance.random() < 0.8:  # why: the kernel follows few of the other keys
            listener.pop("data_path", None)
        if listener.get("data_path") == "packet":
            for key in ("forward", "access", "limits"):
                listener.pop(key, None)
            listener |= {"protocol": "tcp", "bind": [f"127.0.0.{number}:7"]}
    for _ in range(200):
        wrong = _wrong(data)
        if not wrong:
            return data
        for path in wrong:
            _mend(data, path)
    raise AssertionError(f"cannot be mended: {wrong}")


def config(chance: random.Random, density: float = 0.3) -> Config:
    """Returns a valid configuration. density: as for `some`."""
    return build(some(chance, density), Origin())


def example(path: str, chance: random.Random) -> Any:
    """Returns a value for one key, which is named as schema.keys() names it."""
    node = json_schema()
    for part in path.replace("[]", ".[]").split("."):
        node = _followed(node)
        inner = [one for one in map(_followed, node.get("anyOf", ())) if "properties" in one]
        node = inner[0] if inner else node
        below = {"NAME": node.get("additionalProperties"), "[]": node.get("items")}.get(part)
        node = below or node["properties"][part]
    return _Maker(chance, 0.3).value(node, path)


class _Maker:
    def __init__(self, chance: random.Random, density: float) -> None:
        self.chance = chance
        self.density = density

    def table(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        """Returns some keys of a table, and all keys that it requires."""
        required = node.get("required", ())
        return {
            name: self.value(below, f"{path}.{name}" if path else name)
            for name, below in node["properties"].items()
            if name in (*required, "type") or not path or self.chance.random() < self.density
        }

    def value(self, node: dict[str, Any], path: str) -> Any:
        node = _followed(node)
        tables = [one for one in map(_followed, node.get("anyOf", ())) if "properties" in one]
        known = [key for key in EXAMPLES if path == key or path.endswith(f".{key}")]
        if known and "enum" not in node:
            return copy.deepcopy(self.chance.choice(EXAMPLES[max(known, key=len)]))
        if "properties" in node:
            return self.table(node, path)
        if tables:
            return self.table(tables[0], path)
        if isinstance(node.get("additionalProperties"), dict):
            names = FREE.get(path, POOL_OF)
            return {one: self.value(node["additionalProperties"], f"{path}.NAME") for one in names}
        if node.get("type") == "array":
            count = self.chance.randint(1, 2)
            return [self.value(node["items"], f"{path}[]") for _ in range(count)]
        return self.scalar(node, path)

    def scalar(self, node: dict[str, Any], path: str) -> Any:
        if "enum" in node:
            return self.chance.choice(node["enum"])
        if "const" in node:
            return node["const"]
        if "x-l4lb-bounds" in node:
            unit = UNITS[node["x-l4lb-type"]]
            return unit.format(self.number(*map(unit.parse, node["x-l4lb-bounds"])))
        if node.get("type") == "integer":
            return self.number(node["minimum"], node["maximum"])
        if node.get("type") == "boolean":
            return self.chance.random() < 0.5
        raise AssertionError(f"no example of {path}: {node}")

    def number(self, minimum: int, maximum: int) -> int:
        return self.chance.choice((minimum, maximum, self.chance.randint(minimum, maximum)))


def _followed(node: dict[str, Any]) -> dict[str, Any]:
    name = node.get("$ref", "").removeprefix("#/$defs/")
    return {**json_schema()["$defs"][name], **node} if name else node


def _wrong(data: dict[str, Any]) -> list[Path]:
    found = [finding.path for finding in checks.errors(data)]
    try:
        Config.model_validate(data)
    except ValidationError as error:
        found += [finding.path for finding in explain.findings(error, data)]
    return found


def _mend(data: dict[str, Any], path: Path) -> None:
    """Removes what a path names, or adds what is missing there."""
    *above, last = path
    here: Any = data
    for part in above:
        if not isinstance(here, (dict, list)):
            return
        try:
            here = here[part]
        except LookupError:
            return
    if path[0] == "limits" and str(last).startswith("max_") and path[-1] in data["limits"]:
        del data["limits"][last]
    elif path == ("listeners",):
        data["listeners"] = {"web": {"bind": ["127.0.0.1:7"], "pool": "web"}}
        data["pools"].setdefault("web", {"backends": ["127.0.0.1:7"]})
    elif last == "trusted" and not here.pop("trusted", None):
        here["trusted"] = ["10.0.0.0/8"]
    elif last == "access":
        here["access"] = {"allow": ["10.0.0.0/8"]}
    elif isinstance(here, list):
        if isinstance(last, int) and last < len(here):
            del here[last]
    elif last in here:
        del here[last]
    elif last == "backends":
        here["backends"] = ["127.0.0.1:7"]
    elif last == "bind":
        here["bind"] = [f"127.0.0.1:{ord(str(path[1])[0])}"]
    else:
        _mend(data, path[:-1])
