/* Every number of the configuration that the shared table has, one line each.
 *
 * A line is X(type, field, path). It declares the field in its struct (L4_FIELD), and it lets the
 * supervisor write the field by the path (l4_setting_put): where a value stands in the
 * configuration, counted from the table of the listener or the pool, or from the whole
 * configuration. A path that is not there names a value that the supervisor works out first, or
 * that another part of it knows (TLS, the sets of networks).
 *
 * So a new number needs a line here, a key in l4lb/config and the code that reads it. Values are
 * written in the order of the lines: what puts others into force stands last.
 *
 * why: long for a header: it is one list, and a number is looked for in one place.
 */
#ifndef L4_SHM_SETTINGS_H
#define L4_SHM_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define L4_FIELD(type, field, path) _Atomic type field;

/* ---- the whole table: struct l4_header ------------------------------------------------------- */

#define L4_TABLE_SETTINGS(X)                                                                       \
    /* Limit over all workers. */                                                                  \
    X(uint32_t, max_connections, limits.max_connections)                                           \
    /* For workers whose supervisor is gone. */                                                    \
    X(uint64_t, drain_timeout_ms, process.drain_timeout_ms)                                        \
    /* How long a tarpit holds a client. */                                                        \
    X(uint32_t, tarpit_ms, limits.tarpit_time_ms)                                                  \
    /* Limit over all workers; UDP sessions' share of a worker's descriptors. */                   \
    X(uint32_t, max_udp_sessions, limits.max_udp_sessions)                                         \
    X(uint32_t, udp_share_percent, limits.udp_descriptors_percent)                                 \
    /* 1: load shedding at max_connections too. */                                                 \
    X(uint32_t, shed_at_limit, shed_at_limit)                                                      \
    /* Sessions idle for this long may be ended when others find no room; 0: never. */             \
    X(uint32_t, shed_idle_ms, shed_idle_ms)

/* ---- a listener ------------------------------------------------------------------------------ */

#define L4_LISTENER_SETTINGS(X)                                                                    \
    /* enum l4_protocol */                                                                         \
    X(uint32_t, protocol, protocol)                                                                \
    /* The row of the pool that its clients go to. */                                              \
    X(uint32_t, pool, pool)                                                                        \
    /* The last port of a range that is bound as a whole; 0: it is one port. */                    \
    X(uint32_t, last_port, last_port)

/* struct l4_policy */
#define L4_POLICY_SETTINGS(X)                                                                      \
    /* enum l4_policy_needs: the part that the rest of the row does not tell (shm/needs.h). */     \
    X(uint32_t, asked, asked)                                                                      \
    /* For everything that is read before the pick. */                                             \
    X(uint32_t, handshake_timeout_ms, handshake_timeout_ms)                                        \
    /* Sets of networks, L4_NONE: none. Who may send PROXY headers; who may come in; and the       \
     * rules of run time, which are looked at first. */                                            \
    X(uint32_t, trusted_set, trusted_set)                                                          \
    X(uint32_t, access_set, access_set)                                                            \
    X(uint32_t, rules_set, rules_set)                                                              \
    /* 1: addresses in no network of the access list are denied. */                                \
    X(uint32_t, access_else_denied, access.others_denied)

/* What is done with those that its networks turn away. */
#define L4_ACCESS_SETTINGS(X)                                                                      \
    X(uint32_t, refusal, access.refusal)                                                           \
    X(uint32_t, dry_run, access.dry_run)

/* struct l4_limits */
#define L4_LIMITS_SETTINGS(X)                                                                      \
    /* Bits of an IPv4 and of an IPv6 address that identify a source. */                           \
    X(uint32_t, prefix4, limits.source_prefix.ipv4)                                                \
    X(uint32_t, prefix6, limits.source_prefix.ipv6)                                                \
    /* 0: no limit. */                                                                             \
    X(uint32_t, first_byte_ms, limits.first_byte_timeout_ms)                                       \
    X(uint32_t, max_age_ms, limits.max_age_ms)                                                     \
    /* Percentage that is taken off each max_age at most, at random. */                            \
    X(uint32_t, age_jitter, limits.max_age_jitter_percent)                                         \
    /* The row of the listener's address that has the counts. */                                   \
    X(uint32_t, head, head)

