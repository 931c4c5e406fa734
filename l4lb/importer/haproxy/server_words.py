"""Options of `server`, `default-server` and `server-template`: the number of their words, and the
report for options that have no equivalent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from l4lb.importer.draft import Rank, word_set

# Options that take a value; all others take none.
TAKES_VALUE = word_set(
    """
    weight maxconn minconn inter fastinter downinter rise fall port addr cookie id slowstart
    track ca-file crt crl-file sni verify verifyhost alpn npn ciphers ciphersuites
    client-sigalgs sigalgs curves agent-port agent-inter agent-send agent-addr observe
    error-limit on-error maxqueue init-addr resolvers resolve-net resolve-opts resolve-prefer
    on-marked-down on-marked-up check-sni check-alpn check-proto proto namespace socks4
    ssl-min-ver ssl-max-ver proxy-v2-options redir log-proto log-bufsize pool-conn-name
    pool-low-conn pool-max-conn pool-purge-delay max-reuse shard hash-key ws guid healthcheck
    init-state set-proxy-v2-tlv-fmt tcp-md5sig idle-ping usesrc interface check-pool-conn-name
    sni-auto-host tcp-ut ca-verify-file renegotiate-limit cc from
    """
)  # fmt: skip

TLS_LEFT = (Rank.DIFFERENT, "OpenSSL's own choice is used here")
POOLED = (Rank.NOTE, "l4lb does not reuse a connection to a backend for another session")
# Options that are known and not converted.
LEFT: Mapping[str, tuple[Rank, str]] = {
    "cookie": (Rank.DIFFERENT, "it looks into HTTP; `sticky` keeps clients by their address"),
    "minconn": (Rank.DIFFERENT, "the limit does not move with load here"),
    "track": (Rank.UNCHECKED, "a backend's health is its own here: add a check"),
    "on-marked-up": (Rank.DIFFERENT, "sessions of backups go on here"),
    "crl-file": (Rank.CLEAR, "l4lb accepts revoked certificates"),
    "healthcheck": (Rank.UNCHECKED, "sections of checks are not read"),
    "check-via-socks4": (Rank.UNCHECKED, "there is no proxy by SOCKS here"),
    "socks4": (Rank.MISSING, "backends are reached without a proxy here"),
    "namespace": (Rank.MISSING, "backends are reached in the service's own network namespace"),
    "redir": (Rank.DIFFERENT, "it looks into HTTP"),
    "agent-addr": (Rank.UNCHECKED, "agents are asked at the backend's own address"),
    "proto": (Rank.DIFFERENT, "bytes are relayed as they are"),
    "check-proto": (Rank.UNCHECKED, "HTTP checks of l4lb use HTTP/1.1"),
    "check-alpn": (Rank.DIFFERENT, "checks of l4lb offer no ALPN protocol"),
    "init-state": (Rank.DIFFERENT, "see `initial` of the pool's health"),
    "tcp-md5sig": (Rank.CLEAR, "l4lb does not sign segments"),
    "set-proxy-v2-tlv-fmt": (Rank.DIFFERENT, "see proxy_tlvs"),
    "resolve-net": (Rank.DIFFERENT, "the first IPv4 address is taken, else the first IPv6 one"),
    "resolve-opts": (Rank.NOTE, "a name has one backend for each address"),
    "resolve-prefer": (Rank.DIFFERENT, "the first IPv4 address is taken, else the first IPv6 one"),
    "ssl-max-ver": (Rank.DIFFERENT, "l4lb uses the newest TLS version"),
    "no-tlsv13": (Rank.DIFFERENT, "l4lb uses the newest TLS version"),
    "force-tlsv12": (Rank.DIFFERENT, "l4lb uses the newest TLS version"),
    "curves": TLS_LEFT, "sigalgs": TLS_LEFT, "client-sigalgs": TLS_LEFT, "npn": TLS_LEFT,
    "pool-conn-name": POOLED, "pool-low-conn": POOLED, "pool-max-conn": POOLED,
    "pool-purge-delay": POOLED, "max-reuse": POOLED, "idle-ping": POOLED, "http-reuse": POOLED,
    "check-pool-conn-name": POOLED, "check-reuse-pool": POOLED,
    "id": (Rank.NOTE, "backends are known by their names"),
    "guid": (Rank.NOTE, "backends are known by their names"),
    "hash-key": (Rank.DIFFERENT, "a backend is hashed by its address and port"),
    "shard": (Rank.NOTE, "it is about peers"),
    "tfo": (Rank.NOTE, "connections are opened in the usual way"),
    "ws": (Rank.NOTE, "bytes are relayed as they are"),
    "log-proto": (Rank.DIFFERENT, "bytes are relayed as they are"),
    "log-bufsize": (Rank.NOTE, "bytes are relayed as they are"),
    "no-ssl": (Rank.NOTE, "as it is without it"),
    "cc": (Rank.NOTE, "congestion control is the host's"),
    "tcp-ut": (Rank.DIFFERENT, "see user_timeout of the pool"),
    "renegotiate": (Rank.NOTE, "there is no renegotiation here"),
    "from": (Rank.DIFFERENT, "servers have what default-server says"),
    "strict-maxconn": (Rank.NOTE, "max_connections is exact here"),
}  # fmt: skip
# Options that describe l4lb's behaviour anyway.
SILENT = word_set(
    """
    enabled no-check no-send-proxy no-send-proxy-v2 no-backup no-agent-check stick non-stick
    no-check-ssl ssl-reuse tls-tickets no-tls-tickets no-sslv3 no-tlsv10 no-tlsv11 no-tfo
    no-renegotiate no-verifyhost ssl
    """
)  # fmt: skip
# Options that undo another one.
UNDONE = {
    "no-check": "check", "no-ssl": "ssl", "no-send-proxy": "send-proxy", "no-backup": "backup",
    "no-send-proxy-v2": "send-proxy-v2", "no-agent-check": "agent-check", "enabled": "disabled",
    "no-check-ssl": "check-ssl", "ssl-reuse": "no-ssl-reuse",
}  # fmt: skip


def options_of(words: Iterable[str]) -> dict[str, str]:
    """Returns each option with its value. The later of two counts, and removes what it undoes."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        tlv, _, _ = word.partition("(")
        word = tlv if tlv == "set-proxy-v2-tlv-fmt" else word
        value = next(rest, "") if word in TAKES_VALUE or word == "source" else ""
        found.pop(UNDONE.get(word, word), None)
        found[word] = value
    return found
