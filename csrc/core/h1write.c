#include "core/h1write.h"

#include <string.h>
#include <strings.h>

enum { NUMBER_MAX = 20 /* digits of 64 bits */ };

#define VERSION "HTTP/1.1"

/* ---- the parts ------------------------------------------------------------------------------- */

/* Only what has no control byte is put by l4_text_put: of a judged head, or our own. */
#define PUT(out, literal) l4_text_put(out, L4_TEXT(literal))

/* True if all bytes of a text are `lowest` or above, or HTAB where spaces are allowed. */
static bool is_clean(struct l4_text text, char lowest)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const uint8_t c = (uint8_t)text.at[i];
        if ((c < (uint8_t)lowest && !(c == '\t' && lowest == ' ')) || c == 0x7f)
            return false;
    }
    return true;
}

/* Puts one word of a first line, or a name: without white space. */
static void put_word(struct l4_text_out *out, struct l4_text word)
{
    if (word.bytes == 0 || !is_clean(word, '!'))
        out->full = true;
    l4_text_put(out, word);
}

void l4_h1_put(struct l4_text_out *out, struct l4_text text)
{
    if (!is_clean(text, ' '))
        out->full = true;
    l4_text_put(out, text);
}

void l4_h1_put_number(struct l4_text_out *out, uint64_t number)
{
    char digits[NUMBER_MAX];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    l4_text_put(out, (struct l4_text){digits + at, sizeof digits - at});
}

void l4_h1_put_status(struct l4_text_out *out, unsigned status, struct l4_text reason)
{
    PUT(out, VERSION " ");
    l4_h1_put_number(out, status);
    PUT(out, " ");
    l4_h1_put(out, reason);
    PUT(out, "\r\n");
}

void l4_h1_put_field(struct l4_text_out *out, struct l4_text name, struct l4_text value)
{
    if (memchr(name.at, ':', name.bytes))
        out->full = true;
    put_word(out, name);
    PUT(out, ": ");
    l4_h1_put(out, value);
    PUT(out, "\r\n");
}

void l4_h1_put_end(struct l4_text_out *out)
{
    PUT(out, "\r\n");
}

/* ---- fields that came ------------------------------------------------------------------------ */

/* A head, and what is to become of it. */
struct writer {
    struct l4_text_out *out;
    const char *bytes;
    const struct l4_h1_head *head;
    const struct l4_h1_rules *rules;
};

static bool is_same(struct l4_text a, struct l4_text b)
{
    return a.bytes == b.bytes && strncasecmp(a.at, b.at, a.bytes) == 0;
}

static void put_field(const struct writer *w, const struct l4_h1_field *field)
{
    const struct l4_text name = l4_h1_text(w->bytes, field->name);
    const struct l4_text value = l4_h1_text(w->bytes, field->value);
    char *to = l4_text_room(w->out, name.bytes + value.bytes + 4);
    if (!to)
        return;
    to = l4_text_copy(l4_text_copy(to, name), L4_TEXT(": "));
    l4_text_copy(l4_text_copy(to, value), L4_TEXT("\r\n"));
}

/* True if an operation takes away all fields of a name. */
static bool is_removed(const struct writer *w, struct l4_text name)
{
    for (size_t i = 0; i < w->rules->field_count; i++) {
        const struct l4_field_rule *rule = &w->rules->fields[i];
        if (rule->action != L4_FIELD_ADD && is_same(rule->name, name))
            return true;
    }
    return false;
}

/* True if a field of the head goes on, as far as both directions judge alike. */
static bool goes_on(const struct writer *w, const struct l4_h1_field *field)
{
    if (field->flags & (L4_FIELD_IS_HOP | L4_FIELD_FRAMES))
        return field->id == L4_FIELD_UPGRADE && w->rules->connection == L4_CONNECTION_UPGRADE;
    return w->rules->field_count == 0 || !is_removed(w, l4_h1_text(w->bytes, field->name));
}

