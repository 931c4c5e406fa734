"""The list of all metrics: name, kind, meaning and labels. Tests compare docs/metrics.md, the
Grafana dashboard and the alert rules with this list."""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.metrics.cache_names import CACHES
from l4lb.metrics.forward_names import FORWARD
from l4lb.metrics.metric import Metric
from l4lb.metrics.packets_names import PACKETS
from l4lb.metrics.record_names import RECORDS
from l4lb.metrics.shield_names import SHIELD

PROCESS = ("process", "worker", "pid")
LISTENER, POOL, BACKEND, WORKER = ("listener",), ("pool",), ("pool", "backend"), ("worker",)

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("l4lb_build_info", "gauge", "Always 1; the label is the version.", ("version",)),
        Metric("l4lb_start_time_seconds", "gauge", "Unix time at which the service started."),
        Metric("l4lb_config_generation", "gauge", "Generation of the configuration in force."),
        Metric("l4lb_clients", "gauge", "Clients connected now."),
        Metric("l4lb_clients_limit", "gauge", "Limit of clients connected at one time."),
        Metric("l4lb_connections_active", "gauge", "Clients connected now.", LISTENER),
        Metric("l4lb_connections_total", "counter", "Clients accepted.", LISTENER),
        Metric(
            "l4lb_rejected_total",
            "counter",
            "Clients that reached no backend, by reason.",
            ("listener", "reason"),
        ),
        Metric(
            "l4lb_sessions_ended_total",
            "counter",
            "Sessions that ended, by how they ended.",
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
            "Unix time at which the first of a listener's certificates expires.",
            LISTENER,
        ),
        Metric(
            "l4lb_certificate_days_left",
            "gauge",
            "Whole days until a certificate of a listener or pool expires; negative after that.",
            ("of", "file"),
        ),
        Metric("l4lb_udp_sessions", "gauge", "UDP sessions now."),
        Metric("l4lb_udp_sessions_in_kernel", "gauge", "UDP sessions in the kernel.", LISTENER),
        Metric("l4lb_udp_sessions_limit", "gauge", "Limit of UDP sessions at one time."),
        Metric(
            "l4lb_udp_datagrams_total",
            "counter",
            "Datagrams; in: from clients, out: to clients.",
            ("listener", "direction"),
        ),
        Metric(
            "l4lb_udp_dropped_total",
            "counter",
            "Datagrams dropped, by reason.",
            ("listener", "reason"),
        ),
        Metric(
            "l4lb_udp_session_changes_total",
            "counter",
            "UDP sessions evicted, moved to another backend, adopted from another process (a dead "
            "worker, or a hand-over), handed over to the kernel, or kept in a worker because the "
            "kernel had no room.",
            ("listener", "change"),
        ),
        Metric(
            "l4lb_pool_connections_active",
            "gauge",
            "Sessions with the pool's backends now.",
            POOL,
        ),
        Metric("l4lb_pool_backends", "gauge", "Backends of the pool.", POOL),
        Metric(
            "l4lb_pool_backends_up",
            "gauge",
            "Usable backends: ready, with a weight, and neither down nor ejected.",
            POOL,
        ),
        Metric(
            "l4lb_backend_up",
            "gauge",
            "0: the backend is down by its checks, or ejected.",
            BACKEND,
        ),
        Metric(
            "l4lb_backend_ready",
            "gauge",
            "0: the backend is drained or in maintenance.",
            BACKEND,
        ),
        Metric("l4lb_backend_weight", "gauge", "Weight of the backend.", BACKEND),
        Metric(
            "l4lb_backend_connections_active",
            "gauge",
            "Sessions with the backend now.",
            BACKEND,
        ),
        Metric(
            "l4lb_backend_connections_total",
            "counter",
            "Sessions that reached the backend.",
            BACKEND,
        ),
        Metric(
            "l4lb_backend_bytes_total",
            "counter",
            "Bytes; in: sent by clients, out: sent to clients.",
            (*BACKEND, "direction"),
        ),
        Metric(
            "l4lb_backend_connect_errors_total",
            "counter",
            "Connects to the backend that failed or timed out.",
            BACKEND,
        ),
        Metric("l4lb_backend_resets_total", "counter", "Sessions that the backend reset.", BACKEND),
        Metric(
            "l4lb_backend_response_seconds",
            "gauge",
            "Moving average of the backend's response time.",
            BACKEND,
        ),
        Metric(
            "l4lb_health_checks_total",
            "counter",
            "Checks that ended, by result: passed or failed.",
            (*BACKEND, "result"),
        ),
        Metric(
            "l4lb_requests_total",
            "counter",
            "HTTP requests, by the class of the answer's status; none: the client got no answer.",
            ("listener", "code_class"),
        ),
        Metric(
            "l4lb_request_bytes_total",
            "counter",
            "Bytes of bodies; in: of requests, out: of answers.",
            ("listener", "direction"),
        ),
        Metric(
            "l4lb_requests_rejected_total",
            "counter",
            "HTTP requests that no backend answered, by reason.",
            ("listener", "reason"),
        ),
        Metric(
            "l4lb_http2_connections",
            "gauge",
            "Connections of clients that speak HTTP/2.",
            ("listener",),
        ),
        Metric(
            "l4lb_http2_streams_total",
            "counter",
            "Requests that came by HTTP/2.",
            ("listener",),
        ),
        Metric(
            "l4lb_http2_abuse_total",
            "counter",
            "Connections of HTTP/2 that ended for what their clients did too often, by kind.",
            ("listener", "kind"),
        ),
        Metric(
            "l4lb_route_requests_total",
            "counter",
            "HTTP requests that the listener's route of this number took.",
            ("listener", "route"),
        ),
        Metric(
            "l4lb_filter_hits_total",
            "counter",
            "HTTP requests that the listener's rule refused, or would have refused (dry_run, log).",
            ("listener", "rule"),
        ),
        Metric(
            "l4lb_inspections_total",
            "counter",
            "Requests and answers that an engine was to inspect by the listener's rule, by verdict:"
            " clean, changed, too_large, failed, blocked.",
            ("listener", "rule", "verdict"),
        ),
        Metric(
            "l4lb_backend_requests_total",
            "counter",
            "HTTP requests that went to the backend, by the class of the answer's status.",
            (*BACKEND, "code_class"),
        ),
        Metric(
            "l4lb_backend_requests_active",
            "gauge",
            "HTTP requests in progress at the backend.",
            BACKEND,
        ),
        Metric(
            "l4lb_spare_connections",
            "gauge",
            "Connections to the backend that wait for another request (keep-alive).",
            BACKEND,
        ),
        Metric(
            "l4lb_request_seconds",
            "histogram",
            "Time from a request's first byte until its answer was with the client.",
            POOL,
        ),
        Metric(
            "l4lb_request_first_byte_seconds",
            "histogram",
            "Time from a request's whole head to the head of its answer.",
            POOL,
        ),
        Metric(
            "l4lb_reuse_total",
            "counter",
            "Connections for requests: reused, fresh, or stale (it had ended before it was used"
            " again).",
            ("pool", "result"),
        ),
        Metric(
            "l4lb_request_retries_total",
            "counter",
            "HTTP requests that were sent again, by cause.",
            ("pool", "cause"),
        ),
        *CACHES,
        *FORWARD,
        *RECORDS,
        *SHIELD,
        *PACKETS,
        Metric(
            "l4lb_connect_seconds",
            "histogram",
            "Time that backends took to accept a connection.",
            POOL,
        ),
        Metric(
            "l4lb_first_byte_seconds",
            "histogram",
            "Time from a client's accept to its backend's first byte.",
            POOL,
        ),
        Metric(
            "l4lb_session_seconds",
            "histogram",
            "Time from a client's accept to the end of its session.",
            POOL,
        ),
        Metric(
            "l4lb_queue_seconds",
            "histogram",
            "Time in the connection queue, of clients that had to wait.",
            POOL,
        ),
        Metric(
            "l4lb_session_bytes",
            "histogram",
            "Bytes of a session; in: sent by the client, out: sent to the client.",
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
            "TCP segments sent again, of the sampled sessions.",
            ("pool", "side"),
        ),
        Metric(
            "l4lb_tcp_sampled_sessions_total",
            "counter",
            "Sessions that were sampled for l4lb_tcp_*.",
            POOL,
        ),
        Metric(
            "l4lb_source_ports_left",
            "gauge",
            "Local ports of this source left towards the backend with the most sessions.",
            ("pool", "source"),
        ),
        Metric(
            "l4lb_local_ports_exhausted_total", "counter", "Connects that found no free local port."
        ),
        Metric(
            "l4lb_process_cpu_seconds",
            "gauge",
            "CPU time of the process that runs now; starts at 0 when it is replaced.",
            PROCESS,
        ),
        Metric(
            "l4lb_process_resident_memory_bytes",
            "gauge",
            "Resident memory of the process.",
            PROCESS,
        ),
        Metric("l4lb_process_open_fds", "gauge", "Open files and sockets of the process.", PROCESS),
        Metric("l4lb_worker_up", "gauge", "1: the worker's process runs.", WORKER),
        Metric(
            "l4lb_worker_connections_active",
            "gauge",
            "Clients connected to the worker now.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_connections_total",
            "counter",
            "Clients that the worker accepted.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_connections_lost_total",
            "counter",
            "Sessions that died with the worker's process.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_restarts_total",
            "counter",
            "Times that the worker was restarted.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_paused",
            "gauge",
            "1: the worker accepts no connections for now.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_capacity",
            "gauge",
            "Sessions that the worker's file descriptors allow.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_descriptors_left",
            "gauge",
            "File descriptors that the worker can still open.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_turns_total",
            "counter",
            "Iterations of the worker's event loop.",
            WORKER,
        ),
        Metric(
            "l4lb_worker_skew_ratio",
            "gauge",
            "Clients of the busiest worker divided by the mean of all workers.",
        ),
        Metric("l4lb_checker_up", "gauge", "1: the checker gave a sign of life recently."),
        Metric(
            "l4lb_checker_heartbeat_age_seconds",
            "gauge",
            "Time since the checker's last sign of life.",
        ),
        Metric("l4lb_access_log_lines_total", "counter", "Access log lines written."),
        Metric(
            "l4lb_access_log_dropped_total",
            "counter",
            "Access log lines lost because the ring buffers were full.",
        ),
        Metric(
            "l4lb_access_log_failures_total",
            "counter",
            "Writes of the access log that failed.",
        ),
    )
}  # fmt: skip
