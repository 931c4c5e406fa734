#include "http/proxy_status.h"

#include <errno.h>
#include <stdio.h>

#include "http/room.h"
#include "run/row.h"

/* Why no backend could be reached, by the errno of the last attempt. */
static const char *unreached(int32_t error)
{
    switch (error) {
    case ECONNREFUSED:
        return "connection_refused";
    case ETIMEDOUT:
        return "connection_timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "destination_ip_unroutable";
    default:
        return "destination_unavailable";
    }
}

/* Returns the type of error (RFC 9209, 2.3) of a request that ends for this reason. */
static const char *type_of(enum l4_reason reason, int32_t error)
{
    switch (reason) {
    case L4_END_NONE:
        return "proxy_internal_response";
    case L4_END_CONNECT_FAILED:
        return unreached(error);
    case L4_END_NO_BACKEND:
    case L4_END_BACKEND_DOWN:
        return "destination_unavailable";
    case L4_END_QUEUE_FULL:
    case L4_END_QUEUE_TIMEOUT:
        return "connection_limit_reached";
    case L4_END_BACKEND_RESET:
    case L4_END_BACKEND_FIN:
        return "connection_terminated";
    case L4_END_BAD_ANSWER:
        return "http_protocol_error";
    case L4_END_ANSWER_TIMEOUT:
        return "http_response_timeout";
    case L4_END_REJECTED_BAD_REQUEST:
    case L4_END_REJECTED_TOO_LARGE:
    case L4_END_REJECTED_HEAD_TIMEOUT:
    case L4_END_REJECTED_BODY_RATE:
        return "http_request_error";
    default:
        return l4_reason_is_rejection(reason) ? "http_request_denied" : "proxy_internal_error";
    }
}

size_t l4_proxy_status_write(const struct l4_loop *loop, uint32_t index, struct l4_text name,
                             char to[L4_PROXY_STATUS_MAX])
{
    const struct l4_session *s = l4_session_at(loop, index);
    const char *fault = l4_exchange_at(loop, index)->fault;
    if (!name.bytes)
        name = L4_TEXT("l4lb");
    /* why: a token begins with a letter (RFC 9651, 3.3.4), and a name in Via need not. */
    const bool letter = (name.at[0] | 0x20) >= 'a' && (name.at[0] | 0x20) <= 'z';
    const char *quote = letter ? "" : "\"";
    const int bytes =
        snprintf(to, L4_PROXY_STATUS_MAX, "%s%.*s%s; error=%s%s%s%s", quote, (int)name.bytes,
                 name.at, quote, type_of((enum l4_reason)s->reason, s->error),
                 fault ? "; details=\"" : "", fault ? fault : "", fault ? "\"" : "");
    return bytes > 0 && bytes < L4_PROXY_STATUS_MAX ? (size_t)bytes : 0;
}