/* One limit, of enum l4_limit_kind. */
#define L4_LIMIT_SETTINGS(X, kind, name)                                                           \
    X(uint64_t, limits[kind].burst, limits.name.burst)                                             \
    X(uint32_t, limits[kind].verdict.refusal, limits.name.refusal)                                 \
    X(uint32_t, limits[kind].verdict.dry_run, limits.name.dry_run)                                 \
    X(uint64_t, limits[kind].value, limits.name.limit)

/* struct l4_udp_listener */
#define L4_UDP_LISTENER_SETTINGS(X)                                                                \
    /* Bytes out for a byte in, until the client has proven its address; 0: no limit. */           \
    X(uint32_t, max_amplification, max_amplification)                                              \
    /* UDP sessions of one address; 0: no limit. */                                                \
    X(uint32_t, max_per_source, max_sessions_per_source)                                           \
    /* 1: source ports below 1024 are refused. */                                                  \
    X(uint32_t, no_privileged, reject_privileged_ports)                                            \
    /* enum l4_udp_ways */                                                                         \
    X(uint32_t, ways, udp_ways)                                                                    \
    /* 1: its sessions may go to the kernel. */                                                    \
    X(uint32_t, hand_over, hand_over)

/* struct l4_http_listener */
#define L4_HTTP_LISTENER_SETTINGS(X)                                                               \
    /* For a whole head, from its first byte; between requests. */                                 \
    X(uint32_t, head_timeout_ms, http.head_timeout_ms)                                             \
    X(uint32_t, rest_timeout_ms, http.rest_timeout_ms)                                             \
    /* Bytes of a head, its fields, bytes of its target. */                                        \
    X(uint32_t, max_head, http.max_head)                                                           \
    X(uint32_t, max_fields, http.max_fields)                                                       \
    X(uint32_t, max_target, http.max_target)                                                       \
    /* Bytes of a body; 0: no limit. */                                                            \
    X(uint64_t, max_body, http.max_body)                                                           \
    /* Bytes of a body that must come in a second; 0: any number. */                               \
    X(uint64_t, body_rate_min, http.body_rate_min)                                                 \
    /* Requests of one connection; 0: no limit. */                                                 \
    X(uint32_t, max_requests, http.max_requests)                                                   \
    /* enum l4_http_forwarded, enum l4_http_underscores */                                         \
    X(uint32_t, forwarded, http.forwarded)                                                         \
    X(uint32_t, underscores, http.underscores)                                                     \
    /* 1: "//" in a path that is matched is one "/". */                                            \
    X(uint32_t, merge_slashes, http.merge_slashes)                                                 \
    /* 1: answers of l4lb itself say why (RFC 9209). */                                            \
    X(uint32_t, proxy_status, http.proxy_status)                                                   \
    /* 1: every request is sent to https:// (status 308). */                                       \
    X(uint32_t, https_redirect, http.https_redirect)                                               \
    /* Requests a second of the listener, and of each source: rate (0: no limit), burst, status of \
     * the refusal, 1: only count. */                                                              \
    X(uint32_t, request_rate, http_requests_limit)                                                 \
    X(uint32_t, request_burst, http_requests_burst)                                                \
    X(uint32_t, request_status, http_requests_status)                                              \
    X(uint32_t, request_dry_run, http_requests_dry_run)                                            \
    X(uint32_t, source_request_rate, http_source_requests_limit)                                   \
    X(uint32_t, source_request_burst, http_source_requests_burst)                                  \
    X(uint32_t, source_request_status, http_source_requests_status)                                \
    X(uint32_t, source_request_dry_run, http_source_requests_dry_run)                              \
    /* The same for each value of a key (enum l4_key_kind; its name is in the listener's texts).   \
     */                                                                                            \
    X(uint32_t, key_request_kind, http_key_requests_kind)                                          \
    X(uint32_t, key_request_rate, http_key_requests_limit)                                         \
    X(uint32_t, key_request_burst, http_key_requests_burst)                                        \
    X(uint32_t, key_request_status, http_key_requests_status)                                      \
    X(uint32_t, key_request_dry_run, http_key_requests_dry_run)                                    \
    /* Error answers of each source in a time (0: no limit), status of the refusal, 1: only count; \
     * which statuses are errors: bit 0 of the first word is 400, bit 63 of the last one 655. */   \
    X(uint32_t, error_window_ms, limits.errors_per_source.window_ms)                               \
    X(uint32_t, error_status, limits.errors_per_source.status)                                     \
    X(uint32_t, error_dry_run, limits.errors_per_source.dry_run)                                   \
    X(uint64_t, error_statuses0, http_error_statuses_0)                                            \
    X(uint64_t, error_statuses1, http_error_statuses_1)                                            \
    X(uint64_t, error_statuses2, http_error_statuses_2)                                            \
    X(uint64_t, error_statuses3, http_error_statuses_3)                                            \
    X(uint32_t, error_limit, limits.errors_per_source.limit)                                       \
    /* 1: its clients name the hosts that they want to reach (a forward proxy); 1: by SOCKS. */    \
    X(uint32_t, is_forward, is_forward)                                                            \
    X(uint32_t, speaks_socks, speaks_socks)                                                        \
    /* HTTP/2: streams of a connection at one time (0: it is not spoken), bytes of a window. */    \
    X(uint32_t, http2_streams, http.http2.streams)                                                 \
    X(uint32_t, http2_window, http.http2.window)                                                   \
    /* Number of the cache for requests that no route takes; 0: none. */                           \
    X(uint32_t, cache, http_cache)                                                                 \
    /* Set of networks whose forwarded fields are believed; L4_NONE: none. */                      \
    X(uint32_t, trusted_set, http_trusted_set)

