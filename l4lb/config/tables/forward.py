"""[forward.NAME] and [lists.NAME]: forward proxies, their rules, and lists of domains."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model, Named
from l4lb.config.tables.http import PoolHttp
from l4lb.config.tables.pool import Pool
from l4lb.config.units import duration, size, wrong
from l4lb.config.values import caches, clients, common, forward

OUTSIDE = "outside"  # the one backend there: everything that clients name
NOWHERE = "192.0.2.1:1"  # its address, to which nobody connects (RFC 5737)


class Resolve(Model):
    """How the hosts that clients name are looked up."""

    servers: forward.NameServers = ()
    """Name servers that are asked, as IP or IP:PORT. Absent: those of this host
    (/etc/resolv.conf)."""
    timeout_ms: Annotated[int, *duration(bounds.NAME_LOOKUP_MS)] = Field(
        default=2 * bounds.SECOND_MS, alias="timeout"
    )
    """How long a look-up may take."""
    family: Literal["any", "ipv4", "ipv6"] = "any"
    """IP versions whose addresses are used."""
    min_ttl_ms: Annotated[int, *duration(bounds.TTL_MS)] = Field(
        default=5 * bounds.SECOND_MS, alias="min_ttl"
    )
    """Addresses are kept at least for this long."""
    max_ttl_ms: Annotated[int, *duration(bounds.TTL_MS)] = Field(
        default=5 * bounds.MINUTE_MS, alias="max_ttl"
    )
    """Addresses are kept at most for this long."""


class Auth(Model):
    """Who the users of a forward proxy are. They prove it with a name and a password (Basic, RFC
    7617; of SOCKS5, RFC 1929)."""

    htpasswd: common.FilePath
    """File of users, as Apache's htpasswd writes it. It is read again when it changes."""
    groups: common.FilePath | None = None
    """File of groups: lines `GROUP: USER USER`. It is read again when it changes."""
    realm: forward.Realm = "proxy"
    """What users are told that the password is for."""
    remember_ms: Annotated[int, *duration(bounds.REMEMBER_MS)] = Field(
        default=60 * bounds.SECOND_MS, alias="remember"
    )
    """How long a password that was right needs no new check."""


class ForwardRule(Model):
    """A rule of a forward proxy. All its conditions must hold; the first rule that matches
    decides."""

    name: common.Name
    """Name of the rule in the access log and in answers."""
    action: Literal["allow", "deny", "auth"]
    """"allow" or "deny"; "auth": the client must tell who it is, and then the next rules
    decide."""
    user: forward.Whom | None = None
    """Users, of which the client must be one; "*" is any known user. Needs `auth`."""
    group: forward.Whom | None = None
    """Groups, in one of which the user must be. Needs `auth.groups`."""
    source: clients.Networks | None = None
    """Networks that the client's address is in."""
    domain: forward.Domains | None = None
    """Hosts: "www.example.com", "*.example.com" (any name below it) or an IP address."""
    lists: forward.ListNames | None = Field(default=None, alias="list")
    """Names of lists (`[lists.NAME]`), in one of which the host must be."""
    port: forward.Ports | None = None
    """Ports, or ranges of ports such as "8000-8999"."""
    method: forward.Methods | None = None
    """Methods, such as "CONNECT" or "POST". A client that uses SOCKS has none."""
    url: forward.Urls | None = None
    """Beginnings of URLs, such as "example.com/ads/". Only where the URL is seen: not in a tunnel
    (https, SOCKS)."""
    url_regex: forward.Expressions | None = None
    """Regular expressions (RE2) that are looked for in HOST/PATH?QUERY, where the URL is seen."""
    time: str | None = None
    """Windows of the local time, such as "mon-fri 08:00-12:00 13:00-17:00, sat 10:00-12:00"."""
    page: common.FilePath | None = None
    """File (.html, .json or .txt) that refused clients get as the body of the answer 403. For
    "deny". Read at start and at each reload. Absent: the listener's page for 403, or one line."""


def _few_rules(rules: tuple[ForwardRule, ...]) -> tuple[ForwardRule, ...]:
    if len(rules) > bounds.FORWARD_RULES_MAX:
        raise wrong(f"must have at most {bounds.FORWARD_RULES_MAX} rules, not {len(rules)}")
    return rules


Rules = Annotated[
    tuple[ForwardRule, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[ForwardRule]),
    AfterValidator(_few_rules),
]


