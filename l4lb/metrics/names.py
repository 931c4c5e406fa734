"""Every metric there is: its name, kind, labels and meaning. docs/metrics.md, the dashboard of
Grafana and the alert rules are held to this list by tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter", "histogram"]


class Metric(NamedTuple):
    """One metric. A counter's name ends in _total, a histogram's in its unit."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


PROCESS = ("process", "worker", "pid")
LISTENER, POOL, BACKEND, WORKER = ("listener",), ("pool",), ("pool", "backend"), ("worker",)

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("l4lb_build_info", "gauge", "Always 1; the version is a label.", ("version",)),
        Metric("l4lb_start_time_seconds", "gauge", "When the service started, Unix time."),
        Metric("l4lb_config_generation", "gauge", "Of the configuration in force."),
        Metric("l4lb_clients", "gauge", "Clients connected now."),
        Metric("l4lb_clients_limit", "gauge", "How many may be."),
        Metric("l4lb_connections_active", "gauge", "Clients connected now.", LISTENER),
        Metric("l4lb_connections_total", "counter", "Clients accepted.", LISTENER),
        Metric(
            "l4lb_rejected_total",
            "counter",
            "Clients that reached no backend, by why.",
            ("listener", "reason"),
        ),
        Metric(
            "l4lb_sessions_ended_total",
            "counter",
            "Sessions that ended, by how.",
            ("listener", "end"),
        ),
        Metric(
            "l4lb_tls_handshakes_total",
            "counter",
            "TLS handshakes with clients, by result: full, resumed, failed.",
            ("listener", "result"),
        ),
        Metric(
            "l4lb_tls_backend_handshakes_total",
            "counter",
            "TLS handshakes with backends, by result: full, resumed, failed.",
            ("pool", "result"),
        ),
        Metric(
            "l4lb_certificate_expiry_seconds",
            "gauge",
            "When the first of a listener's certificates ends, Unix time.",
            LISTENER,
        ),
        Metric(
            "l4lb_certificate_days_left",
            "gauge",
            "Whole days until a certificate of a listener or pool ends; negative when it has.",
            ("of", "file"),
        ),
        Metric("l4lb_udp_sessions", "gauge", "UDP sessions now."),
        Metric("l4lb_udp_sessions_limit", "gauge", "How many there may be."),
        Metric(
            "l4lb_udp_datagrams_total",
            "counter",
            "Datagrams; in: from clients, out: to clients.",
            ("listener", "direction"),
        ),
        Metric(
            "l4lb_udp_dropped_total",
            "counter",
            "Datagrams that went no further, by why.",
            ("listener", "reason"),
        ),
        Metric(
            "l4lb_udp_session_changes_total",
            "counter",
            "UDP sessions evicted, moved to another backend, or adopted from a dead worker.",
            ("listener", "change"),
        ),
        Metric("l4lb_pool_connections_active", "gauge", "Sessions at its backends now.", POOL),
        Metric("l4lb_pool_backends", "gauge", "Backends it has.", POOL),
        Metric(
            "l4lb_pool_backends_up",
            "gauge",
            "Usable backends: ready, with a weight, and neither down nor ejected.",
            POOL,
        ),
        Metric("l4lb_backend_up", "gauge", "0: the checks say it is down, or ejected.", BACKEND),
        Metric("l4lb_backend_ready", "gauge", "0: an operator drains or keeps it out.", BACKEND),
        Metric("l4lb_backend_weight", "gauge", "Its weight.", BACKEND),
        Metric("l4lb_backend_connections_active", "gauge", "Sessions at it now.", BACKEND),
        Metric("l4lb_backend_connections_total", "counter", "Sessions that reached it.", BACKEND),
        Metric(
            "l4lb_backend_bytes_total",
            "counter",
            "Bytes; in: sent by clients, out: sent to clients.",
            (*BACKEND, "direction"),
        ),
        Metric(
            "l4lb_backend_connect_errors_total",
            "counter",
            "Attempts to connect to it that failed or timed out.",
            BACKEND,
        ),
        Metric("l4lb_backend_resets_total", "counter", "Sessions that it reset.", BACKEND),
        Metric(
            "l4lb_backend_response_seconds",
            "gauge",
            "Moving average of how long it takes to answer.",
            BACKEND,
        ),
        Metric(
            "l4lb_health_checks_total",
            "counter",
            "Checks that ended, by result: passed or failed.",
            (*BACKEND, "result"),
        ),
        Metric(
            "l4lb_connect_seconds", "histogram", "How long backends took to accept.", POOL
        ),
        Metric(
            "l4lb_first_byte_seconds",
            "histogram",
            "From a client's accept to its backend's first byte.",
            POOL,
        ),
        Metric("l4lb_session_seconds", "histogram", "From a client's accept to its end.", POOL),
        Metric(
            "l4lb_queue_seconds",
            "histogram",
            "How long those clients waited that had to wait for a place.",
            POOL,
        ),
        Metric(
            "l4lb_session_bytes",
            "histogram",
            "Bytes of a session; in: sent by its client, out: sent to it.",
            ("pool", "direction"),
        ),
        Metric(
            "l4lb_tcp_rtt_seconds",
            "histogram",
            "Smoothed round-trip time at a session's end, of one session in eight; side: client"
            " or backend.",
            ("pool", "side"),
        ),
        Metric(
            "l4lb_tcp_retransmits_total",
            "counter",
            "Segments sent again, of the same sessions.",
            ("pool", "side"),
        ),
        Metric("l4lb_tcp_sampled_sessions_total", "counter", "How many these sessions are.", POOL),
        Metric(
            "l4lb_source_ports_left",
            "gauge",
            "Local ports left towards the backend with most sessions, from this source.",
            ("pool", "source"),
        ),
        Metric(
            "l4lb_local_ports_exhausted_total", "counter", "Connects that found no local port."
        ),
        Metric(
            "l4lb_process_cpu_seconds",
            "gauge",
            "CPU time of the process that runs now; begins anew with its replacement.",
            PROCESS,
        ),
        Metric("l4lb_process_resident_memory_bytes", "gauge", "Its memory.", PROCESS),
        Metric("l4lb_process_open_fds", "gauge", "Its open files and sockets.", PROCESS),
        Metric("l4lb_worker_up", "gauge", "1: its process runs.", WORKER),
        Metric("l4lb_worker_connections_active", "gauge", "Clients it holds now.", WORKER),
        Metric("l4lb_worker_connections_total", "counter", "Clients it accepted.", WORKER),
        Metric("l4lb_worker_connections_lost_total", "counter", "Died with its process.", WORKER),
        Metric("l4lb_worker_restarts_total", "counter", "Times it was started again.", WORKER),
        Metric("l4lb_worker_paused", "gauge", "1: it accepts nothing for now.", WORKER),
        Metric("l4lb_worker_capacity", "gauge", "Sessions its descriptors allow.", WORKER),
        Metric("l4lb_worker_descriptors_left", "gauge", "Files it can still open.", WORKER),
        Metric("l4lb_worker_turns_total", "counter", "Turns of its loop.", WORKER),
        Metric("l4lb_worker_skew_ratio", "gauge", "Most clients of a worker over their mean."),
        Metric("l4lb_checker_up", "gauge", "1: the checker was heard of lately."),
        Metric(
            "l4lb_checker_heartbeat_age_seconds", "gauge", "Since the checker was heard of."
        ),
        Metric("l4lb_access_log_lines_total", "counter", "Lines of the access log written."),
        Metric(
            "l4lb_access_log_dropped_total",
            "counter",
            "Sessions without a line, because nobody took their records.",
        ),
        Metric("l4lb_access_log_failures_total", "counter", "Times that writing it failed."),
    )
}  # fmt: skip