/* True if the head has a field of the name that goes on. */
static bool has(const struct writer *w, enum l4_field_id id)
{
    for (uint32_t i = w->head->first[id]; i < w->head->field_count; i++) {
        if (w->head->fields[i].id == id && goes_on(w, &w->head->fields[i]))
            return true;
    }
    return false;
}

/* ---- fields of ours -------------------------------------------------------------------------- */

/* Puts a field that l4lb adds by itself, unless an operation is about its name. */
static void put_own(const struct writer *w, struct l4_text name, struct l4_text value)
{
    if (value.at && !is_removed(w, name))
        l4_h1_put_field(w->out, name, value);
}

static void put_via(const struct writer *w)
{
    if (!w->rules->via.at || is_removed(w, L4_TEXT("Via")))
        return;
    PUT(w->out, "Via: 1.1 ");
    l4_h1_put(w->out, w->rules->via);
    PUT(w->out, "\r\n");
}

/* why: an operation on one of these could make two messages of one, or send it astray. */
static bool is_protected(struct l4_text name)
{
    switch (l4_field_find(name.at, name.bytes)) {
    case L4_FIELD_HOST:
    case L4_FIELD_CONTENT_LENGTH:
    case L4_FIELD_TRANSFER_ENCODING:
    case L4_FIELD_CONNECTION:
    case L4_FIELD_PROXY_CONNECTION:
    case L4_FIELD_KEEP_ALIVE:
    case L4_FIELD_UPGRADE:
    case L4_FIELD_EXPECT:
    case L4_FIELD_TRAILER:
    case L4_FIELD_TE:
        return true;
    default:
        return false;
    }
}

static void put_operations(const struct writer *w)
{
    for (size_t i = 0; i < w->rules->field_count; i++) {
        const struct l4_field_rule *rule = &w->rules->fields[i];
        if (rule->action != L4_FIELD_REMOVE && !is_protected(rule->name))
            l4_h1_put_field(w->out, rule->name, rule->value);
    }
}

