"""[cache.NAME]: memory with answers of HTTP that all workers share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model, Named
from l4lb.config.units import duration, percent, size, whole
from l4lb.config.values import caches, clients, http

DEFAULT_OBJECT = 1 << 20
DEFAULT_DISK_OBJECT = 1 << 30
KEY: tuple[caches.KeyPart, ...] = ("scheme", "host", "path", "query")
TARGETED = ("L4LB-CDN-Cache-Control", "CDN-Cache-Control")


def largest_object(memory: int, workers: int) -> int:
    """Returns how large an object can be at most: each worker writes a part of the memory."""
    return memory // workers // bounds.CACHE_OBJECTS_MIN


def largest_file(disk: int) -> int:
    """Returns how large an object on a disk can be at most."""
    return disk // bounds.CACHE_DISK_OBJECTS_MIN


class Purge(Model):
    """Requests that take an answer out of the cache, all its variants with it."""

    networks: clients.Networks
    """Networks whose clients may purge. All others get the status 403."""
    method: caches.PurgeMethod = "PURGE"
    """Method of these requests."""


class Disk(Model):
    """A folder that has the answers of a cache, too: more of them, larger ones, and after a restart
    as well."""

    path: caches.DiskPath
    """The folder. It is made if it is missing. No other cache and no other program may use it."""
    size: Annotated[int, *size(bounds.CACHE_DISK_BYTES)]
    """Bytes that the files in the folder may take."""
    max_object: Annotated[int, *size(bounds.CACHE_DISK_OBJECT_BYTES)] | None = Field(
        default=None, json_schema_extra={"x-l4lb-default": "`1GiB`, or what fits"}
    )
    """Bytes of the largest answer that is kept, with its head: at most an eighth of `size`."""

    @property
    def object_bytes(self) -> int:
        """The bytes of the largest answer that is kept on the disk."""
        return self.max_object or min(DEFAULT_DISK_OBJECT, largest_file(self.size))


class Cache(Named):
    """A cache of answers, which HTTP listeners and their routes name (docs/cache.md)."""

    memory: Annotated[int, *size(bounds.CACHE_MEMORY_BYTES)] = 256 << 20
    """Memory for answers. It is taken as answers are kept."""
    max_object: Annotated[int, *size(bounds.CACHE_OBJECT_BYTES)] | None = Field(
        default=None, json_schema_extra={"x-l4lb-default": "`1MiB`, or what fits"}
    )
    """Bytes of the largest answer that is kept, with its head: at most a fifth of the memory that a
    worker has (`memory` divided by the workers)."""
    disk: Disk | None = None
    key: caches.Key = Field(default=KEY, json_schema_extra={"default": list(KEY)})
    """Parts of a URL that tell answers apart. "path" must be among them. Without "host", all hosts
    get the same answers."""
    ignore_query: caches.Arguments = ()
    """Names of query arguments that do not tell answers apart, such as "fbclid"; "utm_*" is all
    names that begin with utm_."""
    ignore_cookies: caches.Cookies = ()
    """Names of cookies that do not count where an answer says `Vary: Cookie`, such as "_fbp";
    "_ga*" is all names that begin with _ga."""
    default_ttl_ms: Annotated[int, *caches.seconds(bounds.CACHE_TIME_MS)] = Field(
        default=0, alias="default_ttl"
    )
    """How long an answer is fresh that does not say it. "0s": `heuristic` decides."""
    heuristic_percent: Annotated[int, *percent(bounds.HEURISTIC_PERCENT)] = Field(
        default=10, alias="heuristic"
    )
    """How long an answer is fresh that only says when it was last modified: this part of the time
    since then (RFC 9111, 4.2.2). "0%": not at all."""
    max_ttl_ms: Annotated[int, *caches.seconds(bounds.CACHE_LIFETIME_MS)] = Field(
        default=7 * bounds.DAY_MS, alias="max_ttl"
    )
    """The longest time for which an answer is fresh, whatever it says."""
    stale_while_revalidate_ms: Annotated[int, *caches.seconds(bounds.CACHE_TIME_MS)] = Field(
        default=0, alias="stale_while_revalidate"
    )
    """How long a stale answer is still used while the backend is asked for a new one, where the
    answer does not say it (RFC 5861)."""
    stale_if_error_ms: Annotated[int, *caches.seconds(bounds.CACHE_TIME_MS)] = Field(
        default=bounds.HOUR_MS, alias="stale_if_error"
    )
    """How long a stale answer is still used when the backends fail, where the answer does not say
    it (RFC 5861)."""
    collapse: bool = True
    """Of several requests for what is not kept yet, one goes to a backend. The others wait for its
    answer (request collapsing)."""
    collapse_timeout_ms: Annotated[int, *duration(bounds.COLLAPSE_TIMEOUT_MS)] = Field(
        default=5 * bounds.SECOND_MS, alias="collapse_timeout"
    )
    """How long a request waits for the answer to another one. Then it goes to a backend itself."""
    purge: Purge | None = None
    tags: http.FieldOrOff = "Cache-Tag"
    """Name of the field in which backends name an answer's tags, with commas or spaces between
    them. Answers can be purged by tag. "off": answers have no tags."""
    status: http.FieldOrOff = "Cache-Status"
    """Name of the field that tells clients what the cache did (RFC 9211). "off": there is none."""
    statuses: caches.Statuses = Field(default_factory=dict, json_schema_extra={"default": {}})
    """How long answers with these statuses are fresh that do not say it, in place of `default_ttl`
    and `heuristic`: { "404" = "10s" }."""
    cdn_cache_control: caches.TargetedFields = Field(
        default=TARGETED, json_schema_extra={"default": list(TARGETED)}
    )
    """Names of fields that say in place of Cache-Control what this cache may do (RFC 9213). The
    first of them that an answer has counts."""
    max_variants: Annotated[int, *whole(bounds.CACHE_VARIANTS)] = 16
    """Answers of one URL that the field Vary tells apart. Another one takes the place of the
    oldest."""

    def object_bytes(self, workers: int) -> int:
        """Returns the bytes of the largest answer that is kept."""
        return self.max_object or min(DEFAULT_OBJECT, largest_object(self.memory, workers))
