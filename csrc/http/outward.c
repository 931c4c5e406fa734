#include "http/outward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "core/access.h"
#include "core/outside.h"
#include "http/serve.h"

enum { USUAL_PORT = 80, USUAL_SECURE_PORT = 443 };

/* ---- memory ---------------------------------------------------------------------------------- */

int l4_outward_start(struct l4_loop *loop)
{
    struct l4_outwards *outwards = calloc(1, sizeof *outwards);
    loop->http->outwards = outwards;
    if (!outwards)
        return -ENOMEM;
    outwards->rows = calloc(loop->table->plan.caps.sessions, sizeof *outwards->rows);
    return outwards->rows ? 0 : -ENOMEM;
}

void l4_outward_finish(struct l4_loop *loop)
{
    struct l4_outwards *outwards = loop->http->outwards;
    if (!outwards)
        return;
    if (outwards->gate)
        munmap(outwards->gate, sizeof *outwards->gate);
    free(outwards->rows);
    free(outwards);
    loop->http->outwards = NULL;
}

/* The gate, mapped when it is first needed; NULL: there is none. */
static struct l4_gate *gate_of(const struct l4_loop *loop)
{
    struct l4_outwards *outwards = loop->http->outwards;
    if (outwards->gate || loop->setup.gate_fd <= 0)
        return outwards->gate;
    void *memory = mmap(NULL, sizeof *outwards->gate, PROT_READ | PROT_WRITE, MAP_SHARED,
                        loop->setup.gate_fd, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (!l4_gate_is_sound(memory)) {
        munmap(memory, sizeof *outwards->gate);
        return NULL;
    }
    outwards->gate = memory;
    l4_gate_forget(memory, loop->setup.index); /* who was here before is gone */
    return memory;
}

/* ---- the request ----------------------------------------------------------------------------- */

bool l4_outward_is_known(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_outward *o = l4_outward_at(loop, index);
    return o->serial && o->serial == L4_GET(l4_session_at(loop, index)->serial) &&
           o->number == l4_exchange_at(loop, index)->number;
}

static void begin(struct l4_loop *loop, uint32_t index, const struct l4_host *host, uint16_t port)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    L4_ASSERT(!o->question);
    o->serial = L4_GET(l4_session_at(loop, index)->serial);
    o->number = l4_exchange_at(loop, index)->number;
    o->looks = 0;
    o->allowed = o->guarded = false;
    o->addrs = o->next = o->quick = 0;
    o->rule_bytes = o->user_bytes = 0;
    o->named = host->kind == L4_HOST_NAME;
    o->port = port;
    o->host_bytes = host->bytes;
    memcpy(o->host, host->name, sizeof o->host);
}

bool l4_outward_begin(struct l4_loop *loop, uint32_t index)
{
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const bool tunnel = judged->target.form == L4_FORM_AUTHORITY;
    const struct l4_host *host = &judged->host;
    if (!host->bytes || (tunnel && !host->port) ||
        (!tunnel &&
         (judged->target.form != L4_FORM_ABSOLUTE || judged->target.scheme != L4_SCHEME_HTTP)))
        return false;
    begin(loop, index, host, host->port ? host->port : USUAL_PORT);
    l4_outward_at(loop, index)->credentials_bytes = 0;
    return true;
}

void l4_outward_begin_socks(struct l4_loop *loop, uint32_t index, const struct l4_host *host)
{
    begin(loop, index, host, host->port);
}

void l4_outward_begin_login(struct l4_loop *loop, uint32_t index)
{
    begin(loop, index, &(struct l4_host){.kind = L4_HOST_NAME}, 0);
}

