"""Variables that decide where a session goes: the values they have for different clients.

A variable is a list of cases. Each case has conditions, as a route has, and a value. The first case
that holds counts, and the last one always holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from l4lb.importer.draft import Rank
from l4lb.importer.networks import nested, network
from l4lb.importer.nginx.tree import Node

Condition = dict[str, list[str] | float]
Case = tuple[Condition, str]

SNI = ("$ssl_preread_server_name", "$ssl_server_name")
ALPN = ("$ssl_preread_alpn_protocols", "$ssl_alpn_protocol")
SOURCE = ("$remote_addr", "$binary_remote_addr")
HELLO = ("$ssl_preread_protocol", "$ssl_protocol")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
DEPTH_MAX = 8
LABELS = r"((?:[\w-]+\\\.)*[\w-]+)"
# Expressions that a route's server names can express, and their form there.
EXPRESSIONS = (
    (re.compile(rf"\^{LABELS}\$?"), ("{}",)),
    (re.compile(rf"\^?\(?(?:\?:)?\.[*+]\)?\\\.{LABELS}\$"), ("*.{}",)),
    (re.compile(rf"\\\.{LABELS}\$"), ("*.{}",)),
    (re.compile(rf"\^?\((?:\?:)?\.[*+]\\\.\)\?{LABELS}\$"), ("{}", "*.{}")),
)
PROTOCOL = re.compile(r"(?:\\b|\^|\$)?\(?([A-Za-z0-9./-]+)\)?(?:\\b|\$|\^)?")

Leave = Callable[[Node, Rank, str], None]


class UnsaidError(ValueError):
    """A route cannot express what the variable depends on."""


@dataclass
class Variables:
    """All variables that a stream block defines."""

    leave: Leave
    nodes: dict[str, Node] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def define(self, node: Node) -> None:
        """Reads a map, geo or split_clients block, or a set."""
        name = node.args[0 if node.name == "set" else -1] if node.args else ""
        self.nodes[name] = node

    def cases(self, text: str, depth: int = 0) -> list[Case]:
        """Returns the cases of a text with at most one variable. Raises UnsaidError."""
        found = list(VARIABLE.finditer(text))
        if not found:
            return [({}, text)]
        if len(found) > 1 or depth > DEPTH_MAX:
            raise UnsaidError("several variables")
        match = found[0]
        name = f"${match[1] or match[2]}"
        before, after = text[: match.start()], text[match.end() :]
        return [
            (condition, before + value + after if value or before or after else "")
            for condition, value in self._of(name, depth)
        ]

    def _of(self, name: str, depth: int) -> list[Case]:
        node = self.nodes.get(name)
        self.used.add(name)
        if node is None:
            raise UnsaidError(f"{name} is not known here")
        if node.name == "set":
            return self.cases(node.arg(1), depth + 1)
        return {"map": self._map, "geo": self._geo, "split_clients": self._split}[node.name](
            node, depth + 1
        )

    def unused(self) -> None:
        """Reports variables that decide about no session."""
        for name, node in self.nodes.items():
            if name not in self.used:
                self.leave(node, Rank.NOTE, "nothing that is carried over asks for it")

    # ---- map -------------------------------------------------------------------------------------

    def _map(self, node: Node, depth: int) -> list[Case]:
        asked = node.arg(0)
        entries = {one.name: one for one in node.block if one.args}
        flags = {one.name for one in node.block if not one.args}
        default = entries["default"].arg() if "default" in entries else ""
        entries.pop("default", None)
        if asked in SNI:
            return self._by_name(entries, default, "hostnames" in flags, depth)
        if asked in ALPN:
            return self._by_protocol(entries, default, depth)
        if asked in HELLO:
            return self._by_hello(node, entries, default, depth)
        if asked in SOURCE:
            nets = [(network(key), one.arg()) for key, one in entries.items() if key[:1] != "~"]
            self._lost([one for key, one in entries.items() if key[:1] == "~"])
            cases: list[Case] = [({"source": [str(net)]}, value) for net, value in nets]
            return self._valued([*cases, ({}, default)], depth)
        values = {key: one.arg() for key, one in entries.items()}
        found = [(c, values.get(value, default)) for c, value in self.cases(asked, depth)]
        return self._valued(found, depth)

    def _valued(self, cases: list[Case], depth: int) -> list[Case]:
        """Replaces values that are variables themselves."""
        found: list[Case] = []
        for condition, value in cases:
            for more, text in self.cases(value, depth):
                if set(more) & set(condition):
                    raise UnsaidError("two conditions of one kind")
                found.append(({**condition, **more}, text))
        return found

    def _lost(self, nodes: list[Node]) -> None:
        for one in nodes:
            self.leave(one, Rank.MISSING, "it cannot be said as a route")

    def _by_name(
        self, entries: dict[str, Node], default: str, hostnames: bool, depth: int
    ) -> list[Case]:
        exact: list[Case] = []
        wild: list[tuple[str, str]] = []
        last: list[Case] = []
        for key, one in entries.items():
            if key == "":
                continue
            names = server_names(key, hostnames)
            if names is None:
                self._lost([one])
            elif key.startswith("~"):
                last.append(({"sni": names}, one.arg()))
            elif not names[0].startswith("*"):
                exact.append(({"sni": names[:1]}, one.arg()))
                wild += [(name, one.arg()) for name in names[1:]]
            else:
                wild += [(name, one.arg()) for name in names]
        ordered = sorted(wild, key=lambda one: -len(one[0]))
        cases: list[Case] = [*exact]
        cases += [({"sni": [n]}, v) for n, v in ordered]
        cases += last
        if "" in entries and entries[""].arg() != default:
            cases += [({"sni": ["*"]}, default), ({}, entries[""].arg())]
        else:
            cases.append(({}, default))
        return self._valued(_merged(cases), depth)

    def _by_protocol(self, entries: dict[str, Node], default: str, depth: int) -> list[Case]:
        cases: list[Case] = []
        for key, one in entries.items():
            match = PROTOCOL.fullmatch(key.lstrip("~*"))
            if key == "" or match is None:
                self._lost([one] if key else [])
                continue
            cases.append(({"alpn": [match[1]]}, one.arg()))
        return self._valued([*_merged(cases), ({}, default)], depth)

    def _by_hello(
        self, node: Node, entries: dict[str, Node], default: str, depth: int
    ) -> list[Case]:
        """Returns the cases of TLS or no TLS; a route cannot test the version."""
        plain = entries["tls-none"].arg() if "tls-none" in entries else default
        plain = entries[""].arg() if "" in entries else plain
        secure = {one.arg() for key, one in entries.items() if key} or {default}
        if len(secure) > 1:
            raise UnsaidError("the version of TLS")
        self.leave(node, Rank.DIFFERENT, "of TLS clients, those that ask for a name")
        return self._valued([({"sni": ["*"]}, secure.pop()), ({}, plain)], depth)

    # ---- geo and split_clients -------------------------------------------------------------------

    def _geo(self, node: Node, depth: int) -> list[Case]:
        if len(node.args) > 1 and node.arg(0) not in SOURCE:
            raise UnsaidError(f"networks of {node.arg(0)}")
        entries = {one.name: one for one in node.block if one.args}
        if any(one.name == "ranges" for one in node.block):
            raise UnsaidError("ranges of addresses: write networks")
        default = entries["default"].arg() if "default" in entries else ""
        nets = []
        for key, one in entries.items():
            if key in ("default", "proxy", "delete", "include"):
                continue
            nets.append((network(key), one.arg()))
        cases: list[Case] = [({"source": [str(net)]}, value) for net, value in nested(nets)]
        return self._valued([*_merged(cases), ({}, default)], depth)

    def _split(self, node: Node, depth: int) -> list[Case]:
        self.leave(node, Rank.DIFFERENT, "by chance for each session, not by a hash of the client")
        cases: list[Case] = []
        default = ""
        for one in node.block:
            if one.name == "*":
                default = one.arg()
                continue
            share = float(one.name.rstrip("%"))
            cases.append(({"percent": int(share) if share == int(share) else share}, one.arg()))
        return self._valued([*cases, ({}, default)], depth)


def _merged(cases: list[Case]) -> list[Case]:
    """Merges neighbouring cases with one value."""
    found: list[Case] = []
    for condition, value in cases:
        (key, names), *more = condition.items() if condition else (("", []),)
        last = found[-1] if found else None
        if (
            last is not None and not more and last[1] == value and set(last[0]) == {key}
            and isinstance(names, list) and names != ["*"]
        ):  # fmt: skip
            held = last[0][key]
            assert isinstance(held, list)
            last[0][key] = [*held, *names]
        else:
            found.append((dict(condition), value))
    return found


def server_names(key: str, hostnames: bool = True) -> list[str] | None:
    """Returns server names in the form of a route; None: a route cannot express them."""
    key = key.removeprefix("\\")
    if key.startswith("~"):
        text = key.lstrip("~*")
        for pattern, forms in EXPRESSIONS:
            match = pattern.fullmatch(text)
            if match:
                return [form.format(match[1].replace("\\", "").lower()) for form in forms]
        return None
    if key.startswith(".") and hostnames:
        return [key[1:].lower(), f"*{key.lower()}"]
    if key.endswith(".*") or key in ("_", "-"):
        return None
    if key.startswith("*.") and not hostnames:
        return None
    return [key.lower()]
