"""TLS of both sides: a row for each directive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from l4lb.importer.draft import Rank, Table
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.tree import Node

Row = Callable[[Server, Node], None]
CHOSEN = (Rank.NOTE, "OpenSSL's own choice is used here")
KEPT = (Rank.NOTE, "sessions are resumed by tickets here")


def _of(side: str, key: str, make: Callable[[Server, Node], Any]) -> Row:
    return lambda server, node: getattr(server, side).put(key, make(server, node), node.place)


def _path(server: Server, node: Node) -> str:
    return server.world.path(node.arg())


def _versions(side: str) -> Row:
    def put(server: Server, node: Node) -> None:
        table: Table = getattr(server, side)
        if "TLSv1.2" not in node.args and not {"TLSv1", "TLSv1.1", "SSLv3"} & set(node.args):
            table.put("min_version", "1.3", node.place)
        elif "TLSv1.3" not in node.args:
            server.leave(node, Rank.NOTE, "TLS 1.3 is spoken too")
        if {"TLSv1", "TLSv1.1", "SSLv3", "SSLv2"} & set(node.args):
            server.leave(node, Rank.DIFFERENT, "TLS 1.2 is the oldest version here")

    return put


def _command(side: str) -> Row:
    """Reads ssl_conf_command: OpenSSL's own words."""

    def put(server: Server, node: Node) -> None:
        table: Table = getattr(server, side)
        if node.arg() == "Ciphersuites":
            table.put("ciphersuites", node.arg(1), node.place)
        elif (node.arg(), node.arg(1)) == ("MinProtocol", "TLSv1.3"):
            table.put("min_version", "1.3", node.place)
        else:
            server.leave(node, Rank.DIFFERENT, "OpenSSL's own choice is used here")

    return put


def _certificate(server: Server, node: Node) -> None:
    if "$" in node.arg() or ":" in node.arg():
        server.leave(node, Rank.CLEAR, "certificates are files here, which do not change by client")
        return
    server.certificates.append((node, server.world.path(node.arg())))


def _key(server: Server, node: Node) -> None:
    if "$" in node.arg() or ":" in node.arg():
        server.leave(node, Rank.CLEAR, "keys are files here")
        return
    server.keys.append(server.world.path(node.arg()))


def _verify(server: Server, node: Node) -> None:
    if node.arg() in ("on", "optional"):
        server.verify = node
        found = "required" if node.arg() == "on" else "optional"
        server.secure.put("verify", found, node.place)
    elif node.arg() != "off":
        server.leave(
            node, Rank.OPEN, "a certificate that is shown is verified, or none is asked for"
        )


def _reject(server: Server, node: Node) -> None:
    if node.arg() == "on":
        server.secure.put("strict_sni", True, node.place)


def _off(side: str, key: str) -> Row:
    def put(server: Server, node: Node) -> None:
        getattr(server, side).put(key, node.arg() == "on", node.place)

    return put


def _handshake(server: Server, node: Node) -> None:
    value = server.world.time(node, node.arg(), "handshake_timeout")
    server.handshakes["tls"] = (value, node.place)


def _to_backends(server: Server, node: Node) -> None:
    server.backend_tls = node if node.arg() == "on" else None


def _name(server: Server, node: Node) -> None:
    if "$" in node.arg():
        server.leave(node, Rank.DIFFERENT, "one name for all sessions, or the backend's own")
    else:
        server.behind.put("server_name", node.arg().partition(":")[0], node.place)


def _says_name(server: Server, node: Node) -> None:
    server.says_name = node.arg() == "on"


def _words(_: Server, node: Node) -> list[str]:
    return list(node.args)


ROWS: Mapping[str, Row] = {
    "ssl_certificate": _certificate,
    "ssl_certificate_key": _key,
    "ssl_protocols": _versions("secure"),
    "ssl_ciphers": _of("secure", "ciphers", lambda _, node: node.arg()),
    "ssl_alpn": _of("secure", "alpn", _words),
    "ssl_client_certificate": _of("secure", "ca", _path),
    "ssl_verify_client": _verify,
    "ssl_session_tickets": _off("secure", "tickets"),
    "ssl_reject_handshake": _reject,
    "ssl_handshake_timeout": _handshake,
    "ssl_conf_command": _command("secure"),
    "proxy_ssl": _to_backends,
    "proxy_ssl_verify": _off("behind", "verify"),
    "proxy_ssl_trusted_certificate": _of("behind", "ca", _path),
    "proxy_ssl_name": _name,
    "proxy_ssl_server_name": _says_name,
    "proxy_ssl_certificate": _of("behind", "cert", _path),
    "proxy_ssl_certificate_key": _of("behind", "key", _path),
    "proxy_ssl_alpn": _of("behind", "alpn", _words),
    "proxy_ssl_session_reuse": _off("behind", "resume"),
    "proxy_ssl_protocols": _versions("behind"),
    "proxy_ssl_ciphers": _of("behind", "ciphers", lambda _, node: node.arg()),
    "proxy_ssl_conf_command": _command("behind"),
}
PASSWORD = (Rank.CLEAR, "keys with a password cannot be read here")
LEFT: Mapping[str, tuple[Rank, str]] = {
    "ssl_crl": (Rank.OPEN, "clients with revoked certificates come in"),
    "proxy_ssl_crl": (Rank.CLEAR, "l4lb accepts revoked certificates"),
    "ssl_ocsp": (Rank.OPEN, "clients with revoked certificates come in"),
    "ssl_password_file": PASSWORD,
    "proxy_ssl_password_file": PASSWORD,
    "ssl_trusted_certificate": (Rank.OPEN, "who signs clients' certificates is said by ca alone"),
    "ssl_verify_depth": (Rank.DIFFERENT, "chains may be as long as OpenSSL lets them"),
    "proxy_ssl_verify_depth": (Rank.DIFFERENT, "chains may be as long as OpenSSL lets them"),
    "ssl_session_timeout": (Rank.NOTE, "see ticket_lifetime in [process.tls]"),
    "ssl_session_ticket_key": (Rank.DIFFERENT, "l4lb makes and rotates ticket keys itself"),
    "ssl_session_cache": KEPT,
    "ssl_ecdh_curve": CHOSEN,
    "ssl_dhparam": CHOSEN,
    "ssl_prefer_server_ciphers": (Rank.NOTE, "the server's order counts"),
    "ssl_stapling": (Rank.DIFFERENT, "nothing is stapled here"),
    "ssl_stapling_verify": (Rank.NOTE, "nothing is stapled here"),
    "ssl_stapling_file": (Rank.DIFFERENT, "nothing is stapled here"),
    "ssl_stapling_responder": (Rank.NOTE, "nothing is stapled here"),
    "ssl_early_data": (Rank.NOTE, "l4lb has no early data"),
    "ssl_certificate_cache": (Rank.NOTE, "certificates are watched"),
    "ssl_key_log": (Rank.NOTE, "keys are not written"),
    "ssl_ocsp_cache": (Rank.NOTE, "see ssl_ocsp"),
    "ssl_certificate_compression": (Rank.NOTE, "certificates are sent as they are"),
    "proxy_ssl_key_log": (Rank.NOTE, "keys are not written"),
}