/* struct l4_secure_rule */
#define L4_TLS_SETTINGS(X)                                                                         \
    /* Handshakes at one time, over all workers; 0: no limit. */                                   \
    X(uint32_t, max, tls.max_handshakes)                                                           \
    /* The mean time between handshakes, and how much earlier one may come; 0: no limit. */        \
    X(uint32_t, interval_us, tls_interval_us)                                                      \
    X(uint32_t, burst_us, tls_burst_us)                                                            \
    /* Profile in the bundle; 0: no TLS. */                                                        \
    X(uint32_t, profile, tls_profile)                                                              \
    /* Unix time at which its first certificate expires. */                                        \
    X(uint64_t, ends_s, tls_ends_s)

/* ---- a pool ---------------------------------------------------------------------------------- */

#define L4_POOL_SETTINGS(X)                                                                        \
    /* enum l4_balance, enum l4_all_down */                                                        \
    X(uint32_t, balance, balance)                                                                  \
    X(uint32_t, all_down, when_all_down)                                                           \
    /* Other backends that are tried for one client. */                                            \
    X(uint32_t, retries, retries)                                                                  \
    X(uint32_t, connect_timeout_ms, connect_timeout_ms)                                            \
    X(uint32_t, idle_timeout_ms, idle_timeout_ms)                                                  \
    X(uint32_t, half_closed_timeout_ms, half_closed_timeout_ms)                                    \
    /* Connections to the whole pool; 0: no limit. */                                              \
    X(uint32_t, max_connections, max_connections)                                                  \
    /* Largest load of a backend as a percentage of the mean; 0: no limit. */                      \
    X(uint32_t, hash_balance_percent, hash_balance_percent)                                        \
    /* Number of slots, a prime; 0: no table is built. */                                          \
    X(uint32_t, maglev_size, maglev_size)                                                          \
    /* 1: all backups share; 0: the first usable backup serves. */                                 \
    X(uint32_t, all_backups, all_backups)                                                          \
    /* 0: a backend that returns has its whole weight at once. */                                  \
    X(uint32_t, slow_start_ms, slow_start_ms)                                                      \
    /* enum l4_proxy_tlvs; the version of the PROXY header to backends, 0: none. */                \
    X(uint32_t, proxy_tlvs, proxy_tlvs)                                                            \
    X(uint32_t, send_proxy, send_proxy)                                                            \
    /* TLS settings for its backends; 0: no TLS. */                                                \
    X(uint32_t, tls_profile, tls_profile)

/* struct l4_key_rule: what of a client is hashed. */
#define L4_KEY_SETTINGS(X)                                                                         \
    /* Bits of an IPv4 and of an IPv6 source address that are hashed. */                           \
    X(uint32_t, prefix4, prefix.ipv4)                                                              \
    X(uint32_t, prefix6, prefix.ipv6)                                                              \
    /* enum l4_key_kind */                                                                         \
    X(uint32_t, kind, key)

