"""The locations of a server as branches: exact ones first, then `^~`, then expressions in their
order, then the longest prefix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from l4lb import regex
from l4lb.importer.branches import (
    Alternative,
    Branch,
    Change,
    Conditions,
    UnsaidError,
    changed,
    decided,
)
from l4lb.importer.draft import Rank
from l4lb.importer.networks import network
from l4lb.importer.nginx.scope import Scope
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.tree import Node
from l4lb.importer.nginx.web_caches import Caches
from l4lb.importer.nginx.web_pools import Pools

DENIED, ABSENT = 403, 404
PLACEHOLDERS = (
    ("$scheme", "{scheme}"), ("$http_host", "{host}"), ("$host", "{host}"),
    ("$request_uri", "{path}{query}"), ("$is_args$args", "{query}"), ("?$args", "{query}"),
    ("$uri", "{path}"), ("$document_uri", "{path}"),
)  # fmt: skip
TOLD = {
    "x-forwarded-for": ("$proxy_add_x_forwarded_for", "$remote_addr"),
    "x-forwarded-proto": ("$scheme",), "x-forwarded-host": ("$host", "$http_host"),
    "upgrade": ("$http_upgrade",), "host": (), "connection": (), "x-request-id": ("$request_id",),
}  # fmt: skip
OF_CONNECTION = ("upgrade", "host", "connection")
RATE = re.compile(r"rate=(\d+)r/([sm])")
REGEX_MODES = ("~", "~*")


class Locations:
    """Makes the branches of one server."""

    def __init__(
        self, server: Server, pools: Pools, caches: Caches, zones: dict[str, Node]
    ) -> None:
        self._server = server
        self._pools = pools
        self._caches = caches
        self._zones = zones  # limit_req_zone, by name
        self.tells = False  # backends are told of the client
        self.identifies = False  # and get an identifier of the request

    def branches(self, scope: Scope) -> list[Branch]:
        server = self._server
        block = server.node.block
        files = Branch(server.node.place, keys={"respond": {"status": ABSENT}})
        found = [files]
        nodes = [one for one in block if one.name == "location" and one.args]
        modes = [(one.args[0] if len(one.args) > 1 else "", one.args[-1], one) for one in nodes]
        prefixes = sorted(
            ((len(text), text, one) for mode, text, one in modes if mode in ("", "^~")),
            key=lambda one: one[0],
        )
        first = {text for mode, text, _ in modes if mode == "^~"}
        plain = [text for _, text, _ in prefixes if text not in first]
        if "/" not in plain and not any(one.name == "return" for one in block):
            server.leave(server.node, Rank.MISSING, "what no location takes is answered by 404")
        for _, text, one in prefixes:
            if text not in first and not text.startswith("@"):
                found = self._place(one, scope, {"path_prefix": [text]}, found)
        for mode, text, one in reversed(modes):
            if mode in REGEX_MODES:
                flag = "(?i)" if mode == "~*" else ""
                found = self._place(one, scope, {"path_regex": [flag + text]}, found)
        for _, text, one in prefixes:
            if text in first:
                longer = [{"path_prefix": [p]} for p in plain if p.startswith(text) and p != text]
                found = self._place(one, scope, {"path_prefix": [text]}, found, longer)
        exact = [text for mode, text, _ in modes if mode == "="]
        for _, text, one in prefixes:
            passes = any(inner.name == "proxy_pass" for inner in one.block)
            if passes and text.endswith("/") and text != "/" and text[:-1] not in exact:
                slash = Branch(one.place, keys={"redirect": text, "status": 301})
                found = decided([Alternative({"path": [text[:-1]]})], [slash], found)
        for mode, text, one in reversed(modes):
            if mode == "=":
                found = self._place(one, scope, {"path": [text]}, found)
        return self._answers(block, found, scope)

    # ---- one location ------------------------------------------------------------------------

    def _place(
        self, node: Node, scope: Scope, when: Conditions, others: list[Branch],
        nots: Sequence[Conditions] = (),
    ) -> list[Branch]:  # fmt: skip
        """Puts a location in front of other branches. If its content cannot be carried over, its
        requests are answered by 404."""
        try:
            then = self._location(node, scope.below(node.block), when)
        except ValueError as error:
            self._unsaid(node, error)
            then = [Branch(node.place, keys={"respond": {"status": ABSENT}})]
        try:
            for one in when.get("path_regex", ()):
                regex.compiled(one)
            every = when == {"path_prefix": ["/"]}
            return decided([Alternative({} if every else when, nots)], then, others)
        except (ValueError, regex.PatternError) as error:
            self._unsaid(node, error)
            return others

    def _unsaid(self, node: Node, error: Exception) -> None:
        guards = {"deny", "return", "internal", "auth_basic", "auth_request", "limit_except"}
        is_guard = guards & {one.name for one in node.block}
        rank = Rank.OPEN if is_guard else Rank.MISSING
        self._server.leave(node, rank, f"l4lb cannot express it: {error}")

    def _location(self, node: Node, scope: Scope, when: Conditions) -> list[Branch]:
        for one in node.block:
            if one.name == "location":
                self._server.leave(one, Rank.MISSING, "a location in a location is not read")
        target = next((one for one in node.block if one.name == "proxy_pass"), None)
        found = [Branch(node.place, keys={"respond": {"status": ABSENT}})]
        if target is not None:
            try:
                passed = self._passed(target, scope, when)
                found = self._caches.branches(self._server, scope, passed)
            except ValueError as error:
                why = f"answered by {ABSENT}: {error}"
                self._server.leave(target, Rank.MISSING, why)
        elif not any(one.name == "return" or (one.name, one.args) == ("deny", ("all",))
                     for one in node.block):  # fmt: skip
            why = f"answered by {ABSENT}: no proxy_pass to a pool"
            self._server.leave(node, Rank.MISSING, why)
        found = self._added(found, scope)
        for one in node.block:
            if one.name == "limit_except":
                found = self._except(one, found)
        found = self._ruled(scope.of("allow", "deny"), found)
        return self._answers(node.block, found, scope)

    def _passed(self, target: Node, scope: Scope, when: Conditions) -> Branch:
        """Returns the branch of a proxy_pass. Raises ValueError."""
        name, uri = self._pools.pool(self._server, scope, target)
        keys: dict[str, Any] = {}
        kept: Conditions = {}
        prefix = when.get("path_prefix")
        if uri and [uri] not in (prefix, when.get("path")):
            if not prefix:
                raise UnsaidError("a path is rewritten behind a prefix only")
            keys["rewrite_prefix"] = uri
            kept = {"path_prefix": prefix}
        limit = self._limit(scope)
        if limit:
            keys["limits"] = limit
        return Branch(target.place, name, kept, keys, tuple(self._fields(scope)))

    def _fields(self, scope: Scope) -> list[Change]:
        """Returns the changes of requests, and the fields that answers lose."""
        found = []
        for node in scope.of("proxy_set_header"):
            name, value = node.arg(), node.arg(1)
            low = name.lower()
            if low in OF_CONNECTION:
                continue
            if value in TOLD.get(low, ()):
                self.tells = self.tells or low.startswith("x-forwarded")
                self.identifies = self.identifies or low == "x-request-id"
                continue
            if "$" in value:
                why = "its value is not the same for all: that of clients is removed"
                self._server.leave(node, Rank.DIFFERENT, why)
                value = ""
            found.append(Change("request", name, value))
        return found + [Change("response", one.arg(), "") for one in scope.of("proxy_hide_header")]

    def _added(self, branches: list[Branch], scope: Scope) -> list[Branch]:
        for node in scope.of("add_header"):
            if "$" in node.arg(1):
                why = "its value is not the same for all: it is not set"
                self._server.leave(node, Rank.DIFFERENT, why)
                continue
            change = Change("response", node.arg(), node.arg(1))
            branches = changed(branches, change, pools=False)
        return branches

    def _limit(self, scope: Scope) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in scope.of("limit_req"):
            said = dict(one.partition("=")[::2] for one in node.args)
            zone = self._zones.get(said.get("zone", ""))
            rate = next((m for m in map(RATE.fullmatch, zone.args) if m), None) if zone else None
            if zone is None or rate is None or int(rate[1]) < (60 if rate[2] == "m" else 1):
                self._server.leave(node, Rank.OPEN, "a limit is 1 request a second or more")
                continue
            if zone.arg() not in ("$binary_remote_addr", "$remote_addr"):
                self._server.leave(node, Rank.OPEN, "requests are counted by their source here")
                continue
            status, dry = scope.last("limit_req_status"), scope.last("limit_req_dry_run")
            found["requests_per_source"] = {
                "limit": int(rate[1]) // (60 if rate[2] == "m" else 1),
                "burst": int(said.get("burst", "0")) + 1,
                "status": int(status.arg()) if status else 503,
                **({"dry_run": True} if dry and dry.arg() == "on" else {}),
            }
            why = "requests above the limit are refused, not delayed; each route counts by itself"
            self._server.leave(node, Rank.DIFFERENT, why)
        return found

    def _except(self, node: Node, branches: list[Branch]) -> list[Branch]:
        if [(one.name, one.args) for one in node.block] != [("deny", ("all",))]:
            self._server.leave(node, Rank.OPEN, "it is carried over with `deny all` only")
            return branches
        methods = [*node.args, *(["HEAD"] if "GET" in node.args else [])]
        denied = Branch(node.place, keys={"respond": {"status": DENIED}})
        return decided([Alternative({}, [{"method": methods}])], [denied], branches)

    def _ruled(self, rules: Sequence[Node], branches: list[Branch]) -> list[Branch]:
        """Puts allow and deny in front of branches."""
        found = branches
        for node in reversed(rules):
            if node.arg() == "unix:":
                self._server.leave(node, Rank.OPEN, "clients of unix sockets are all alike here")
                continue
            every = node.arg() == "all"
            when = {} if every else {"source": [str(network(node.arg()))]}
            denied = [Branch(node.place, keys={"respond": {"status": DENIED}})]
            then = branches if node.name == "allow" else denied
            found = decided([Alternative(when)], then, found)
        return found

    # ---- return and if -----------------------------------------------------------------------

    def _answers(self, block: Sequence[Node], found: list[Branch], scope: Scope) -> list[Branch]:
        """Puts `return` and `if` of a block in front of branches."""
        for node in reversed(block):
            inner = node.block if node.name == "if" else (node,)
            if node.name not in ("if", "return"):
                continue
            try:
                if [one.name for one in inner] != ["return"]:
                    raise UnsaidError("an `if` is carried over with `return` only")
                when = self._if(node) if node.name == "if" else Alternative({})
                answer = self._added([self._answer(inner[0], scope)], scope)
                found = decided([when], answer, found)
            except ValueError as error:
                rank = Rank.OPEN if any(one.name == "return" for one in inner) else Rank.MISSING
                self._server.leave(node, rank, f"l4lb cannot express it: {error}")
        return found

    def _if(self, node: Node) -> Alternative:
        words = " ".join(node.args).strip("() ").split()
        match words:
            case ["$scheme", "=" | "!=" as sign, scheme]:
                when = {"scheme": [scheme]}
            case ["$https", "=" | "!=" as sign, value] if value in ("on", '""', "''"):
                when = {"scheme": ["https" if value == "on" else "http"]}
            case ["$host" | "$http_host", "=" | "!=" as sign, host]:
                when = {"host": [host.lower()]}
            case ["$request_method", "=" | "!=" as sign, method]:
                when = {"method": [method]}
            case ["$request_method", "~" | "!~" as sign, text] if re.fullmatch(
                r"\^\(?[A-Z|]+\)?\$", text
            ):
                when = {"method": text.strip("^$()").split("|")}
            case _:
                raise UnsaidError("a test of scheme, host or method is")
        return Alternative({}, [when]) if sign.startswith("!") else Alternative(when)

    def _answer(self, node: Node, scope: Scope) -> Branch:
        """Returns the branch of a `return`. Raises ValueError."""
        code, text = (node.arg(), " ".join(node.args[1:])) if node.arg().isdigit() else (
            "302", node.arg())  # fmt: skip
        if code in ("301", "302", "303", "307", "308") and text:
            keys: dict[str, Any] = {"redirect": self._location_of(text), "status": int(code)}
            return Branch(node.place, keys=keys)
        status = int(code)
        if not 200 <= status <= 599 or status == 444:
            self._server.leave(node, Rank.DIFFERENT, f"it is answered by {DENIED}")
            status = DENIED
        answer: dict[str, Any] = {"status": status}
        if text:
            if "$" in text:
                self._server.leave(node, Rank.DIFFERENT, "its text is not carried over")
            else:
                kind = scope.last("default_type")
                answer |= {"body": text, "content_type": kind.arg() if kind else "text/plain"}
        return Branch(node.place, keys={"respond": answer})

    def _location_of(self, text: str) -> str:
        names = [name for name, _ in self._server.names if re.fullmatch(r"[\w.-]+", name)]
        if "$server_name" in text and names:
            text = text.replace("$server_name", names[0])
        for variable, placeholder in PLACEHOLDERS:
            text = re.sub(rf"{re.escape(variable)}(?![a-z_])", placeholder, text)
        if "$" in text:
            raise UnsaidError("a location that is not made of scheme, host, path and query")
        return text
