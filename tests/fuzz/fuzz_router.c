/* The router: rules made from the input give the answer of a naive list, and any bytes as a table
 * do no harm. */
#include "require.h"
#include "routes.h"

static const char *const hosts[] = {NULL,   NULL, "a.b",  "c.a.b", ".b",
                                    ".a.b", "b",  ".x.b", "x.b",   ".c.a.b"};
static const char *const paths[] = {NULL, NULL, "/", "/a", "/a/", "/a/b", "/ab", ""};
static const char *const ends_of[] = {NULL, NULL, ".c", "b", "/"};
static const char *const methods[] = {NULL, NULL, "GET", "POST"};
static const char *const values[] = {NULL, NULL, "*", "a*", "*b", "a*b", "a*b*c", "", "abc", "**a"};
static const char *const said[] = {"", "a", "ab", "abc", "aXbYc", "b", "bca"};

struct bytes {
    const uint8_t *at;
    size_t left;
};

static uint8_t next(struct bytes *bytes)
{
    if (!bytes->left)
        return 0;
    bytes->left--;
    return *bytes->at++;
}

#define ONE_OF(list, bytes) (list)[next(bytes) % (sizeof(list) / sizeof *(list))]

static bool naive_like(const char *text, const char *pattern)
{
    if (!*pattern)
        return !*text;
    if (*pattern == '*')
        return naive_like(text, pattern + 1) || (*text && naive_like(text + 1, pattern));
    return *text == *pattern && naive_like(text + 1, pattern + 1);
}

static bool naive_host(const char *host, const char *wanted)
{
    const size_t have = strlen(host), want = strlen(wanted);
    if (*wanted != '.')
        return !strcmp(host, wanted);
    return have > want && !strcmp(host + have - want, wanted);
}

struct asked {
    const char *method, *host, *path, *value; /* value: NULL, there is no such header */
    uint32_t random;
};

static bool naive_meets(const struct rule *rule, const struct asked *asked)
{
    const size_t path = strlen(asked->path), suffix = rule->suffix ? strlen(rule->suffix) : 0;
    return (!rule->host || naive_host(asked->host, rule->host)) &&
           (!rule->method || !strcmp(rule->method, asked->method)) &&
           (!rule->path || !strcmp(rule->path, asked->path)) &&
           (!rule->prefix || !strncmp(asked->path, rule->prefix, strlen(rule->prefix))) &&
           (suffix <= path && (!suffix || !strcmp(asked->path + path - suffix, rule->suffix))) &&
           (!rule->value || (asked->value ? naive_like(asked->value, rule->value) : !*rule->value));
}

static uint32_t naive(const struct rule *rules, uint32_t count, const struct asked *asked)
{
    uint32_t left = asked->random;
    for (uint32_t i = 0; i < count; i++) {
        if (!naive_meets(&rules[i], asked))
            continue;
        if (!rules[i].share || left < rules[i].share)
            return i;
        left -= rules[i].share;
    }
    return L4_NONE;
}

static struct l4_text text(const char *from)
{
    return (struct l4_text){from, from ? (uint32_t)strlen(from) : 0};
}

static bool field(const void *of, uint32_t index, struct l4_text *name, struct l4_text *value)
{
    const struct asked *asked = of;
    if (index || !asked->value)
        return false;
    *name = text("X-A");
    *value = text(asked->value);
    return true;
}

static struct l4_router_request request_of(const struct asked *asked)
{
    return (struct l4_router_request){.method = text(asked->method),
                                      .host = text(asked->host),
                                      .path = text(asked->path),
                                      .query = text("a=b&c"),
                                      .random = asked->random,
                                      .field = field,
                                      .fields = asked};
}

/* Everything that an answer names may be read. */
static void use(const struct l4_router_memory *memory, const struct l4_router_request *request,
                const struct l4_router_answer *answer)
{
    char to[256];
    struct l4_text name, value;
    enum l4_router_change_kind kind;
    const struct l4_text body = l4_router_text(memory, answer->route.body);
    for (uint32_t i = 0; i < body.bytes; i++)
        REQUIRE(body.at + i < memory->at + memory->bytes);
    REQUIRE(l4_router_write(memory, answer->route.location, request, answer->matched, to,
                            sizeof to) <= sizeof to);
    for (uint32_t i = 0;
         l4_router_change(memory, answer->route.request_changes, i, &kind, &name, &value); i++)
        REQUIRE(name.at >= memory->at && name.at + name.bytes <= memory->at + memory->bytes);
}

static void try_rules(struct bytes *bytes)
{
    static struct routes routes;
    struct rule rules[RULES_MAX];
    const uint32_t count = next(bytes) % (RULES_MAX + 1);
    for (uint32_t i = 0; i < count; i++) {
        rules[i] = (struct rule){.host = ONE_OF(hosts, bytes),
                                 .path = next(bytes) & 1 ? ONE_OF(paths, bytes) : NULL,
                                 .prefix = ONE_OF(paths, bytes),
                                 .suffix = ONE_OF(ends_of, bytes),
                                 .method = ONE_OF(methods, bytes),
                                 .header = "x-a",
                                 .value = ONE_OF(values, bytes),
                                 .share = next(bytes) & 3 ? 0 : (uint32_t)next(bytes) << 22};
    }
    routes_compile(&routes, rules, count);
    struct l4_router_memory memory = {routes.memory, ROUTES_ROOM};
    for (int i = 0; i < 8; i++) {
        struct asked asked = {.method = ONE_OF(methods, bytes),
                              .host = ONE_OF(hosts, bytes),
                              .path = ONE_OF(paths, bytes),
                              .value = next(bytes) & 1 ? ONE_OF(said, bytes) : NULL,
                              .random = (uint32_t)next(bytes) << 24};
        asked.method = asked.method ? asked.method : "PUT";
        asked.host = asked.host ? asked.host + (*asked.host == '.') : "y.a.b";
        asked.path = asked.path ? asked.path : "/a/b.c";
        const struct l4_router_request request = request_of(&asked);
        struct l4_router_answer answer;
        const bool found = l4_router_choose(&memory, routes.router, &request, 0, &answer);
        REQUIRE(found == (answer.number != L4_NONE));
        REQUIRE(answer.number == naive(rules, count, &asked));
        /* The same routes with a few wrong bytes, and cut off. */
        const uint32_t at = (uint32_t)(next(bytes) << 8 | next(bytes)) % routes.used;
        routes.memory[at] ^= (char)next(bytes);
        memory.bytes = next(bytes) & 7 ? ROUTES_ROOM : at;
        if (l4_router_choose(&memory, routes.router, &request, 0, &answer))
            use(&memory, &request, &answer);
        routes_compile(&routes, rules, count);
        memory.bytes = ROUTES_ROOM;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct bytes bytes = {data, count};
    if (next(&bytes) & 1) {
        try_rules(&bytes);
        return 0;
    }
    /* A copy of this exact size lets a sanitizer see a read past its end. */
    char *copy = malloc(bytes.left + 8);
    REQUIRE(copy != NULL);
    memcpy(copy, bytes.at, bytes.left);
    const struct l4_router_memory memory = {copy, (uint32_t)bytes.left};
    const struct asked asked = {.method = "GET", .host = "a.b", .path = "/a", .value = "abc"};
    const struct l4_router_request request = request_of(&asked);
    struct l4_router_answer answer;
    if (bytes.left >= 4) {
        const uint32_t format = L4_ROUTER_FORMAT;
        memcpy(copy, &format, sizeof format);
    }
    if (l4_router_choose(&memory, 0, &request, 0, &answer))
        use(&memory, &request, &answer);
    free(copy);
    return 0;
}