/* struct l4_udp_settings */
#define L4_UDP_POOL_SETTINGS(X)                                                                    \
    /* Idle timeout. */                                                                            \
    X(uint32_t, idle_ms, udp_idle_timeout_ms)                                                      \
    /* Datagrams of a client in one session; answers to one datagram of a client; 0: no limit. */  \
    X(uint32_t, requests, requests)                                                                \
    X(uint32_t, responses, responses)                                                              \
    /* 1: each datagram of a client chooses its backend. */                                        \
    X(uint32_t, per_datagram, per_datagram)                                                        \
    /* Which datagrams have a PROXY header: enum l4_udp_greets of run/udp_proxy_out.h. */          \
    X(uint32_t, greets, proxy_protocol_udp)                                                        \
    /* 1: sessions stay with a backend that is down. */                                            \
    X(uint32_t, keep_down, keep_down)                                                              \
    /* config_id: the upper 3 bits of an id's first octet; length of the server ids in bytes; 1:   \
     * QUIC connection ids name backends. */                                                       \
    X(uint32_t, quic_config, quic_config)                                                          \
    X(uint32_t, quic_bytes, quic_bytes)                                                            \
    X(uint32_t, quic_id, quic_id)                                                                  \
    /* 1: its sessions may go to the kernel. */                                                    \
    X(uint32_t, hand_over, hand_over)

/* struct l4_http_pool */
#define L4_HTTP_POOL_SETTINGS(X)                                                                   \
    /* enum l4_http_reuse */                                                                       \
    X(uint32_t, reuse, http.reuse)                                                                 \
    /* Idle connections that one worker keeps to one backend, and for how long. */                 \
    X(uint32_t, idle_connections, http.idle_connections)                                           \
    X(uint32_t, idle_timeout_ms, http.idle_timeout_ms)                                             \
    /* Requests of one connection; 0: no limit. */                                                 \
    X(uint32_t, max_requests, http.max_requests)                                                   \
    /* From the end of a request to the head of its answer. */                                     \
    X(uint32_t, answer_timeout_ms, http.answer_timeout_ms)                                         \
    /* enum l4_http_retry_on */                                                                    \
    X(uint32_t, retry_on, http_retry_on)                                                           \
    /* Statuses of answers that count as faults (passive health): bit 0 is 500, bit 63 is 563. */  \
    X(uint64_t, bad_statuses, http_bad_statuses)                                                   \
    /* Retries as a share of the pool's requests of the last 10 s. */                              \
    X(uint32_t, retry_budget_percent, http.retry_budget_percent)                                   \
    /* Bytes of a body that are kept for a retry. */                                               \
    X(uint32_t, retry_body, http.retry_body)                                                       \
    /* enum l4_http_host */                                                                        \
    X(uint32_t, host, http_host)                                                                   \
    /* Of a forward proxy: its number, from 1 (0: an ordinary pool); 1: its clients may reach      \
     * private addresses; the set of those that they may; 1: rules look at paths; 1: fields that   \
     * tell of the client are removed; how long an answer of the policy process is waited for, and \
     * 1: without one, an older answer decides; number of the cache for its clients' requests, if  \
     * their listener has none; the first ports that may be reached (first << 16 | last; 0: none)  \
     * by CONNECT, and else; enum l4_forward_sni; connections, and bytes a second in both          \
     * directions together, of each user (0: no limit). */                                         \
    X(uint32_t, forward, forward_number)                                                           \
    X(uint32_t, forward_private, forward_private)                                                  \
    X(uint32_t, forward_private_set, forward_private_set)                                          \
    X(uint32_t, forward_paths, forward_paths)                                                      \
    X(uint32_t, forward_anonymous, forward_anonymous)                                              \
    X(uint32_t, forward_wait_ms, forward_wait_ms)                                                  \
    X(uint32_t, forward_fails_open, forward_fails_open)                                            \
    X(uint32_t, forward_cache, forward_cache)                                                      \
    X(uint32_t, forward_tunnel_ports0, forward_tunnel_ports_0)                                     \
    X(uint32_t, forward_tunnel_ports1, forward_tunnel_ports_1)                                     \
    X(uint32_t, forward_tunnel_ports2, forward_tunnel_ports_2)                                     \
    X(uint32_t, forward_tunnel_ports3, forward_tunnel_ports_3)                                     \
    X(uint32_t, forward_ports0, forward_ports_0)                                                   \
    X(uint32_t, forward_ports1, forward_ports_1)                                                   \
    X(uint32_t, forward_ports2, forward_ports_2)                                                   \
    X(uint32_t, forward_ports3, forward_ports_3)                                                   \
    X(uint32_t, forward_sni, forward_sni)                                                          \
    X(uint32_t, user_connections, forward_user_connections)                                        \
    X(uint64_t, user_bandwidth, forward_user_bandwidth)