bool l4_outward_is_login(const struct l4_loop *loop, uint32_t index)
{
    return l4_outward_is_known(loop, index) && !l4_outward_at(loop, index)->host_bytes;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* What of a request is asked, besides its host. */
struct texts {
    struct l4_text method, path, credentials;
    bool socks;
};

static bool is_socks(const struct l4_loop *loop, uint32_t index)
{
    return L4_GET(l4_serve_rules(loop, l4_session_at(loop, index))->speaks_socks);
}

/* The path with its query, as it came. */
static struct l4_text path_of(const struct l4_target *target)
{
    struct l4_text path = target->path;
    if (target->query.at && target->path.at + target->path.bytes + 1 == target->query.at)
        path.bytes += 1 + target->query.bytes;
    return path;
}

static struct texts texts_of(struct l4_loop *loop, uint32_t index)
{
    const struct l4_outward *o = l4_outward_at(loop, index);
    if (is_socks(loop, index))
        return (struct texts){.method = L4_TEXT("CONNECT"),
                              .credentials = {o->credentials, o->credentials_bytes},
                              .socks = true};
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    const bool paths = L4_GET(l4_serve_pool_rules(loop, index)->forward_paths) &&
                       judged->target.form == L4_FORM_ABSOLUTE;
    return (struct texts){
        .method = l4_h1_text(bytes, judged->head.method_text),
        .path = paths ? path_of(&judged->target) : (struct l4_text){"", 0},
        .credentials = l4_h1_value(bytes, &judged->head, L4_FIELD_PROXY_AUTHORIZATION),
    };
}

/* Can the gate take them whole? Rules must not judge a part. */
static bool fits(const struct texts *texts)
{
    return texts->method.bytes <= L4_GATE_METHOD_MAX && texts->path.bytes <= L4_GATE_PATH_MAX &&
           texts->credentials.bytes <= L4_GATE_CREDENTIALS_MAX;
}

/* Hashes all that an answer may depend on. */
static void make_key(struct l4_loop *loop, uint32_t index, const struct texts *texts)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    const struct l4_session *s = l4_session_at(loop, index);
    struct l4_addr source = *l4_row_client(loop, s);
    source.port = 0;
    char *to = loop->pump.scratch; /* nothing is read meanwhile */
    const struct l4_text parts[] = {
        {o->host, o->host_bytes}, texts->method, texts->credentials, texts->path};
    const uint32_t numbers[] = {0, L4_GET(l4_row_pool(loop, s)->http.forward), o->port,
                                texts->socks};
    char *end = to + sizeof numbers + sizeof source;
    memcpy(to, numbers, sizeof numbers);
    memcpy(to + sizeof numbers, &source, sizeof source);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const uint32_t bytes = (uint32_t)parts[i].bytes;
        memcpy(end, &bytes, sizeof bytes);
        end = l4_text_copy(end + sizeof bytes, parts[i]);
    }
    for (int half = 0; half < 2; half++) {
        to[0] = (char)half; /* why: two hashes of the same text are independent then */
        o->key[half] = l4_hash(&loop->table->header->hash_key, to, (size_t)(end - to));
    }
}

static void write_question(struct l4_loop *loop, uint32_t index, const struct texts *texts,
                           struct l4_gate_asked *asked)
{
    const struct l4_outward *o = l4_outward_at(loop, index);
    const struct l4_session *s = l4_session_at(loop, index);
    asked->key[0] = o->key[0];
    asked->key[1] = o->key[1];
    asked->forward = L4_GET(l4_row_pool(loop, s)->http.forward);
    asked->source = *l4_row_client(loop, s);
    asked->port = o->port;
    asked->socks = texts->socks;
    asked->host_bytes = o->host_bytes < L4_GATE_HOST_MAX ? o->host_bytes : L4_GATE_HOST_MAX;
    memcpy(asked->host, o->host, asked->host_bytes);
    asked->method_bytes = (uint16_t)texts->method.bytes;
    l4_text_copy(asked->method, texts->method);
    asked->path_bytes = (uint16_t)texts->path.bytes;
    l4_text_copy(asked->path, texts->path);
    asked->credentials_bytes = (uint16_t)texts->credentials.bytes;
    l4_text_copy(asked->credentials, texts->credentials);
}

/* Asks, if there is a free row; else the session looks again. */
static void ask(struct l4_loop *loop, uint32_t index, const struct texts *texts)
{
    struct l4_gate *gate = gate_of(loop);
    const uint64_t one = 1;
    const uint32_t worker = loop->setup.index, row = l4_gate_take(gate, worker);
    if (row == L4_NONE)
        return;
    write_question(loop, index, texts, &gate->questions[worker][row].asked);
    l4_gate_ask(gate, worker, row);
    l4_outward_at(loop, index)->question = row + 1;
    /* why the result does not matter: the policy process also looks once a second. */
    (void)!write(loop->setup.gate_wake_fd, &one, sizeof one);
}

bool l4_outward_ask(struct l4_loop *loop, uint32_t index, struct l4_gate_answer *answer)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    struct l4_gate *gate = gate_of(loop);
    *answer = (struct l4_gate_answer){.kind = L4_GATE_DENY};
    if (!gate)
        return true;
    if (!o->looks++) {
        const struct texts texts = texts_of(loop, index);
        o->asked_ms = loop->now_ms;
        if (!fits(&texts))
            return true;
        make_key(loop, index, &texts);
    }
    if (l4_gate_find(gate, o->key, loop->now_ms, answer))
        return true;
    if (!o->question) {
        const struct texts texts = texts_of(loop, index);
        ask(loop, index, &texts);
    }
    return false;
}

