"""Directives of an http block that are not carried over, by the rank of their loss, and those that
mean nothing here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from l4lb.importer.draft import Rank, word_set
from l4lb.importer.nginx import tls
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.settings import LEFT as STREAM_LEFT
from l4lb.importer.nginx.settings import SILENT as STREAM_SILENT
from l4lb.importer.nginx.settings import guess
from l4lb.importer.nginx.tree import Node

FILES = (Rank.MISSING, "l4lb serves no files: a pool of a server that does is needed")
CHANGED = (Rank.DIFFERENT, "answers are passed on as backends send them")
PASSWORD = (Rank.OPEN, "l4lb asks nobody for a password or a permission")
BUFFERS = (Rank.NOTE, "a request and its answer are passed on as they come")
LEFT: Mapping[str, tuple[Rank, str]] = {
    **dict.fromkeys(("root", "alias", "try_files", "index", "autoindex"), FILES),
    **dict.fromkeys(("fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass"),
                    (Rank.MISSING, "backends are spoken to in HTTP/1.1")),
    **dict.fromkeys(("auth_basic", "auth_request", "auth_jwt", "auth_delay", "satisfy",
                     "secure_link", "valid_referers", "internal"), PASSWORD),
    **dict.fromkeys(("gzip", "sub_filter", "expires", "etag", "ssi", "brotli", "add_trailer",
                     "proxy_redirect", "proxy_cookie_domain", "proxy_cookie_path", "charset",
                     "proxy_cookie_flags", "addition_types", "gunzip"), CHANGED),
    "proxy_store": (Rank.DIFFERENT, "nothing is kept here: see docs/cache.md"),
    **dict.fromkeys(("rewrite", "proxy_method", "proxy_set_body"),
                    (Rank.MISSING, "it is not rewritten: see rewrite_prefix of a route")),
    **dict.fromkeys(("error_page", "proxy_intercept_errors", "recursive_error_pages"),
                    (Rank.DIFFERENT, "pages are files of a folder: see http.errors")),
    "proxy_pass_request_headers": (Rank.DIFFERENT, "fields are passed on"),
    "proxy_pass_request_body": (Rank.DIFFERENT, "bodies are passed on"),
    "proxy_ignore_headers": (Rank.NOTE, "fields of answers do nothing here"),
    "mirror": (Rank.DIFFERENT, "a request goes to one backend"),
    "real_ip_recursive": (Rank.DIFFERENT, "see http.trusted"),
    "http3": (Rank.DIFFERENT, "clients speak HTTP/1.1 or HTTP/2"),
    "stub_status": (Rank.DIFFERENT, "[process] http shows what goes on"),
    "limit_rate": (Rank.DIFFERENT, "see bandwidth_per_session of a listener's limits"),
    "break": (Rank.DIFFERENT, "there are no rewrites here"),
}  # fmt: skip
# Beginnings of names that belong to a directive of LEFT or that tune nginx.
TUNES = ("proxy_buffer", "proxy_temp", "proxy_busy", "proxy_max_temp", "gzip_",
         "fastcgi_", "uwsgi_", "scgi_", "grpc_", "open_file_cache", "client_body_", "http2_",
         "proxy_headers_hash", "types_hash", "server_names_hash", "variables_hash", "map_hash",
         "sub_filter_", "brotli_", "ssi_", "http3_", "output_buffers")  # fmt: skip
SILENT = word_set(
    """
    location types http2 default_type sendfile tcp_nopush tcp_nodelay server_tokens
    proxy_http_version server_name_in_redirect port_in_redirect absolute_redirect log_not_found
    log_subrequest
    etag_ reset_timedout_connection keepalive_disable send_timeout client_header_buffer_size
    large_client_header_buffers proxy_send_timeout proxy_request_buffering if_modified_since
    ignore_invalid_headers chunked_transfer_encoding resolver resolver_timeout aio directio
    limit_req_zone limit_req_log_level msie_padding postpone_output proxy_read_timeout
    proxy_connect_timeout proxy_next_upstream proxy_next_upstream_tries proxy_pass return if
    proxy_set_header add_header proxy_hide_header proxy_pass_header allow deny limit_req
    limit_req_status limit_req_dry_run limit_except client_max_body_size proxy_bind
    client_header_timeout keepalive_timeout keepalive_requests underscores_in_headers
    merge_slashes real_ip_header limit_conn_status lingering_close lingering_time
    lingering_timeout auth_basic_user_file auth_request_set server map geo split_clients set
    limit_conn_zone match upstream autoindex_exact_size autoindex_localtime tcp_nodelay
    """
)  # fmt: skip


def examine(server: Server, nodes: Iterable[Node], handled: Iterable[str]) -> None:
    """Reports the directives of a block, and of the blocks in it, that are not converted."""
    known = {*handled, *SILENT, *STREAM_SILENT}
    for node in nodes:
        if node.name == "location" or (node.name == "if" and node.block):
            examine(server, node.block, [one for one in handled if one.startswith("proxy_")])
        row = LEFT.get(node.name) or tls.LEFT.get(node.name)
        row = row or (STREAM_LEFT.get(node.name) if node.name not in known else None)
        if row is not None:
            if node.args[:1] not in (("off",), ("default",)):
                server.leave(node, *row)
        elif node.name in known:
            continue
        elif node.name.startswith(TUNES):
            server.leave(node, *BUFFERS)
        else:
            server.leave(node, guess(node), "not known to this import")
