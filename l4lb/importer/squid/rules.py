"""Converts http_access lines into rules. A rule has no negation: those that are usual in squid.conf
have a counterpart of their own (Safe_ports, SSL_ports, a log-in for all), others are left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from l4lb.importer.draft import Draft, Rank, Table, free_name, name_of
from l4lb.importer.squid.acls import Acl, AclError, condition
from l4lb.importer.squid.words import Line

INSIDE = "l4lb connects to no private address, unless allow_private or private say so"


@dataclass
class Access:
    """What http_access lines become. where: the path of the forward proxy's table."""

    draft: Draft
    forward: Table
    acls: Mapping[str, Acl]
    where: tuple[str, ...]

    def read(self, lines: list[Line]) -> None:
        rules: list[Table] = []
        last = ""
        for line in lines:
            action = line.texts[0] if line.words else ""
            if action not in ("allow", "deny"):
                self.draft.leave(line.place, Rank.OPEN, "is neither allow nor deny", self.where)
                continue
            last = action
            if self._is_special(line, action):
                continue
            try:
                rules.append(self._rule(line, action, [str(one["name"]) for one in rules]))
            except AclError as error:
                rank = Rank.OPEN if action == "deny" else Rank.MISSING
                self.draft.leave(line.place, rank, str(error), self.where)
        if rules:
            self.forward.put("rules", rules, rules[0].place)
            # Squid does the opposite of its last line if none matches.
            if last == "deny" and not _matches_all(rules[-1]):
                self.forward.put("otherwise", "allow", lines[-1].place)

    def _is_special(self, line: Line, action: str) -> bool:
        """Converts a line whose counterpart is no rule."""
        names = line.texts[1:]
        kinds = [self._kind(name) for name in names]
        if "manager" in kinds:
            self.draft.leave(line.place, Rank.NOTE, "l4lb's admin is no URL", self.where)
            return True
        if action == "deny" and kinds == ["private"]:
            self.draft.leave(line.place, Rank.NOTE, INSIDE, self.where)
            return True
        refused = [name[1:] for name in names if name.startswith("!")]
        if action != "deny" or len(refused) != 1:
            return False
        acl = self.acls.get(refused[0])
        others = [name for name in names if not name.startswith("!")]
        if acl is None or acl.files:
            return False
        if acl.kind == "port" and others in ([], ["CONNECT"]):
            key = "connect_ports" if others else "ports"
            ports = condition(acl)["port"]
            self.forward.put(key, ports, line.place)
            return True
        return False

    def _kind(self, name: str) -> str:
        acl = self.acls.get(name.removeprefix("!"))
        return acl.kind if acl else ""

    def _rule(self, line: Line, action: str, taken: list[str]) -> Table:
        """Returns the rule of a line. Raises AclError."""
        rule = Table(line.place)
        names = line.texts[1:]
        wanted = name_of("-".join(names) or action)
        rule.put("name", free_name(wanted, taken), line.place)
        rule.put("action", action, line.place)
        if action == "deny" and len(names) == 1 and self._is_everybody(names[0]):
            rule.put("action", "auth", line.place)
            return rule
        for name in names:
            acl = self.acls.get(name)
            if name.startswith("!"):
                raise AclError(f"{name}: a rule has no negation")
            if acl is None:
                raise AclError(f"{name}: no acl has this name")
            self._add(rule, acl, line)
        return rule

    def _is_everybody(self, name: str) -> bool:
        """True for "!authenticated": who has not logged in."""
        acl = self.acls.get(name[1:]) if name.startswith("!") else None
        return acl is not None and acl.kind == "proxy_auth" and "REQUIRED" in acl.values

    def _add(self, rule: Table, acl: Acl, line: Line) -> None:
        found = condition(acl)
        if acl.files:
            if found:
                raise AclError(f"{acl.name}: values beside a file have no counterpart")
            found = {"list": self._list(acl)}
        for key, value in found.items():
            if key in rule:
                raise AclError(f"{acl.name}: two conditions of one kind have no counterpart")
            if key == "url_regex" and "CONNECT" not in rule.get("method", ()):
                self.draft.leave(line.place, Rank.DIFFERENT,
                                 "a tunnel (https) has no URL that a rule could see",
                                 self.where)  # fmt: skip
            rule.put(key, value, line.place)

    def _list(self, acl: Acl) -> str:
        name = name_of(acl.name)
        if name not in self.draft.lists:
            place = acl.place or self.forward.place
            table = Table(place)
            table.put("files", list(acl.files), place)
            self.draft.lists[name] = table
        return name


def _matches_all(rule: Table) -> bool:
    return not rule.keys() - {"name", "action"}
