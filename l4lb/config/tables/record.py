"""[record.NAME] and http.record: requests and answers that are kept in a folder."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables.base import Named
from l4lb.config.tables.http_route import RequestConditions, few_rules
from l4lb.config.units import size
from l4lb.config.values import caches, clients, common, http
from l4lb.config.values.record import USUAL_FIELDS, USUAL_VALUES, ValueNames


class Record(Named):
    """A folder in which requests and answers are kept that a rule chooses, with their secrets
    masked (docs/record.md)."""

    folder: caches.DiskPath
    """The folder. It is made if it is missing; only the service's user may read it."""
    max_size: Annotated[int, *size(bounds.RECORD_BYTES)] = 1 << 30
    """Bytes that all files in the folder may take. The oldest leave for new ones."""
    max_body: Annotated[int, *size(bounds.RECORD_BODY_BYTES)] = 64 << 10
    """Bytes of a body that are kept, of a request and of an answer each. 0: only heads are."""
    statuses: http.ErrorStatuses | None = None
    """Statuses of the answers that are kept, with their requests: [500, "502-504"]. Absent: all."""
    mask_fields: http.FieldNames = Field(
        default=USUAL_FIELDS, json_schema_extra={"default": list(USUAL_FIELDS)}
    )
    """Names of header fields whose values are masked, beside Authorization, Proxy-Authorization,
    Cookie and Set-Cookie."""
    mask_values: ValueNames = Field(
        default=USUAL_VALUES, json_schema_extra={"default": list(USUAL_VALUES)}
    )
    """Names of arguments in URLs, of fields of forms, of members of JSON, and of header fields,
    whose values are masked. Case, `_` and `-` do not count in them."""


class RecordRule(RequestConditions):
    """A rule that has requests and their answers kept. All its conditions must hold; they are about
    the request. Without a condition, it is for all."""

    name: common.Name
    """Name of the rule, which what is kept has in its about.json."""
    record: common.Name
    """Where it is kept: `[record.NAME]`."""
    percent: clients.Share | None = None
    """Share of the requests that meet the conditions. Absent: all."""
    source: clients.Networks | None = None
    """Networks that the client's address is in. One, or an array of which one must match."""


RecordRules = Annotated[
    tuple[RecordRule, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[RecordRule]),
    AfterValidator(few_rules(bounds.RECORD_RULES_MAX)),
]
