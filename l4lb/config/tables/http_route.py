"""What a route of an HTTP listener has beside that of a TCP listener: conditions and actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import duration, shown, whole, wrong
from l4lb.config.values import caches, common, http, http_route


class NamedRule(Protocol):
    @property
    def name(self) -> str: ...


Rule = TypeVar("Rule", bound=NamedRule)


class Respond(Model):
    """An answer that l4lb gives itself."""

    status: http_route.AnswerStatus = 200
    """Status of the answer."""
    body: http_route.Body | None = None
    """The answer's body. Absent, without `file` either: there is none."""
    file: common.FilePath | None = None
    """Path of a file with the body. Read at start and at each reload."""
    content_type: http_route.MediaType = "text/plain; charset=utf-8"
    """Media type of the body."""

    @model_validator(mode="after")
    def _one_body(self) -> Respond:
        if self.body is not None and self.file is not None:
            raise wrong("has two bodies", "name one of body, file")
        if self.status in (204, 304) and (self.body or self.file):
            raise wrong(f"the status {self.status} has no body")
        return self


class RequestRate(Model):
    """A rate limit of requests, by a token bucket."""

    limit: Annotated[int, *whole(bounds.REQUESTS_PER_SECOND)]
    """Requests a second."""
    burst: Annotated[int, *whole(bounds.REQUESTS_PER_SECOND)] | None = None
    """Requests at once, after a quiet time. Absent: as many as `limit`."""
    status: http_route.AnswerStatus = 429
    """Status of the answer to a request above the limit."""
    dry_run: bool = False
    """Only count the requests that would have been refused."""


def _as_rate(value: object) -> object:
    return value if isinstance(value, (dict, Model)) else {"limit": value}


Rate = Annotated[RequestRate, BeforeValidator(_as_rate, json_schema_input_type=int | RequestRate)]


class KeyRate(RequestRate):
    """A rate limit of requests for each value of a key."""

    key: http.RequestKeyOf
    """What of a request is counted: "header:NAME", "cookie:NAME", "query:NAME" (their first value),
    "host" or "path". Requests without a value are not counted."""


class RouteLimits(Model):
    """Limits of the requests that one route takes, exact over all workers. A limit is a bare
    number or a table with it."""

    requests: Rate | None = None
    """Requests of this route a second."""
    requests_per_source: Rate | None = None
    """Requests of each source a second."""
    requests_per_key: KeyRate | None = None
    """Requests a second with the same value of a key."""


class RequestConditions(Model):
    """What is looked at in a request. All conditions must hold."""

    host: http_route.Hosts | None = None
    """Hosts that the request asks for, without a port: "www.example.com", "*.example.com" (any name
    below it) or "*". One, or an array of which one must match."""
    path: http_route.Paths | None = None
    """Paths, without a query. Paths are compared with `%41` decoded, `..` resolved and, with
    `http.merge_slashes`, `//` merged. One, or an array of which one must match."""
    path_prefix: http_route.Paths | None = None
    """Beginnings of paths, as text: "/static/" has "/static/a.css" below it. One, or an array of
    which one must match."""
    path_suffix: http_route.PathEnds | None = None
    """Ends of paths, such as ".css". One, or an array of which one must match."""
    path_regex: http_route.Regexes | None = None
    """Regular expressions in RE2's syntax, which are looked for anywhere in the path unless ^ and $
    hold them: "^/user/[0-9]+$". One, or an array of which one must match."""
    method: http_route.Methods | None = None
    """Methods, such as "GET". One, or an array of which one must match."""
    scheme: http_route.Schemes | None = None
    """"https" if TLS ends at this listener, else "http"."""
    header: http_route.FieldPatterns | None = None
    """Header fields by name, each with a pattern for its value, or an array of patterns of which
    one must match: { "X-Version" = "2*" }. In a pattern * stands for any text; an empty one means
    that the field is absent or empty. All names must match."""
    cookie: http_route.FieldPatterns | None = None
    """Cookies by name, with patterns as in `header`."""
    query: http_route.Arguments | None = None
    """Arguments of the query by name, with patterns as in `header`. They are compared with `%41`
    and `+` decoded."""


