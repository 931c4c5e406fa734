/* A small compiler of routes, for tests of the router without Python.
 *
 * why: long for a header, because the programs that share it link nothing else. */
#ifndef L4_TESTS_ROUTES_H
#define L4_TESTS_ROUTES_H

#include <stdlib.h>
#include <string.h>

#include "core/router.h"

enum { ROUTES_ROOM = 64 << 10, RULES_MAX = 16 };

struct rule { /* NULL: no such condition */
    const char *host, *method, *path, *prefix, *suffix, *header, *value;
    uint32_t share; /* 0: none */
};

struct routes {
    _Alignas(8) char memory[ROUTES_ROOM];
    uint32_t used, router;
};

static inline struct l4_router_list routes_put(struct routes *routes, const void *from, size_t size,
                                               uint32_t count)
{
    routes->used = (routes->used + 3) & ~3u;
    const struct l4_router_list list = {routes->used, count};
    if (size * count > ROUTES_ROOM - routes->used)
        abort();
    if (count)
        memcpy(routes->memory + routes->used, from, size * count);
    routes->used += (uint32_t)size * count;
    return list;
}

static inline struct l4_router_list routes_text(struct routes *routes, const char *text)
{
    return routes_put(routes, text, 1, (uint32_t)strlen(text));
}

static inline struct l4_router_condition routes_condition(struct routes *routes, uint32_t kind,
                                                          const char *name, const char *item)
{
    const struct l4_router_list text = routes_text(routes, item);
    return (struct l4_router_condition){kind, routes_text(routes, name ? name : ""),
                                        routes_put(routes, &text, sizeof text, 1)};
}

/* True if every request that `name` stands for is one that the rule's host stands for. */
static inline bool rule_covers(const struct rule *rule, const char *name)
{
    const char *host = rule->host;
    if (!host)
        return false;
    if (*host != '.')
        return !strcmp(host, name);
    const size_t have = strlen(name), want = strlen(host);
    return have >= want && !strcmp(name + have - want, host);
}

static inline void routes_hosts(struct routes *routes, const struct rule *rules, uint32_t count,
                                struct l4_router *router)
{
    struct l4_router_host table[2 * RULES_MAX] = {0};
    uint16_t rest[RULES_MAX];
    uint32_t others = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t names[RULES_MAX];
        uint32_t many = 0;
        const char *host = rules[i].host;
        if (!host) {
            rest[others++] = (uint16_t)i;
            continue;
        }
        for (uint32_t j = 0; j < count; j++) {
            if (rule_covers(&rules[j], host))
                names[many++] = (uint16_t)j;
        }
        const uint32_t hash = l4_router_hash(host, strlen(host));
        uint32_t at = hash & (2 * RULES_MAX - 1);
        while (table[at].name.count)
            at = (at + 1) & (2 * RULES_MAX - 1);
        router->wildcards |= *host == '.';
        table[at] = (struct l4_router_host){hash, routes_text(routes, host),
                                            routes_put(routes, names, sizeof *names, many)};
    }
    router->hosts = routes_put(routes, table, sizeof *table, 2 * RULES_MAX);
    router->rest = routes_put(routes, rest, sizeof *rest, others);
}

static inline void routes_compile(struct routes *routes, const struct rule *rules, uint32_t count)
{
    struct l4_router router = {.format = L4_ROUTER_FORMAT};
    struct l4_router_route rows[RULES_MAX] = {0};
    memset(routes->memory, 0, sizeof routes->memory);
    routes->used = 8;
    for (uint32_t i = 0; i < count; i++) {
        const struct rule *rule = &rules[i];
        const struct {
            uint32_t kind;
            const char *name, *item;
        } wanted[] = {
            {L4_ROUTER_METHOD, NULL, rule->method},        {L4_ROUTER_PATH, NULL, rule->path},
            {L4_ROUTER_PREFIX, NULL, rule->prefix},        {L4_ROUTER_SUFFIX, NULL, rule->suffix},
            {L4_ROUTER_HEADER, rule->header, rule->value},
        };
        struct l4_router_condition conditions[8];
        uint32_t many = 0;
        for (size_t j = 0; j < sizeof wanted / sizeof *wanted; j++) {
            if (wanted[j].item)
                conditions[many++] =
                    routes_condition(routes, wanted[j].kind, wanted[j].name, wanted[j].item);
        }
        rows[i].conditions = routes_put(routes, conditions, sizeof *conditions, many);
        rows[i].has_share = rule->share != 0;
        rows[i].share = rule->share;
        rows[i].pool = i;
        rows[i].slot = 100 + i;
    }
    router.routes = routes_put(routes, rows, sizeof *rows, count);
    routes_hosts(routes, rules, count, &router);
    routes->router = routes_put(routes, &router, sizeof router, 1).at;
}

#endif
