"""[listeners.NAME.filter]: requests that are turned away before a route looks at them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.tables.http_route import RequestConditions
from l4lb.config.units import shown, size, whole, wrong
from l4lb.config.values import clients, common, http_route

OF_METHODS = "methods"  # the name under which requests with other methods are counted
DENIED, TOO_MANY = 403, 429  # the statuses of rules that name none


class FilterRule(RequestConditions):
    """A rule of a filter. All its conditions must hold."""

    name: common.Name
    """Name of the rule in `admin filters` and in metrics."""
    sni: clients.ServerNames | None = None
    """Server names that a TLS client asks for, as in routes."""
    source: clients.Networks | None = None
    """Networks that the client's address is in. One, or an array of which one must match."""
    user_agent: http_route.Patterns | None = None
    """Patterns for the field User-Agent; "": it is absent or empty. In a pattern * stands for any
    text. One, or an array of which one must match."""
    header_count: Annotated[int, *whole(bounds.HTTP_FIELDS)] | None = None
    """Requests with more header fields than this."""
    query_length: Annotated[int, *size(bounds.FILTER_QUERY_BYTES)] | None = None
    """Requests with a longer query than this, without its question mark."""
    body_over: Annotated[int, *size(bounds.HTTP_BODY_BYTES)] | None = None
    """Requests that announce a longer body than this. A chunked body has no length; `http.max_body`
    limits it."""

    action: Literal["deny", "tarpit", "limit", "log"]
    """What happens with the request. "deny": it is answered with `status`. "tarpit": its client is
    held in silence for `tarpit_time`, then reset. "limit": more requests of one source than `limit`
    a second are answered with `status`. "log": it is counted."""
    status: http_route.AnswerStatus | None = None
    """Status of the answer. Absent: 403, and of "limit" 429."""
    limit: Annotated[int, *whole(bounds.REQUESTS_PER_SECOND)] | None = None
    """Requests of each source a second that meet the conditions, over all workers. For "limit"."""
    burst: Annotated[int, *whole(bounds.REQUESTS_PER_SECOND)] | None = None
    """Requests at once, after a quiet time. Absent: as many as `limit`."""
    dry_run: bool = False
    """Only count the requests that would have been refused."""

    @model_validator(mode="after")
    def _has_a_condition(self) -> FilterRule:
        if all(getattr(self, key) is None for key in CONDITIONS):
            raise wrong("has no condition", "name one of path_prefix, method, user_agent, ...")
        return self

    @model_validator(mode="after")
    def _keys_fit_the_action(self) -> FilterRule:
        if self.action == "limit" and self.limit is None:
            raise wrong("limits without a limit", "limit = 10, for example")
        if self.action != "limit" and (self.limit or self.burst):
            raise wrong(f"has a limit, and the action {shown(self.action)}", 'action = "limit"')
        if self.status is not None and self.action in ("tarpit", "log"):
            raise wrong(f"has a status, and {shown(self.action)} gives no answer", "remove status")
        if self.dry_run and self.action == "log":
            raise wrong("counts only, with or without dry_run", "remove dry_run")
        return self


CONDITIONS = (
    *RequestConditions.model_fields,
    "sni",
    "source",
    "user_agent",
    "header_count",
    "query_length",
    "body_over",
)

Rules = Annotated[
    tuple[FilterRule, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[FilterRule]),
]
Allowed = Annotated[
    tuple[http_route.Method, ...],
    BeforeValidator(clients.one_or_more, json_schema_input_type=list[http_route.Method]),
]


class Filter(Model):
    """Requests that are turned away before a route looks at them."""

    methods: Allowed | None = None
    """Methods that requests may have. Others get the status 405. Absent: any."""
    rules: Rules = ()
    """Rules, in their order: the first one that refuses a request decides. Rules that only count
    let it go on."""

    @property
    def rows(self) -> int:
        """How many rules it is compiled to."""
        return len(self.rules) + (self.methods is not None)

    @property
    def reads_hello(self) -> bool:
        """True if a rule needs the client's ClientHello."""
        return any(rule.sni is not None for rule in self.rules)
