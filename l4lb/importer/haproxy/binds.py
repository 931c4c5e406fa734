"""Converts binds into listeners: binds of a section with equal settings are one listener."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from l4lb.importer.draft import Rank, Table, word_set
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.servers import ELSEWHERE
from l4lb.importer.haproxy.words import Line

ANY_6 = ("::", "[::]")
CHOSEN = (Rank.DIFFERENT, "OpenSSL's own choice is used here")
SAME = (Rank.NOTE, "clients do not notice")

# Options that take a value; all others take none.
TAKES_VALUE = word_set(
    """
    interface mss tcp-ut backlog maxconn nice process thread shards id name level mode user
    uid group gid namespace proto severity-output tls-ticket-keys crt crt-list default-crt
    ca-file ca-verify-file ca-sign-file ca-sign-pass ca-ignore-err crt-ignore-err crl-file
    verify alpn npn ciphers ciphersuites curves ecdhe sigalgs client-sigalgs ssl-min-ver
    ssl-max-ver guid-prefix nbconn default_crt ktls cc label tcp-md5sig
    """
)  # fmt: skip
LEFT: Mapping[str, tuple[Rank, str]] = {
    "accept-netscaler-cip": (Rank.MISSING, "headers of NetScaler are not read here"),
    "namespace": (Rank.MISSING, "listeners are in the service's own network namespace"),
    "mode": (Rank.OPEN, "who may connect to the socket is not said: see `bind`"),
    "user": (Rank.DIFFERENT, "the socket's owner is not said"),
    "uid": (Rank.DIFFERENT, "the socket's owner is not said"),
    "group": (Rank.DIFFERENT, "the socket's group is not said"),
    "gid": (Rank.DIFFERENT, "the socket's group is not said"),
    "crl-file": (Rank.OPEN, "clients with revoked certificates come in"),
    "ca-verify-file": (Rank.OPEN, "who signs clients' certificates is said by ca alone"),
    "ca-ignore-err": (Rank.DIFFERENT, "a certificate that is not valid is refused here"),
    "crt-ignore-err": (Rank.DIFFERENT, "a certificate that is not valid is refused here"),
    "generate-certificates": (Rank.DIFFERENT, "l4lb does not generate certificates"),
    "ssl-max-ver": (Rank.DIFFERENT, "l4lb uses the newest TLS version"),
    "no-tlsv13": (Rank.DIFFERENT, "l4lb uses the newest TLS version"),
    "force-tlsv12": (Rank.DIFFERENT, "l4lb uses the newest TLS version"),
    "tls-ticket-keys": (Rank.DIFFERENT, "l4lb makes and rotates ticket keys itself"),
    "allow-0rtt": (Rank.NOTE, "l4lb has no early data"),
    "curves": CHOSEN, "ecdhe": CHOSEN, "sigalgs": CHOSEN, "client-sigalgs": CHOSEN,
    "ca-sign-file": (Rank.DIFFERENT, "l4lb does not generate certificates"),
    "tcp-md5sig": (Rank.CLEAR, "l4lb does not sign segments"),
    "npn": CHOSEN, "prefer-client-ciphers": CHOSEN,
    "mss": (Rank.DIFFERENT, "the size of segments is the host's"),
    "proto": (Rank.DIFFERENT, "bytes are relayed as they are"),
    "level": (Rank.NOTE, "it is about HAProxy's own socket"),
    **dict.fromkeys(word_set(
    """
    backlog nice process thread shards id name severity-output expose-fd guid-prefix nbconn cc
    label tfo defer-accept ktls
    """
    ), SAME),
}  # fmt: skip
SILENT = word_set(
    """
    mptcp v4v6 v6only ssl strict-sni no-tls-tickets transparent accept-proxy force-tlsv13 no-tlsv12
    no-sslv3 no-tlsv10 no-tlsv11 no-ca-names crt-list default-crt verify ca-file crt alpn
    ciphers ciphersuites ssl-min-ver maxconn interface tcp-ut no-alpn no-strict-sni
    tls-tickets
    """
)  # fmt: skip


def listeners(proxy: Proxy) -> list[Table]:
    """Returns a table for each group of binds with equal settings, without pool and routes."""
    groups: list[tuple[Table, list[str]]] = []
    taken = {
        text.rpartition(":")[2]
        for line in proxy.binds
        for text in _texts(line)
        if text.rpartition(":")[0] in ("", "*", "0.0.0.0", "ipv4@", "ipv4@*")
    }
    for line in proxy.binds:
        proxy.line = line
        table, words = Table(line.place), options(line.words[2:])
        addresses = _addresses(proxy, line, words, taken)
        try:
            _options(proxy, line, words, table)
        except ValueError as error:
            proxy.leave(Rank.DIFFERENT, f"not understood: {error}", line)
        same = next((held for one, held in groups if one == table), None)
        if same is not None:
            same += addresses
        elif addresses:
            groups.append((table, addresses))
    made = []
    for table, addresses in groups:
        listener = Table(table.place)
        listener.put("bind", list(dict.fromkeys(addresses)), table.place)
        for key, value in {**proxy.listener, **table}.items():
            place = table.places.get(key) or proxy.listener.places.get(key, table.place)
            listener.put(key, value, place)
        made.append(listener)
    return made


def options(words: tuple[str, ...]) -> dict[str, list[str]]:
    """Returns options and their values; some may be given several times."""
    found: dict[str, list[str]] = {}
    rest = iter(words)
    for word in rest:
        found.setdefault(word, []).append(next(rest, "") if word in TAKES_VALUE else "")
    return found


def _texts(line: Line) -> list[str]:
    return line[1].split(",")


def _addresses(proxy: Proxy, line: Line, words: dict[str, list[str]], taken: set[str]) -> list[str]:
    found: list[str] = []
    for text in _texts(line):
        if text.startswith(("mptcp@", "mptcp4@", "mptcp6@")):
            words["mptcp"] = [""]
            text = text.replace("mptcp", "tcp", 1)
        if text.startswith(ELSEWHERE):
            proxy.leave(
                Rank.MISSING, f"{text}: l4lb has no such address: nobody listens there", line
            )
            continue
        text = text.removeprefix("ipv4@").removeprefix("tcp@").removeprefix("tcp4@")
        six = text.startswith(("ipv6@", "tcp6@"))
        text = text.partition("@")[2] if six else text
        if text.startswith(("unix@", "/")):
            found.append("unix:" + text.removeprefix("unix@"))
            continue
        host, colon, port = text.rpartition(":")
        if not colon:
            host, port = "", text
        host = "::" if six and host in ("", "*") else host
        if host in ANY_6:
            found.append(f"[::]:{port}")
            # Linux gives the IPv4 clients of a wildcard address to the IPv6 socket unless v6only is
            # set.
            if "v6only" not in words and not six and port not in taken:
                found.append(f"0.0.0.0:{port}")
        elif ":" in host and not host.startswith("["):
            found.append(f"[{host}]:{port}")
        else:
            found.append(f"{host or '*'}:{port}")
    return found


def _options(proxy: Proxy, line: Line, words: dict[str, list[str]], table: Table) -> None:
    if "accept-proxy" in words:
        table.put("proxy_protocol", "require", line.place)
        table.put("trusted", ["0.0.0.0/0", "::/0"], line.place)
        why = (
            "accept-proxy: whoever connects is believed, as by HAProxy: put your proxies in trusted"
        )
        proxy.leave(Rank.DIFFERENT, why, line)
    if "mptcp" in words:
        table.put("mptcp", True, line.place)
    if "transparent" in words:
        table.put("transparent", True, line.place)
    if "interface" in words:
        table.put("interface", words["interface"][-1], line.place)
    if "tcp-ut" in words:
        proxy.time(table, "user_timeout", words["tcp-ut"][-1])
    if "maxconn" in words and words["maxconn"][-1].isdigit():
        limits = table.table("limits", line.place)
        limits.put("connections", int(words["maxconn"][-1]), line.place)
        proxy.leave(Rank.DIFFERENT, "maxconn: more are turned away instead of waiting", line)
    if "ssl" in words:
        _tls(proxy, line, words, table)
    for word in words:
        if word in LEFT:
            rank, why = LEFT[word]
            unix = rank is not Rank.OPEN or word != "mode" or "unix@" in line[1] or "/" in line[1]
            proxy.leave(rank if unix else Rank.NOTE, f"{word}: {why}", line)
        elif word not in SILENT:
            guess = Rank.CLEAR if "ssl" in word or "tls" in word else Rank.DIFFERENT
            proxy.leave(guess, f"{word}: not known to this import", line)


# ---- TLS -----------------------------------------------------------------------------------------


def _tls(proxy: Proxy, line: Line, words: dict[str, list[str]], table: Table) -> None:
    world = proxy.world
    for word, said in world.bind_tls.items():
        words.setdefault(word, [said.words[1] if len(said.words) > 1 else ""])
    certificates = _certificates(proxy, line, words)
    if not certificates:
        proxy.leave(Rank.CLEAR, "ssl: no certificate can be named: clients are not asked for TLS",
                    line)  # fmt: skip
        return
    tls = Table(line.place)
    tls.put("certificates", certificates, line.place)
    for word, (key, make) in TLS.items():
        if word in words:
            tls.put(key, make(words[word][-1]), line.place)
    for word, (key, value) in TLS_FLAGS.items():
        if word in words:
            tls.put(key, value, line.place)
    oldest = words.get("ssl-min-ver", ["TLSv1.2"])[-1]
    if oldest == "TLSv1.3":
        tls.put("min_version", "1.3", line.place)
    elif oldest != "TLSv1.2":
        proxy.leave(Rank.DIFFERENT, "ssl-min-ver: TLS 1.2 is the oldest version here", line)
    if proxy.http:
        _http_alpn(proxy, line, words, tls)
    verify = words.get("verify", ["none"])[-1]
    if verify in ("required", "optional"):
        if "ca-file" in words and not words["ca-file"][-1].startswith("@"):
            tls.put("ca", world.path("ca-base", words["ca-file"][-1]), line.place)
            tls.put("verify", verify, line.place)
        else:
            proxy.leave(Rank.OPEN, "verify: who signs clients' certificates must be a file", line)
    table.put("tls", tls, line.place)


def _http_alpn(proxy: Proxy, line: Line, words: dict[str, list[str]], tls: Table) -> None:
    """Keeps what a listener with HTTP speaks. Without `alpn` it is both, as HAProxy has it."""
    asked = tls.get("alpn", ())
    spoken = [one for one in asked if one in SPOKEN]
    if len(spoken) < len(asked):
        proxy.leave(Rank.DIFFERENT, f"alpn: clients speak {' or '.join(SPOKEN)}", line)
    if "no-alpn" in words or (asked and not spoken):
        spoken = ["http/1.1"]
    if spoken:
        tls.put("alpn", spoken, line.place)


SPOKEN = ("h2", "http/1.1")
TLS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "alpn": ("alpn", lambda text: text.split(",")),
    "ciphers": ("ciphers", str),
    "ciphersuites": ("ciphersuites", str),
}
TLS_FLAGS: Mapping[str, tuple[str, object]] = {
    "strict-sni": ("strict_sni", True),
    "no-tls-tickets": ("tickets", False),
    "force-tlsv13": ("min_version", "1.3"),
    "no-tlsv12": ("min_version", "1.3"),
}


def _certificates(proxy: Proxy, line: Line, words: Mapping[str, list[str]]) -> list[Table]:
    files = []
    for path in (*words.get("default-crt", []), *words.get("crt", [])):
        files += _below(proxy.world.path("crt-base", path))
    for path in words.get("crt-list", []):
        try:
            with open(path, encoding="utf-8", errors="replace") as source:
                rows = [row.split() for row in source if row.strip() and row[0] != "#"]
        except OSError as error:
            proxy.leave(Rank.CLEAR, f"{path}: {error.strerror}: its certificates are lost", line)
            continue
        files += [proxy.world.path("crt-base", row[0]) for row in rows]
        if any(len(row) > 1 for row in rows):
            proxy.leave(Rank.DIFFERENT, "l4lb chooses a certificate by its own names", line)
    made = []
    for file in dict.fromkeys(files):
        if "@" in os.path.basename(file):
            proxy.leave(Rank.CLEAR, f"{file}: certificates are files here", line)
            continue
        one = Table(line.place)
        one.put("cert", file, line.place)
        if os.path.exists(f"{file}.key"):
            one.put("key", f"{file}.key", line.place)
        made.append(one)
    return made


def _below(path: str) -> list[str]:
    """Returns the files of a folder, in HAProxy's order; else the path itself."""
    if not os.path.isdir(path):
        return [path]
    names = sorted(os.listdir(path))
    return [
        os.path.join(path, name) for name in names
        if not name.startswith(".") and not name.endswith((".key", ".issuer", ".ocsp", ".sctl"))
    ]  # fmt: skip
