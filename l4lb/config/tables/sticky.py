"""[pools.NAME.sticky]: sticky sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import duration
from l4lb.config.values import common, http


class StickyCookie(Model):
    """A cookie that l4lb sets and that names a client's backend. Its value is a hash with the
    installation's key: see `hash_seed`."""

    name: http.FieldName = "l4lb"
    """Name of the cookie."""
    max_age_ms: Annotated[int, *duration(bounds.COOKIE_AGE_MS)] | None = Field(
        default=None, alias="max_age"
    )
    """How long browsers keep the cookie. Absent: until they are closed."""
    secure: bool = False
    """Browsers send the cookie with https:// only."""
    http_only: bool = True
    """Scripts in pages cannot read the cookie."""
    same_site: Literal["lax", "strict", "none"] = "lax"
    """Whether requests from pages of other sites carry the cookie. "none" needs `secure`."""
    path: http.CookiePath = "/"
    """The part of the site whose requests carry the cookie."""

    @property
    def attributes(self) -> str:
        """What follows the cookie's value in the field Set-Cookie (RFC 6265, 4.1)."""
        age = "" if self.max_age_ms is None else f"; Max-Age={self.max_age_ms // 1000}"
        flags = "; Secure" * self.secure + "; HttpOnly" * self.http_only
        return f"; Path={self.path}{age}{flags}; SameSite={self.same_site.capitalize()}"


class Sticky(Model):
    """Sticky sessions: a client keeps the backend of its first session."""

    key: http.StickyKey = "source_ip"
    """What a client is recognised by. A client that asks for no server name is recognised by its
    address. HTTP: "cookie:NAME", "header:NAME", "query:NAME", "host" and "path" are values of each
    request; one without the value is not sticky. A cookie's value is also learnt where a backend
    sets it."""
    prefix: common.HashPrefix = Field(default=(32, 128), json_schema_extra={"default": [32, 128]})
    """Number of bits of an IPv4 and of an IPv6 source address that count."""
    ttl_ms: Annotated[int, *duration(bounds.STICKY_TTL_MS)] = Field(
        default=30 * bounds.MINUTE_MS, alias="ttl"
    )
    """How long a client is remembered after its last session."""
    cookie: StickyCookie | None = None
    """HTTP: a cookie in the client's browser names its backend, instead of a table in memory."""
