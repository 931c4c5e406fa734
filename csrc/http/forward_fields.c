#include "http/forward_fields.h"

#include <string.h>

#include "http/serve.h"

/* Returns the origin of a URL with a slash behind it (RFC 9110, 10.1.3); no bytes: it has none. */
static struct l4_text origin_of(struct l4_text url, struct l4_text_out *to)
{
    const char *found = url.bytes ? memchr(url.at, ':', url.bytes) : NULL;
    const size_t scheme = found ? (size_t)(found - url.at) : 0;
    if (!scheme || url.bytes - scheme < 4 || memcmp(found, "://", 3) != 0)
        return (struct l4_text){NULL, 0};
    const struct l4_text rest = l4_text_after(url, scheme + 3);
    size_t host = l4_text_until(rest, '/');
    const size_t query = l4_text_until(rest, '?'), user = l4_text_until(rest, '@');
    host = query < host ? query : host;
    if (user < host) /* why: a name and a password tell more than anything else */
        return (struct l4_text){NULL, 0};
    const size_t before = to->used;
    l4_text_put(to, (struct l4_text){url.at, scheme + 3 + host});
    l4_text_put(to, L4_TEXT("/"));
    return to->full ? (struct l4_text){NULL, 0}
                    : (struct l4_text){to->to + before, to->used - before};
}

size_t l4_forward_fields(struct l4_loop *loop, uint32_t index, struct l4_text id,
                         struct l4_text_out *to, struct l4_field_rule *rules)
{
    const struct l4_text removed[] = {
        L4_TEXT("From"),
        L4_TEXT("Via"),
        L4_TEXT("Forwarded"),
        L4_TEXT("X-Real-IP"),
        L4_TEXT("X-Client-IP"),
        L4_TEXT("Client-IP"),
        L4_TEXT("True-Client-IP"),
        L4_TEXT("CF-Connecting-IP"),
        L4_TEXT("X-Cluster-Client-IP"),
        L4_TEXT("X-ProxyUser-IP"),
    };
    const struct l4_session *s = l4_session_at(loop, index);
    if (!l4_outward_is_on(loop, s) || !L4_GET(l4_serve_pool_rules(loop, index)->forward_anonymous))
        return 0;
    size_t count = 0;
    for (; count < sizeof removed / sizeof *removed; count++)
        rules[count] = (struct l4_field_rule){.action = L4_FIELD_REMOVE, .name = removed[count]};
    if (id.bytes)
        rules[count++] = (struct l4_field_rule){.action = L4_FIELD_REMOVE, .name = id};
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    if (!l4_h1_has(&judged->head, L4_FIELD_REFERER))
        return count;
    const struct l4_text origin =
        origin_of(l4_h1_value(bytes, &judged->head, L4_FIELD_REFERER), to);
    rules[count++] = (struct l4_field_rule){origin.bytes ? L4_FIELD_SET : L4_FIELD_REMOVE,
                                            L4_TEXT("Referer"), origin};
    return count;
}

/* A quoted string has no quote and no backslash of its own (RFC 9110, 5.6.4). */
static bool is_quotable(struct l4_text text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\' || (unsigned char)text.at[i] < ' ')
            return false;
    }
    return text.bytes;
}

void l4_forward_put_challenge(const struct l4_loop *loop, uint32_t index, struct l4_text_out *out)
{
    const struct l4_outward *o = l4_outward_at(loop, index);
    const struct l4_text told = {o->rule, o->rule_bytes};
    const struct l4_text realm = is_quotable(told) ? told : L4_TEXT("proxy");
    char text[L4_GATE_NAME_MAX + 32];
    struct l4_text_out value = {.to = text, .size = sizeof text};
    l4_text_put(&value, L4_TEXT("Basic realm=\""));
    l4_text_put(&value, realm);
    l4_text_put(&value, L4_TEXT("\""));
    l4_h1_put_field(out, L4_TEXT("Proxy-Authenticate"), (struct l4_text){text, value.used});
}

struct l4_texts_page l4_forward_page(const struct l4_loop *loop, uint32_t index,
                                     const struct l4_texts *texts)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_outward *o = l4_outward_at(loop, index);
    const uint32_t status = l4_exchange_at(loop, index)->status;
    if (status == 403 && l4_outward_is_on(loop, s) && l4_outward_is_known(loop, index) &&
        !o->allowed) {
        const struct l4_text rule = {o->rule, o->rule_bytes};
        const struct l4_texts_page page = l4_texts_rule_page(texts, s->pool, rule, status);
        if (page.status)
            return page;
    }
    const struct l4_listener_texts own = l4_texts_listener(texts, s->listener);
    return l4_texts_page(texts, &own, status);
}