/* struct l4_cache_rules */
#define L4_CACHE_SETTINGS(X)                                                                       \
    /* enum l4_cache_key_part */                                                                   \
    X(uint32_t, key, key_parts)                                                                    \
    /* Lifetimes where an answer tells none; the longest; the share of its age when it came. */    \
    X(uint32_t, default_s, default_ttl_s)                                                          \
    X(uint32_t, most_s, max_ttl_s)                                                                 \
    X(uint32_t, heuristic_percent, heuristic_percent)                                              \
    /* How long stale objects may be used (RFC 5861), where an answer does not say. */             \
    X(uint32_t, while_revalidate_s, stale_while_revalidate_s)                                      \
    X(uint32_t, if_error_s, stale_if_error_s)                                                      \
    /* How long a request waits for the answer to another one; 0: not at all. */                   \
    X(uint32_t, collapse_ms, collapse_ms)                                                          \
    /* Bytes of an answer with its head. */                                                        \
    X(uint64_t, max_object, max_object)                                                            \
    /* Answers of one URL that Vary tells apart. */                                                \
    X(uint32_t, max_variants, max_variants)                                                        \
    /* Set of networks whose clients may purge; L4_NONE: none. */                                  \
    X(uint32_t, purge_set, purge_set)

/* struct l4_passive_rule */
#define L4_PASSIVE_SETTINGS(X)                                                                     \
    /* Duration of the first ejection, and the longest. */                                         \
    X(uint32_t, eject_ms, passive.eject_ms)                                                        \
    X(uint32_t, max_eject_ms, passive.max_eject_ms)                                                \
    /* Share of members ejected at one time. */                                                    \
    X(uint32_t, max_ejected_percent, passive.max_ejected_percent)                                  \
    /* 1: resets count only from several sources. */                                               \
    X(uint32_t, several, passive.reset_sources)                                                    \
    /* Failures in a row that eject; 0: no ejections. */                                           \
    X(uint32_t, failures, passive.failures)

/* struct l4_queue */
#define L4_QUEUE_SETTINGS(X)                                                                       \
    /* How long a client waits at most. */                                                         \
    X(uint32_t, timeout_ms, queue.timeout_ms)                                                      \
    /* Number of clients that may wait; 0: no queue. */                                            \
    X(uint32_t, length, queue.length)

/* struct l4_sticky_rule */
#define L4_STICKY_SETTINGS(X)                                                                      \
    /* 1: a draining backend still gets its sticky clients. */                                     \
    X(uint32_t, in_drain, sticky_during_drain)                                                     \
    /* How long an entry is kept after the last session; 0: not sticky. */                         \
    X(uint32_t, ttl_ms, sticky.ttl_ms)

/* ---- writing --------------------------------------------------------------------------------- */

struct l4_table;

struct l4_setting {
    const char *path;
    size_t at;    /* from the row's first byte */
    size_t bytes; /* 4 or 8 */
};

enum l4_setting_kind { L4_OF_TABLE, L4_OF_LISTENER, L4_OF_POOL, L4_OF_CACHE, L4_SETTING_KINDS };

/* The settings of a kind of row, in the order in which they are written. */
const struct l4_setting *l4_settings(enum l4_setting_kind kind, uint32_t *count);

/* The row that they are written to; the index of the whole table is 0. */
void *l4_settings_row(const struct l4_table *table, enum l4_setting_kind kind, uint32_t index);

/* The supervisor's. False: the value is too large for the field. */
bool l4_setting_put(void *row, const struct l4_setting *setting, uint64_t value);

#endif