/* May clients reach this port? Of many ranges only the first ones are known here. */
static bool is_port_usual(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_http_pool *rules = l4_serve_pool_rules(loop, index);
    const bool tunnel =
        !is_socks(loop, index) && l4_exchange_at(loop, index)->method == L4_METHOD_CONNECT;
    const uint32_t port = l4_outward_at(loop, index)->port;
    const uint32_t spans[2][4] = {
        {L4_GET(rules->forward_ports0), L4_GET(rules->forward_ports1),
         L4_GET(rules->forward_ports2), L4_GET(rules->forward_ports3)},
        {L4_GET(rules->forward_tunnel_ports0), L4_GET(rules->forward_tunnel_ports1),
         L4_GET(rules->forward_tunnel_ports2), L4_GET(rules->forward_tunnel_ports3)},
    };
    for (int i = 0; i < 4; i++) {
        if (spans[tunnel][i] >> 16 <= port && port <= (spans[tunnel][i] & 0xffff))
            return true;
    }
    return false;
}

/* Reads the host, which is an address. */
static bool read_address(const struct l4_outward *o, struct l4_addr *addr)
{
    char text[L4_ADDR_TEXT_MAX];
    const bool six = o->host_bytes > 2 && o->host[0] == '[';
    const size_t bytes = six ? o->host_bytes - 2u : o->host_bytes;
    *addr = (struct l4_addr){.family = six ? AF_INET6 : AF_INET};
    if (o->named || bytes >= sizeof text)
        return false;
    memcpy(text, o->host + six, bytes);
    text[bytes] = '\0';
    if (inet_pton(addr->family, text, addr->ip) != 1)
        return false;
    l4_addr_unmap(addr);
    return true;
}

bool l4_outward_decide_alone(struct l4_loop *loop, uint32_t index, struct l4_gate_answer *answer)
{
    static const struct l4_text rule = L4_TEXT("policy_failure");
    const struct l4_outward *o = l4_outward_at(loop, index);
    struct l4_gate *gate = gate_of(loop);
    if (!L4_GET(l4_serve_pool_rules(loop, index)->forward_fails_open) || !gate)
        return false;
    if (l4_gate_find(gate, o->key, 0, answer) &&
        (answer->kind == L4_GATE_ALLOW || answer->kind == L4_GATE_DENY))
        return true;
    *answer = (struct l4_gate_answer){
        .kind = L4_GATE_ALLOW, .addrs = 1, .rule_bytes = (uint8_t)rule.bytes};
    memcpy(answer->rule, rule.at, rule.bytes);
    if (l4_outward_is_login(loop, index))
        return true;
    return is_port_usual(loop, index) && read_address(o, &answer->addr[0]);
}

void l4_outward_drop(struct l4_loop *loop, uint32_t index)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    if (o->question)
        l4_gate_drop(gate_of(loop), loop->setup.index, o->question - 1);
    o->question = 0;
}

void l4_outward_take(struct l4_loop *loop, uint32_t index, const struct l4_gate_answer *answer)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    o->allowed = answer->kind == L4_GATE_ALLOW;
    o->rule_bytes = answer->rule_bytes;
    o->user_bytes = answer->user_bytes;
    memcpy(o->rule, answer->rule, sizeof o->rule);
    memcpy(o->user, answer->user, sizeof o->user);
    o->addrs = answer->addrs;
    o->next = 0;
    o->quick = answer->addrs ? (uint8_t)(answer->addrs - 1) : 0;
    for (uint32_t i = 0; i < answer->addrs; i++) {
        o->addr[i] = answer->addr[i];
        o->addr[i].port = o->port;
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* May this proxy's clients reach this address? */
static bool may_reach(const struct l4_loop *loop, uint32_t index, const struct l4_addr *addr)
{
    const struct l4_http_pool *rules = l4_serve_pool_rules(loop, index);
    return L4_GET(rules->forward_private) || l4_outside_judge(addr) == L4_OUTSIDE_YES ||
           l4_access_find_named(loop->table, &rules->forward_private_set, addr);
}

bool l4_outward_find(struct l4_loop *loop, uint32_t index)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    for (; o->next < o->addrs; o->next++) {
        if (may_reach(loop, index, &o->addr[o->next]))
            return true;
        o->guarded = true;
    }
    return false;
}

struct l4_addr l4_outward_target(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_outward *o = l4_outward_at(loop, index);
    L4_ASSERT(o->allowed && o->next < o->addrs);
    return o->addr[o->next];
}

bool l4_outward_failed(struct l4_loop *loop, uint32_t index, int error)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    L4_ASSERT(o->next < o->addrs);
    if (error == -ETIMEDOUT && o->next < o->quick && o->addrs < L4_OUTWARD_TRIES)
        o->addr[o->addrs++] = o->addr[o->next]; /* it had only little time */
    o->next++;
    return o->next < o->addrs;
}
