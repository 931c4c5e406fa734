#include "http/socks.h"

#include <errno.h>

#include "core/socks5.h"

/* Why an outside host could not be reached, by the errno of the last attempt. */
static enum l4_socks_reply unreached(int32_t error)
{
    switch (error) {
    case ECONNREFUSED:
        return L4_SOCKS_REFUSED;
    case ENETUNREACH:
        return L4_SOCKS_NETWORK_UNREACHABLE;
    case ETIMEDOUT:
        return L4_SOCKS_EXPIRED;
    default:
        return L4_SOCKS_HOST_UNREACHABLE;
    }
}

static enum l4_socks_reply reply_of(const struct l4_loop *loop, uint32_t index)
{
    switch (l4_exchange_at(loop, index)->status) {
    case 400:
        return (enum l4_socks_reply)l4_outward_at(loop, index)->refusal;
    case 403:
    case 407:
    case 429:
        return L4_SOCKS_NOT_ALLOWED;
    case 502:
        return unreached(l4_session_at(loop, index)->error);
    case 504:
        return L4_SOCKS_HOST_UNREACHABLE;
    default:
        return L4_SOCKS_FAILED;
    }
}

size_t l4_socks_refusal(const struct l4_loop *loop, uint32_t index, char *to)
{
    switch (l4_outward_at(loop, index)->phase) {
    case L4_SOCKS_GREETING:
        return l4_socks_greeting_answer((uint8_t *)to, L4_SOCKS_METHOD_REFUSED);
    case L4_SOCKS_LOGIN:
        return l4_socks_login_answer((uint8_t *)to, false);
    default:
        return l4_socks_request_answer((uint8_t *)to, reply_of(loop, index), NULL);
    }
}
