"""Converts the rules of `mode http` sections into the routes of an HTTP listener: those of the
frontend, use_backend, then those of the backend."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from l4lb.importer.branches import (
    Alternative,
    Branch,
    Change,
    UnsaidError,
    both,
    changed,
    decided,
    written,
)
from l4lb.importer.draft import Rank, Table, name_of
from l4lb.importer.haproxy.caches import cached, stores
from l4lb.importer.haproxy.conditions import Alternatives, Test, condition, cut
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.requests import conditions_of
from l4lb.importer.haproxy.rules import NEEDLESS, REFUSALS, lost, unused
from l4lb.importer.haproxy.words import Line, pairs

DENIED, TARPITTED = 403, 500
UNSAID = "l4lb cannot express it"
NOTED = ("set-var", "unset-var", "sc-", "sc0", "capture", "do-log", "set-log-level",
         "wait-for-", "normalize-uri", "disable-l7-retry", "early-hint", "track-sc")  # fmt: skip
# What a format says, as a location has it.
PLACEHOLDERS = (
    (re.compile(r"%\[(?:req\.)?hdr\(host\)(?:,(?:lower|host_only|field\(1,:\)))*\]", re.IGNORECASE),
     "{host}"),
    (re.compile(r"%\[(?:capture\.req\.uri|url|pathq)\]"), "{path}{query}"),
    (re.compile(r"%\[path\]"), "{path}"),
    (re.compile(r"\?%\[query\]"), "{query}"),
    (re.compile(r"%HU"), "{path}{query}"),
)  # fmt: skip
TOLD = {"x-forwarded-for": "%[src]", "x-forwarded-host": "%[req.hdr(host)]"}


class Requests:
    """The decisions of the sections that requests go through."""

    def __init__(self, front: Proxy, backs: Mapping[str, Proxy]) -> None:
        self._front = front
        self._backs = backs
        self._known: dict[str, list[Branch]] = {}
        self.forwards = front.forwards

    def routes(self, refused: Sequence[tuple[Alternatives, Line]]) -> tuple[list[Table], str]:
        """Returns the routes of the listener and its pool. refused: rules of another layer."""
        front, nobody = self._front, self._front.world.draft.nobody
        branches = self._default()
        for line in reversed(front.uses):
            branches = self._use(line, branches)
        branches = self._ruled(front, branches)
        for alternatives, line in refused:
            answer = Branch(line.place, keys={"respond": {"status": DENIED}})
            branches = self._said(front, line, alternatives, [answer], branches, True)
        if front.monitor is not None:
            answer = Branch(front.monitor.place, keys={"respond": {"status": 200}})
            when = Alternative({"path": [front.monitor[1]]})
            branches = decided([when], [answer], branches)
        return written(branches, nobody)

    # ---- backends ----------------------------------------------------------------------------

    def _default(self) -> list[Branch]:
        front, pools = self._front, self._front.world.draft.pools
        if front.target is None and front.back and front.servers:
            if front.name in pools:
                return [Branch(front.place, front.name)]
        elif front.target is not None:
            if name_of(front.target[1]) in pools:
                return self._backend(name_of(front.target[1]))
            why = "this backend has no server that is carried over"
            front.leave(Rank.MISSING, why, front.target)
        return [Branch(front.place, front.world.draft.nobody(front.place))]

    def _use(self, line: Line, branches: list[Branch]) -> list[Branch]:
        front = self._front
        words, asked = cut(line.words)
        name = name_of(words[1]) if len(words) > 1 else ""
        if name not in front.world.draft.pools:
            dynamic = len(words) > 1 and "%[" in words[1]
            why = (
                "a backend cannot be named by what a client says" if dynamic
                else "this backend has no server that is carried over"
            )  # fmt: skip
            front.leave(Rank.MISSING, why, line)
            return branches
        try:
            tests = condition(asked, front.acls)
            return self._said(front, line, tests, self._backend(name), branches, False)
        except ValueError as error:
            front.leave(Rank.MISSING, f"{UNSAID}: {error}", line)
            return branches

    def _backend(self, name: str) -> list[Branch]:
        """Returns the branches of a backend: its rules, then its pool."""
        if name not in self._known:
            back = self._backs.get(name)
            found = [Branch(back.place if back else self._front.place, name)]
            if back is not None:
                self._known[name] = found
                back.reached = True
                self.forwards = self.forwards or back.forwards
                if back is not self._front:
                    found = self._ruled(back, found)
                    lost(back, [one for one in back.rules if one[0].startswith("tcp-")])
                    unused(back, _asked(back))
            self._known[name] = found
        return self._known[name]

    # ---- rules -------------------------------------------------------------------------------

    def _ruled(self, proxy: Proxy, behind: list[Branch]) -> list[Branch]:
        rules = [one for one in proxy.rules if not one[0].startswith("tcp-")]
        branches = behind
        for line in rules:
            if line[0] == "http-response":
                branches = self._answers(proxy, line, branches, True)
        passed = branches
        requests = [one for one in rules if one[0] == "http-request"]
        requests += [one for one in rules if one[0] == "redirect"]
        for line in reversed(requests):
            try:
                branches = self._request(proxy, line, branches, passed)
            except ValueError as error:
                proxy.leave(_rank(line), f"{UNSAID}: {error}", line)
        for line in rules:
            if line[0] == "http-after-response":
                branches = self._answers(proxy, line, branches, False)
        return branches

    def _request(
        self, proxy: Proxy, line: Line, branches: list[Branch], passed: list[Branch]
    ) -> list[Branch]:
        words, asked = cut(line.words)
        action = "redirect" if words[0] == "redirect" else words[1]
        keys: dict[str, Any]
        if action in ("allow", "accept"):
            tests = condition(asked, proxy.acls)
            return self._said(proxy, line, tests, passed, branches, True)
        if action in REFUSALS or action == "redirect":
            if action == "redirect":
                keys = _redirect(words[1:] if words[0] == "redirect" else words[2:])
            else:
                keys = {"respond": _refusal(proxy, line, action, words[2:])}
            answer = Branch(line.place, keys=keys)
            tests = condition(asked, proxy.acls)
            exact = action in REFUSALS and action != "return"
            return self._said(proxy, line, tests, [answer], branches, exact)
        if action in ("set-header", "add-header", "del-header"):
            return self._field(proxy, line, branches, "request")
        if action == "cache-use":
            return self._cached(proxy, line, branches)
        if action == "auth":
            proxy.leave(Rank.OPEN, "l4lb asks nobody for a password", line)
        elif action.startswith(("lua.", "send-spoe", "use-service")):
            proxy.leave(Rank.OPEN, f"{action}: no other program is asked here", line)
        elif action.startswith(NOTED) or action in NEEDLESS:
            if action not in NEEDLESS:
                proxy.leave(Rank.NOTE, "nothing that is carried over looks at it", line)
        elif action.startswith(("set-path", "set-uri", "set-query", "replace-", "set-method")):
            proxy.leave(Rank.MISSING, "it is not rewritten: see rewrite_prefix of a route", line)
        else:
            proxy.leave(Rank.DIFFERENT, f"there is no {action} here", line)
        return branches

    def _answers(
        self, proxy: Proxy, line: Line, branches: list[Branch], pools: bool
    ) -> list[Branch]:
        words, _ = cut(line.words)
        action = words[1]
        if action in ("set-header", "add-header", "del-header"):
            try:
                return self._field(proxy, line, branches, "response", pools)
            except ValueError as error:
                proxy.leave(Rank.DIFFERENT, f"{UNSAID}: {error}", line)
        elif action in REFUSALS:
            proxy.leave(Rank.OPEN, "l4lb does not look at the answers of servers", line)
        elif action == "cache-store":
            if cut(line.words)[1]:
                why = "its condition is not looked at: an answer says itself whether it may be kept"
                proxy.leave(Rank.DIFFERENT, why, line)
        elif action.startswith(NOTED):
            proxy.leave(Rank.NOTE, "nothing that is carried over looks at it", line)
        else:
            proxy.leave(Rank.DIFFERENT, f"answers are passed on without {action}", line)
        return branches

    def _cached(self, proxy: Proxy, line: Line, branches: list[Branch]) -> list[Branch]:
        """Converts `cache-use`, for the pools whose answers are stored in that cache."""
        name = line[2]
        pools = {
            one.pool for one in branches
            if one.pool and stores((self._front, self._backs.get(one.pool)), name)
        }  # fmt: skip
        tests = condition(cut(line.words)[1], proxy.acls)
        then = cached(name, branches, pools, proxy.world)
        return self._said(proxy, line, tests, then, branches, False)

    def _field(
        self, proxy: Proxy, line: Line, branches: list[Branch], side: str, pools: bool = True
    ) -> list[Branch]:
        """Converts a rule about a header field."""
        words, asked = cut(line.words)
        name, action = line[2], words[1]
        value = "" if action == "del-header" else " ".join(words[3:])
        if side == "request" and action != "del-header":
            if self._is_told(proxy, line, name, value, asked):
                return branches
            if name.lower() == "host":
                return self._host(proxy, line, value, asked, branches)
        if action == "del-header" and len(words) > 3:
            raise UnsaidError("a field is removed by its whole name")
        if re.search(r"%[^%]", value):
            if side == "response":
                raise UnsaidError("a value that is not the same for all")
            why = "its value is not the same for all: that of clients is removed"
            proxy.leave(Rank.DIFFERENT, why, line)
            value = ""
        value = value.replace("%%", "%")
        if action == "add-header":
            proxy.leave(Rank.DIFFERENT, "it takes the place of other fields of this name", line)
        tests = condition(asked, proxy.acls)
        then = changed(branches, Change(side, name, value), pools)
        return self._said(proxy, line, tests, then, branches, False)

    def _is_told(
        self, proxy: Proxy, line: Line, name: str, value: str, asked: tuple[str, ...]
    ) -> bool:
        """Returns whether l4lb tells backends this of the client anyway."""
        low = name.lower()
        tells = TOLD.get(low) == value.lower() or (
            low == "x-forwarded-proto"
            and ("ssl_fc" in value or ("ssl_fc" in " ".join(asked) and value in ("https", "http")))
        )
        if tells:
            self.forwards = self.forwards or line
            proxy.leave(Rank.NOTE, "l4lb writes it itself: see http.forwarded", line)
        return tells

    def _host(
        self, proxy: Proxy, line: Line, value: str, asked: tuple[str, ...], branches: list[Branch]
    ) -> list[Branch]:
        pool = proxy.world.draft.pools.get(proxy.name)
        if asked or "%" in value or pool is None or not proxy.back:
            raise UnsaidError("Host is one of a pool: see http.host")
        pool.table("http", line.place).put("host", value, line.place)
        return branches

    def _said(
        self, proxy: Proxy, line: Line, tests: Alternatives, then: list[Branch],
        others: list[Branch], exact: bool,
    ) -> list[Branch]:  # fmt: skip
        """Returns branches with a rule in front. exact: the rule turns away, or lets in."""
        found = [one for one in (_alternative(proxy, t, line, exact) for t in tests) if one]
        return decided(found, then, others)


def _alternative(
    proxy: Proxy, tests: Sequence[Test], line: Line, exact: bool
) -> Alternative | None:
    when: dict[str, Any] = {}
    nots: list[dict[str, Any]] = []
    for test in tests:
        found = conditions_of(proxy, test, line, exact)
        if test.negated and set(found) == {"scheme"}:
            found = {"scheme": ["http" if found["scheme"] == ["https"] else "https"]}
        elif test.negated:
            nots.append(found)
            continue
        narrowed = both(when, found)
        if narrowed is None:
            return None
        when = narrowed
    return None if {} in nots else Alternative(when, nots)


def _asked(proxy: Proxy) -> set[str]:
    words = {word.lstrip("!") for line in proxy.rules for word in cut(line.words)[1]}
    return {name for name in proxy.acls if name in words}


def _rank(line: Line) -> Rank:
    """Returns the effect of losing a rule about requests."""
    action = line[0] if line[0] == "redirect" else line[1]
    if action in REFUSALS or action == "del-header":
        return Rank.OPEN
    if action == "redirect":
        return Rank.CLEAR if "https" in " ".join(line.words) else Rank.MISSING
    return Rank.MISSING if action in ("allow", "accept") else Rank.DIFFERENT


def _refusal(proxy: Proxy, line: Line, action: str, words: tuple[str, ...]) -> dict[str, Any]:
    """Returns the answer of a rule that refuses or answers."""
    said = pairs(words)
    usual = {"tarpit": TARPITTED, "return": 200}.get(action, DENIED)
    status = said.get("deny_status") or said.get("status") or str(usual)
    if not status.isdigit() or not 200 <= int(status) <= 599:
        proxy.leave(Rank.DIFFERENT, f"it is answered by the status {usual}", line)
        status = str(usual)
    found: dict[str, Any] = {"status": int(status)}
    if "content-type" in said and ({"string", "lf-string", "file"} & set(said)):
        found["content_type"] = said["content-type"]
    text = said.get("string", said.get("lf-string"))
    if text is not None and "%[" not in text:
        found["body"] = text
    if "file" in said:
        found["file"] = proxy.world.path("", said["file"])
    if action in ("tarpit", "silent-drop", "reject"):
        proxy.leave(Rank.DIFFERENT, f"it is answered by the status {status} at once", line)
    known = {"deny_status", "status", "content-type", "string", "file"}
    more = [one for one in said if one not in known]
    if more:
        proxy.leave(Rank.DIFFERENT, f"{' '.join(more)}: not carried over", line)
    return found


def _redirect(words: tuple[str, ...]) -> dict[str, Any]:
    """Returns the keys of a redirect. Raises UnsaidError."""
    flags = ("drop-query", "keep-query", "append-slash", "ignore-empty")
    said = pairs(tuple(word for word in words if word not in flags))
    query = "" if "drop-query" in words else "{query}"
    kind = next((one for one in ("scheme", "prefix", "location") if one in said), "")
    more = [one for one in said if one not in (kind, "code")]
    if not kind or more or "append-slash" in words:
        raise UnsaidError(" ".join(more) or "a redirect to a scheme, a prefix or a location")
    text = said[kind]
    for form, placeholder in PLACEHOLDERS:
        text = form.sub(placeholder, text)
    if "%" in text.replace("%%", ""):
        raise UnsaidError("a location that is not made of scheme, host, path and query")
    text = text.replace("%%", "%")
    if kind == "scheme":
        text = f"{text}://{{host}}{{path}}{query}"
    elif kind == "prefix":
        text = f"{'' if text == '/' else text}{{path}}{query}"
    code = said.get("code", "302")
    if code not in ("301", "302", "303", "307", "308"):
        raise UnsaidError(f"the status {code}")
    return {"redirect": text, "status": int(code)}
