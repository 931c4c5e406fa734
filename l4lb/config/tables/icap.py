"""[icap.NAME] and http.inspect: engines that look into requests and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables.base import Named
from l4lb.config.tables.http_route import RequestConditions, few_rules
from l4lb.config.units import duration, size
from l4lb.config.values import clients, common, icap

What = Literal["requests", "answers"]
Whats = Annotated[
    tuple[What, ...],
    BeforeValidator(clients.one_or_more, json_schema_input_type=What | list[What]),
]


class Icap(Named):
    """An engine that inspects requests and answers, by ICAP (RFC 3507), such as c-icap with
    ClamAV."""

    url: icap.ServiceUrl
    """URL of the service, such as "icap://127.0.0.1:1344/avscan". Its host is an IP address; the
    port is 1344 unless it is given."""
    timeout_ms: Annotated[int, *duration(bounds.ICAP_TIMEOUT_MS)] = Field(
        default=10 * bounds.SECOND_MS, alias="timeout"
    )
    """How long the engine may take for all of an inspection."""
    max_body: Annotated[int, *size(bounds.ICAP_BODY_BYTES)] = 8 << 20
    """Bytes of the largest body that is inspected. The engine may answer with as many."""
    max_time_ms: Annotated[int, *duration(bounds.ICAP_TIMEOUT_MS)] = Field(
        default=60 * bounds.SECOND_MS, alias="max_time"
    )
    """How long a body may take to come. One that takes longer counts as too large."""
    too_large: Literal["deny", "allow"] = "deny"
    """What happens with a body that is larger than `max_body`. "deny": a request gets the status
    413, and an answer becomes the status 502. "allow": it goes on without an inspection."""


class Inspect(RequestConditions):
    """A rule that has an engine inspect requests or answers. All its conditions must hold; they are
    about the request. Without a condition, it is for all."""

    name: common.Name
    """Name of the rule in the access log, in `admin inspections` and in metrics."""
    icap: common.Name
    """Name of the engine: `[icap.NAME]`."""
    what: Whats = Field(
        default=("requests", "answers"), json_schema_extra={"default": ["requests", "answers"]}
    )
    """What is inspected: "requests" before a backend gets a byte of them, "answers" before the
    client does."""
    on_failure: Literal["deny", "allow"] = "deny"
    """What happens if the engine cannot be asked, or gives no valid answer in its time. "deny": the
    client gets the status 503. "allow": the request or the answer goes on."""
    source: clients.Networks | None = None
    """Networks that the client's address is in. One, or an array of which one must match."""


Inspections = Annotated[
    tuple[Inspect, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[Inspect]),
    AfterValidator(few_rules(bounds.INSPECT_RULES_MAX)),
]