def few_rules(maximum: int) -> Callable[[tuple[Rule, ...]], tuple[Rule, ...]]:
    """Makes a check of rules with names: at most so many, and no name twice."""

    def check(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if len(rules) > maximum:
            raise wrong(f"must have at most {maximum} rules, not {len(rules)}")
        names = [rule.name for rule in rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise wrong(f"has two rules named {twice}", "names are unique")
        return rules

    return check


class HttpRoute(RequestConditions):
    """The part of a route that only HTTP listeners have."""

    name: common.Name | None = None
    """Name of the route in metrics, log and `admin routes`. Absent: its number, from 1."""
    redirect: http_route.Location | None = None
    """Sends the client elsewhere: a path, or a URL. {scheme}, {host}, {path}, {rest} (of the path
    after the `path_prefix` that matched) and {query} (with its question mark) stand for parts of
    the request. Without any of them, {rest} and {query} are added at the end."""
    status: http_route.RedirectStatus | None = None
    """Status of the redirect. Absent: 302."""
    respond: Respond | None = None
    rewrite_prefix: http_route.NewPrefix | None = None
    """Text in place of the `path_prefix` that matched, in the path that the backend gets."""
    set_request_headers: http_route.NewFields | None = None
    """Header fields that the backend gets in place of the client's of this name."""
    remove_request_headers: http_route.OldFields | None = None
    """Header fields of the request that the backend does not get."""
    set_response_headers: http_route.NewFields | None = None
    """Header fields that the client gets in place of the backend's of this name."""
    remove_response_headers: http_route.OldFields | None = None
    """Header fields of the answer that the client does not get."""
    timeout_ms: Annotated[int, *duration(bounds.ANSWER_TIMEOUT_MS)] | None = Field(
        default=None, alias="timeout"
    )
    """How long a backend may take until its answer begins, in place of the pool's
    `http.answer_timeout`."""
    cache: caches.CacheOrOff | None = None
    """Name of the cache for these requests; "off": none. Absent: that of the listener."""
    limits: RouteLimits | None = None

    @model_validator(mode="after")
    def _actions_agree(self) -> HttpRoute:
        if self.redirect is not None and self.respond is not None:
            raise wrong("redirects and responds", "name one of redirect, respond")
        if self.status is not None and self.redirect is None:
            raise wrong("has a status and no redirect", "an answer's status is in respond")
        if self.rewrite_prefix is not None and self.path_prefix is None:
            raise wrong("has rewrite_prefix and no path_prefix to replace")
        if self.redirect is not None and "{rest}" in self.redirect and not self.path_prefix:
            raise wrong("has {rest} in redirect and no path_prefix before it")
        both = self._set_and_removed()
        if both:
            raise wrong(f"sets and removes the header field {shown(both)}")
        if not self.to_pool and self._tells_how:
            hint = "rewrite_prefix, set_request_headers, remove_request_headers, timeout, cache"
            raise wrong("sends no request to a backend, and says how one is sent", f"remove {hint}")
        return self

    @property
    def _tells_how(self) -> bool:
        """True if the route says something about requests that backends get."""
        caches = self.cache not in (None, "off")
        return bool(
            self.rewrite_prefix or self.changes_request or self.timeout_ms is not None or caches
        )

    def _set_and_removed(self) -> str | None:
        pairs = (
            (self.set_request_headers, self.remove_request_headers),
            (self.set_response_headers, self.remove_response_headers),
        )
        for new, old in pairs:
            removed = {name.lower() for name in old or ()}
            for name in new or ():
                if name.lower() in removed:
                    return name
        return None

    @property
    def to_pool(self) -> bool:
        """True if a backend answers."""
        return self.redirect is None and self.respond is None

    @property
    def changes_request(self) -> bool:
        """True if the header of requests is changed."""
        return bool(self.set_request_headers or self.remove_request_headers)