/* Puts what frames the body, the connection's option, and the empty line. */
static void put_frame(const struct writer *w)
{
    const struct l4_h1_rules *rules = w->rules;
    if (rules->framing == L4_FRAMING_CHUNKED) {
        PUT(w->out, "Transfer-Encoding: chunked\r\n");
    } else if (rules->framing == L4_FRAMING_LENGTH || rules->tell_length) {
        PUT(w->out, "Content-Length: ");
        l4_h1_put_number(w->out, rules->length);
        PUT(w->out, "\r\n");
    }
    if (rules->connection == L4_CONNECTION_CLOSE)
        PUT(w->out, "Connection: close\r\n");
    else if (rules->connection == L4_CONNECTION_KEEP_ALIVE)
        PUT(w->out, "Connection: keep-alive\r\n");
    else if (rules->connection == L4_CONNECTION_UPGRADE)
        PUT(w->out, "Connection: Upgrade\r\n");
    l4_h1_put_end(w->out);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* True if fields of the name that came are joined with ours, or give way to ours. */
static bool is_joined(const struct l4_request_rules *rules, uint8_t id)
{
    return rules->forwarded == L4_FORWARDED_APPEND &&
           ((id == L4_FIELD_X_FORWARDED_FOR && rules->x_forwarded) ||
            (id == L4_FIELD_FORWARDED && rules->rfc7239));
}

static bool request_keeps(const struct writer *w, const struct l4_request_rules *rules,
                          const struct l4_h1_field *field)
{
    if (field->id == L4_FIELD_HOST || !goes_on(w, field))
        return false;
    if (field->flags & L4_FIELD_HAS_UNDERSCORE && rules->drop_underscores)
        return false;
    if (field->flags & L4_FIELD_TELLS_CLIENT &&
        (!rules->trusted || rules->forwarded == L4_FORWARDED_REPLACE ||
         is_joined(rules, field->id)))
        return false;
    if (field->id == L4_FIELD_EXPECT && rules->drop_expect)
        return false;
    return !rules->id_name.at || !is_same(rules->id_name, l4_h1_text(w->bytes, field->name));
}

/* Puts the values that trusted clients sent of a list, each with a comma behind it. */
static void put_list_so_far(const struct writer *w, const struct l4_request_rules *rules,
                            enum l4_field_id id)
{
    if (!rules->trusted || rules->forwarded != L4_FORWARDED_APPEND)
        return;
    for (uint32_t i = w->head->first[id]; i < w->head->field_count; i++) {
        const struct l4_h1_field *field = &w->head->fields[i];
        if (field->id != id || field->value.bytes == 0 || !goes_on(w, field))
            continue;
        l4_text_put(w->out, l4_h1_text(w->bytes, field->value));
        PUT(w->out, ", ");
    }
}

/* A first proxy's word on scheme and host stays: it spoke with the client itself. */
static bool is_told(const struct writer *w, const struct l4_request_rules *rules,
                    enum l4_field_id id)
{
    return rules->trusted && rules->forwarded == L4_FORWARDED_APPEND && has(w, id);
}

static void put_x_forwarded(const struct writer *w, const struct l4_request_rules *rules)
{
    if (rules->client.at && !is_removed(w, L4_TEXT("X-Forwarded-For"))) {
        PUT(w->out, "X-Forwarded-For: ");
        put_list_so_far(w, rules, L4_FIELD_X_FORWARDED_FOR);
        l4_h1_put(w->out, rules->client);
        PUT(w->out, "\r\n");
    }
    if (!is_told(w, rules, L4_FIELD_X_FORWARDED_PROTO))
        put_own(w, L4_TEXT("X-Forwarded-Proto"), rules->scheme);
    if (!is_told(w, rules, L4_FIELD_X_FORWARDED_HOST))
        put_own(w, L4_TEXT("X-Forwarded-Host"), rules->asked_host);
}

static bool fits_quotes(struct l4_text text)
{
    return text.at && !memchr(text.at, '"', text.bytes) && !memchr(text.at, '\\', text.bytes);
}

/* RFC 7239, 4: `for="[2001:db8::1]";proto=https;host="a.example"`. */
static void put_rfc7239(const struct writer *w, const struct l4_request_rules *rules)
{
    if (is_removed(w, L4_TEXT("Forwarded")))
        return;
    const bool six = rules->client.at && memchr(rules->client.at, ':', rules->client.bytes);
    PUT(w->out, "Forwarded: ");
    put_list_so_far(w, rules, L4_FIELD_FORWARDED);
    l4_text_put(w->out, six ? L4_TEXT("for=\"[") : L4_TEXT("for="));
    l4_h1_put(w->out, rules->client.at ? rules->client : L4_TEXT("unknown"));
    if (six)
        PUT(w->out, "]\"");
    if (rules->scheme.at) {
        PUT(w->out, ";proto=");
        l4_h1_put(w->out, rules->scheme);
    }
    if (fits_quotes(rules->asked_host)) {
        PUT(w->out, ";host=\"");
        l4_h1_put(w->out, rules->asked_host);
        PUT(w->out, "\"");
    }
    PUT(w->out, "\r\n");
}

void l4_h1_write_request(struct l4_text_out *out, const char *bytes, const struct l4_h1_head *head,
                         const struct l4_request_rules *rules)
{
    const struct writer w = {out, bytes, head, &rules->head};
    l4_text_put(out, l4_h1_text(bytes, head->method_text));
    PUT(out, " ");
    put_word(out, rules->target);
    PUT(out, " " VERSION "\r\nHost: ");
    /* A client of HTTP/1.0 may name no host; then Host is empty (RFC 9112, 3.2). */
    if (rules->host.at)
        put_word(out, rules->host);
    PUT(out, "\r\n");
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (request_keeps(&w, rules, &head->fields[i]))
            put_field(&w, &head->fields[i]);
    }
    if (rules->forwarded != L4_FORWARDED_OFF && rules->x_forwarded)
        put_x_forwarded(&w, rules);
    if (rules->forwarded != L4_FORWARDED_OFF && rules->rfc7239)
        put_rfc7239(&w, rules);
    put_via(&w);
    if (rules->id_name.at)
        put_own(&w, rules->id_name, rules->id);
    put_operations(&w);
    put_frame(&w);
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool is_hidden(const struct l4_answer_rules *rules, struct l4_text name)
{
    for (size_t i = 0; i < rules->hide_count; i++) {
        if (is_same(rules->hide[i], name))
            return true;
    }
    return false;
}

/* True if an attribute of a cookie is `Domain` and names a backend. */
static bool is_backends_domain(struct l4_text attribute, struct l4_text domain)
{
    static const char name[] = "domain=";
    while (attribute.bytes && *attribute.at == ' ')
        attribute.at++, attribute.bytes--;
    if (attribute.bytes < strlen(name) || strncasecmp(attribute.at, name, strlen(name)) != 0)
        return false;
    attribute.at += strlen(name);
    attribute.bytes -= strlen(name);
    if (attribute.bytes && *attribute.at == '.')
        attribute.at++, attribute.bytes--;
    return is_same(attribute, domain);
}

/* Puts Set-Cookie without a Domain that no client could use: the cookie is then of the host that
 * the client asked for. */
static void put_cookie(const struct writer *w, const struct l4_h1_field *field,
                       struct l4_text domain)
{
    struct l4_text rest = l4_h1_text(w->bytes, field->value);
    PUT(w->out, "Set-Cookie: ");
    for (bool first = true; rest.at; first = false) {
        const char *end = memchr(rest.at, ';', rest.bytes);
        const struct l4_text part = {rest.at, end ? (size_t)(end - rest.at) : rest.bytes};
        if (first || !is_backends_domain(part, domain)) {
            if (!first)
                PUT(w->out, ";");
            l4_text_put(w->out, part);
        }
        rest.bytes -= end ? part.bytes + 1 : part.bytes;
        rest.at = end ? end + 1 : NULL;
    }
    PUT(w->out, "\r\n");
}

static void put_answers_field(const struct writer *w, const struct l4_answer_rules *rules,
                              uint32_t number)
{
    const struct l4_h1_field *field = &w->head->fields[number];
    if (!goes_on(w, field) || is_hidden(rules, l4_h1_text(w->bytes, field->name)))
        return;
    if (field->id == L4_FIELD_LOCATION && rules->location.at) {
        if (number == w->head->first[L4_FIELD_LOCATION])
            l4_h1_put_field(w->out, L4_TEXT("Location"), rules->location);
    } else if (field->id == L4_FIELD_SET_COOKIE && rules->cookie_domain.at) {
        put_cookie(w, field, rules->cookie_domain);
    } else if (field->id != L4_FIELD_STRICT_TRANSPORT_SECURITY || !rules->hsts.at) {
        put_field(w, field);
    }
}

void l4_h1_write_answer(struct l4_text_out *out, const char *bytes, const struct l4_h1_head *head,
                        const struct l4_answer_rules *rules)
{
    const struct writer w = {out, bytes, head, &rules->head};
    const struct l4_text reason = l4_h1_text(bytes, head->reason);
    l4_h1_put_status(out, head->status, rules->reason.at ? rules->reason : reason);
    for (uint32_t i = 0; i < head->field_count; i++)
        put_answers_field(&w, rules, i);
    /* why: what is before the answer says nothing of the answer; 101 is the last one. */
    if (head->status >= 200 || head->status == 101) {
        if (!has(&w, L4_FIELD_DATE) && !is_hidden(rules, L4_TEXT("date")))
            put_own(&w, L4_TEXT("Date"), rules->date);
        put_via(&w);
        put_own(&w, L4_TEXT("Strict-Transport-Security"), rules->hsts);
        put_operations(&w);
    }
    put_frame(&w);
}