class Forward(Named):
    """A forward proxy, which http and socks5 listeners name: its clients say where they want to go
    (docs/forward.md)."""

    connect_ports: forward.Ports = Field(default=("443",), json_schema_extra={"default": [443]})
    """Ports that tunnels (CONNECT) may go to."""
    ports: forward.Ports = Field(
        default=("80", "443", "1025-65535"),
        json_schema_extra={"default": [80, 443, "1025-65535"]},
    )
    """Ports that requests for URLs, and clients with SOCKS, may go to."""
    private: Literal["deny", "allow"] = "deny"
    """Whether clients may reach private addresses: this host, its networks, and the like. It is
    decided by the address that is connected to, whatever the name was."""
    allow_private: clients.ManyNetworks = ()
    """Private networks that clients may reach with private = "deny", too."""
    resolve: Resolve = Resolve()
    auth: Auth | None = None
    anonymous: bool = True
    """Servers are not told of the client: no X-Forwarded-For, Forwarded, Via or From."""
    sni: Literal["off", "log", "match"] = "off"
    """The server name that a client of TLS asks for inside its tunnel. "log": it is logged;
    "match": it must be the host that the tunnel leads to, and a tunnel by CONNECT must be TLS."""
    cache: caches.CacheOrOff = "off"
    """Name of the cache for answers to requests that are not encrypted. `http.cache` of a listener
    goes before it. "off": answers are not kept."""
    rules: Rules = ()
    """Rules, in their order: the first one that matches decides."""
    otherwise_given: Literal["deny", "allow"] | None = Field(
        default=None,
        alias="otherwise",
        json_schema_extra={"x-l4lb-default": '`"deny"` with `rules`, else `"allow"`'},
    )
    """What happens if no rule matches. Without rules, but with `auth`, known users are allowed."""
    policy_timeout_ms: Annotated[int, *duration(bounds.POLICY_TIMEOUT_MS)] = Field(
        default=2 * bounds.SECOND_MS, alias="policy_timeout"
    )
    """How long the decision about a host may take, its look-up and the check of a password
    included. What happens after that, on_policy_failure says."""
    on_policy_failure: Literal["deny", "allow"] = "deny"
    """If no decision comes in time: "deny": the client is refused (503); "allow": the last decision
    about the same request still decides, however old it is, and an IP address may be reached by
    whoever asks, if it is not private. Hosts that nobody has asked for before are refused even
    then: nobody knows their addresses."""
    connect_timeout_ms: Annotated[int, *duration(bounds.CONNECT_TIMEOUT_MS)] = Field(
        default=5 * bounds.SECOND_MS, alias="connect_timeout"
    )
    """How long a host may take to accept a connection."""
    idle_timeout_ms: Annotated[int, *duration(bounds.IDLE_TIMEOUT_MS)] = Field(
        default=10 * bounds.MINUTE_MS, alias="idle_timeout"
    )
    """How long a tunnel is kept in which nothing is sent."""
    max_connections: common.Connections = 0
    """Connections to the outside at one time, over all workers. 0: no limit."""
    connections_per_user: common.Connections = 0
    """Connections to the outside that each known user may have at one time, over all workers. 0: no
    limit."""
    bandwidth_per_user: Annotated[int, *size(bounds.BYTES_PER_SECOND)] | None = None
    """Bytes a second of each known user, over all his connections and both directions together."""

    @property
    def otherwise(self) -> Literal["deny", "allow"]:
        """What happens if no rule matches."""
        return self.otherwise_given or ("deny" if self.rules else "allow")

    @property
    def sees_paths(self) -> bool:
        """True if a rule looks at URLs."""
        return any(rule.url or rule.url_regex for rule in self.rules)

    def pool(self) -> Pool:
        """Returns the pool in which this proxy's connections count, as those of other pools do."""
        found = Pool.model_validate(
            {
                "backends": [{"name": OUTSIDE, "address": NOWHERE}],
                "retries": 0,
                "http": PoolHttp(reuse="never"),
            }
        )
        return found.model_copy(
            update={
                "connect_timeout_ms": self.connect_timeout_ms,
                "idle_timeout_given_ms": self.idle_timeout_ms,
                "max_connections": self.max_connections,
            }
        )


class DomainList(Named):
    """A list of domains, which rules of forward proxies name."""

    files: forward.ListFiles
    """Files, or patterns of files (`*`). A folder is a category as squidGuard has it: its files
    `domains` and `urls`. They are read again when they change."""
    format: Literal["auto", "domains", "hosts", "dnsmasq"] = "auto"
    """Format of the lines: names, lines of a hosts file, or of a configuration of dnsmasq. "auto":
    each line says it."""
    subdomains: bool = True
    """Whether each name stands for all names below it, too."""
    excepted: forward.Excepted = Field(default=(), alias="except")
    """Names that are not in the list, nor any below them."""


def pool_name(name: str) -> str:
    """Returns the name of a forward proxy's pool."""
    return f"{common.FORWARD_POOL}{name}"
