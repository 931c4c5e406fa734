/* The router over routes of this file's own making, and over memory that is none. */
#include <stddef.h>

#include "check.h"
#include "core/http_route.h"
#include "core/router.h"
#include "routes.h"
#include "shm/policy_rows.h"

static struct l4_text text(const char *from)
{
    return (struct l4_text){from, from ? (uint32_t)strlen(from) : 0};
}

static bool field_of(const void *of, uint32_t index, struct l4_text *name, struct l4_text *value)
{
    const char *const *pairs = of;
    if (!pairs || !pairs[2 * index])
        return false;
    *name = text(pairs[2 * index]);
    *value = text(pairs[2 * index + 1]);
    return true;
}

static struct l4_router_request ask(const char *method, const char *host, const char *path)
{
    return (struct l4_router_request){.method = text(method),
                                      .host = text(host),
                                      .path = text(path),
                                      .query = text(NULL),
                                      .scheme = L4_SCHEME_HTTP,
                                      .field = field_of};
}

static struct routes routes;

static struct l4_router_memory memory(void)
{
    return (struct l4_router_memory){routes.memory, ROUTES_ROOM};
}

static int choose(const struct l4_router_request *request)
{
    const struct l4_router_memory all = memory();
    struct l4_router_answer answer;
    if (!l4_router_choose(&all, routes.router, request, 0, &answer))
        return -1;
    return (int)answer.number;
}

static int get(const char *host, const char *path)
{
    const struct l4_router_request request = ask("GET", host, path);
    return choose(&request);
}

TEST(the_first_route_wins_whose_conditions_all_hold)
{
    const struct rule rules[] = {
        {.host = "shop.example", .prefix = "/static/"},
        {.suffix = ".css", .method = "GET"},
        {.host = ".example", .path = "/login"},
        {.host = "shop.example"},
        {.host = ".deep.example"},
    };
    routes_compile(&routes, rules, 5);
    CHECK_EQ(0, get("shop.example", "/static/a.css"));
    CHECK_EQ(1, get("shop.example", "/a.css"));
    CHECK_EQ(1, get("other.test", "/a.css"));
    CHECK_EQ(-1, get("other.test", "/login"));
    CHECK_EQ(2, get("shop.example", "/login"));
    CHECK_EQ(2, get("a.deep.example", "/login"));
    CHECK_EQ(4, get("a.deep.example", "/"));
    CHECK_EQ(-1, get("deep.example", "/"));
    CHECK_EQ(-1, get("example", "/login"));
    CHECK_EQ(3, get("shop.example", "/"));
    const struct l4_router_request post = ask("POST", "x.test", "/a.css");
    CHECK_EQ(-1, choose(&post));
}

static int with(const char *pattern, const char *value)
{
    const struct rule rule = {.header = "x-a", .value = pattern};
    const char *pairs[] = {"Host", "h", value ? "X-A" : "X-B", value ? value : "", NULL};
    routes_compile(&routes, &rule, 1);
    struct l4_router_request request = ask("GET", "h", "/");
    request.fields = pairs;
    return choose(&request);
}

TEST(stars_stand_for_any_text)
{
    CHECK_EQ(0, with("*", "anything"));
    CHECK_EQ(0, with("*", ""));
    CHECK_EQ(-1, with("*", NULL));
    CHECK_EQ(0, with("2*", "2.1"));
    CHECK_EQ(-1, with("2*", "1.2"));
    CHECK_EQ(0, with("*b*d", "abcd"));
    CHECK_EQ(0, with("**", "a"));
    CHECK_EQ(-1, with("ab*ba", "aba"));
    CHECK_EQ(0, with("ab*ba", "abba"));
    CHECK_EQ(0, with("a*b*c", "abcbc"));
    CHECK_EQ(-1, with("a*b*c", "acb"));
    CHECK_EQ(-1, with("A", "a"));
}

TEST(an_empty_pattern_matches_what_is_absent_or_empty)
{
    CHECK_EQ(0, with("", NULL));
    CHECK_EQ(0, with("", ""));
    CHECK_EQ(-1, with("", "a"));
}

TEST(percentages_are_of_all_requests)
{
    const uint32_t tenth = UINT32_MAX / 10;
    const struct rule rules[] = {{.share = tenth}, {.share = tenth}};
    routes_compile(&routes, rules, 2);
    struct l4_router_request request = ask("GET", "h", "/");
    const struct {
        uint32_t random;
        int route;
    } cases[] = {{0, 0}, {tenth - 1, 0}, {tenth, 1}, {2 * tenth - 1, 1}, {2 * tenth, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        request.random = cases[i].random;
        CHECK_EQ(cases[i].route, choose(&request));
    }
}

TEST(a_choice_goes_on_behind_a_route_and_a_slot_finds_its_route_again)
{
    const struct rule rules[] = {{.prefix = "/"}, {.prefix = "/a"}};
    routes_compile(&routes, rules, 2);
    const struct l4_router_memory all = memory();
    const struct l4_router_request request = ask("GET", "h", "/a/b");
    struct l4_router_answer answer;
    CHECK(l4_router_choose(&all, routes.router, &request, 1, &answer));
    CHECK_EQ(1, answer.number);
    CHECK_EQ(2, answer.matched);
    CHECK(!l4_router_choose(&all, routes.router, &request, 2, &answer));
    CHECK_EQ(L4_NONE, answer.number);
    CHECK(l4_router_find(&all, routes.router, 101, &answer));
    CHECK_EQ(1, answer.number);
    CHECK(!l4_router_find(&all, routes.router, 5, &answer));
}

static const char *written(const char *start, uint32_t kind, const char *path, uint32_t matched)
{
    static char to[64];
    routes.used = 8;
    struct l4_router_part parts[] = {
        {L4_PART_TEXT, routes_text(&routes, start)}, {kind, {0, 0}}, {L4_PART_QUERY, {0, 0}}};
    const struct l4_router_list list = routes_put(&routes, parts, sizeof *parts, 3);
    struct l4_router_request request = ask("GET", "shop.example", path);
    request.query = text("q=1");
    const struct l4_router_memory all = memory();
    to[l4_router_write(&all, list, &request, matched, to, sizeof to - 1)] = 0;
    return to;
}

TEST(a_location_is_written_from_its_parts_and_names_no_other_host)
{
    CHECK(!strcmp("/new/a?q=1", written("/new/", L4_PART_REST, "/old/a", 5)));
    CHECK(!strcmp("https://shop.example?q=1", written("https://", L4_PART_HOST, "/", 0)));
    CHECK(!strcmp("/evil.test?q=1", written("/", L4_PART_REST, "/old//evil.test", 5)));
    CHECK(!strcmp("/evil.test?q=1", written("", L4_PART_PATH, "//evil.test", 0)));
    CHECK(!strcmp("?q=1", written("", L4_PART_REST, "/a", 9)));
    char long_path[80];
    memset(long_path, '/', sizeof long_path);
    long_path[79] = 0;
    CHECK(!strcmp("", written("/new", L4_PART_PATH, long_path, 0)));
}

TEST(a_location_is_written_without_what_the_request_does_not_have)
{
    char to[16];
    routes.used = 8;
    struct l4_router_part parts[] = {{L4_PART_TEXT, routes_text(&routes, "/a")},
                                     {L4_PART_HOST, {0, 0}},
                                     {L4_PART_QUERY, {0, 0}}};
    const struct l4_router_list list = routes_put(&routes, parts, sizeof *parts, 3);
    struct l4_router_request request = ask("GET", "", "/");
    const struct l4_router_memory all = memory();
    request.host = request.query = (struct l4_text){NULL, 0};
    CHECK_EQ(2, l4_router_write(&all, list, &request, 0, to, sizeof to));
    CHECK(!memcmp("/a", to, 2));
}

TEST(memory_that_is_no_table_matches_nothing)
{
    const struct l4_router_request request = ask("GET", "h", "/");
    const struct rule rule = {.host = "h", .prefix = "/"};
    struct l4_router_answer answer;
    routes_compile(&routes, &rule, 1);
    const uint32_t good = routes.router;
    for (uint32_t at = 0; at < 4096; at++) {
        const struct l4_router_memory cut = {routes.memory, at};
        CHECK(!l4_router_choose(&cut, good, &request, 0, &answer) || at > good);
        const struct l4_router_memory all = memory();
        CHECK(!l4_router_choose(&all, at, &request, 0, &answer) || at == good);
    }
    for (uint32_t i = 0; i < routes.used; i++) { /* any byte may be wrong */
        routes_compile(&routes, &rule, 1);
        routes.memory[i] = (char)0xff;
        (void)get("h", "/");
    }
}

TEST(routes_in_the_table_are_replaced_together)
{
    struct l4_table table;
    const struct l4_caps caps = {
        .workers = 1, .listeners = 2, .pools = 1, .backends = 1, .sessions = 1};
    CHECK_EQ(0, l4_table_create(&table, &caps));
    struct l4_http_choice choice, kept;
    const struct l4_router_request request = ask("GET", "h", "/");
    CHECK(!l4_http_route_choose(&table, 1, &request, 0, &choice));
    for (uint32_t round = 0; round < 3; round++) {
        const struct rule rules[] = {{.host = round & 1 ? "h" : "other"}, {.prefix = "/"}};
        routes_compile(&routes, rules, 2);
        const uint32_t ats[] = {0, routes.router};
        l4_http_route_publish(&table, routes.memory, routes.used, ats);
        CHECK_EQ(round > 0, round > 0 && !l4_http_route_stays(&table, &kept));
        CHECK(l4_http_route_choose(&table, 1, &request, 0, &choice));
        CHECK_EQ(!(round & 1), choice.answer.number);
        CHECK(l4_http_route_stays(&table, &choice));
        CHECK(!l4_http_route_choose(&table, 0, &request, 0, &kept));
        CHECK(l4_http_route_find(&table, 1, 101, &kept));
        CHECK_EQ(1, kept.answer.number);
    }
    atomic_fetch_add(l4_table_route_hits(&table, 0, 7), 1);
    CHECK_EQ(1, *l4_table_route_hits(&table, 0, 7));
    l4_table_close(&table);
}

/* Makes the routes that were compiled their own filter, and puts them into force. */
static void publish_as_filter(const struct l4_table *table)
{
    const uint32_t ats[] = {routes.router, 0};
    memcpy(routes.memory + routes.router + offsetof(struct l4_router, rules[L4_ROUTER_FILTER]),
           &routes.router, sizeof routes.router);
    l4_http_route_publish(table, routes.memory, routes.used, ats);
}

TEST(a_look_at_a_filter_goes_on_and_begins_again_after_a_change)
{
    struct l4_table table;
    const struct l4_caps caps = {
        .workers = 1, .listeners = 2, .pools = 1, .backends = 1, .sessions = 1};
    CHECK_EQ(0, l4_table_create(&table, &caps));
    struct l4_http_choice choice;
    const struct l4_router_request request = ask("GET", "h", "/");
    const struct rule rules[] = {{.prefix = "/"}, {.path = "/no"}, {.host = "h"}};
    routes_compile(&routes, rules, 3);
    const uint32_t ats[] = {routes.router, 0};
    l4_http_route_publish(&table, routes.memory, routes.used, ats);
    CHECK(!l4_http_filter_choose(&table, 0, &request, 0, &choice));
    publish_as_filter(&table);
    CHECK(!l4_http_filter_choose(&table, 1, &request, 0, &choice));
    CHECK(l4_http_filter_choose(&table, 0, &request, 0, &choice));
    CHECK_EQ(0, choice.answer.number);
    CHECK(l4_http_filter_choose(&table, 0, &request, 1, &choice));
    CHECK_EQ(2, choice.answer.number);
    CHECK(!l4_http_filter_choose(&table, 0, &request, 3, &choice));
    publish_as_filter(&table);
    CHECK(l4_http_filter_choose(&table, 0, &request, 3, &choice));
    CHECK_EQ(0, choice.answer.number);
    CHECK(l4_http_filter_read(&table, 0, 2, &choice));
    CHECK_EQ(102, choice.answer.route.slot);
    CHECK(!l4_http_filter_read(&table, 0, 3, &choice));
    l4_table_close(&table);
}

MAIN(RUN(the_first_route_wins_whose_conditions_all_hold); RUN(stars_stand_for_any_text);
     RUN(an_empty_pattern_matches_what_is_absent_or_empty); RUN(percentages_are_of_all_requests);
     RUN(a_choice_goes_on_behind_a_route_and_a_slot_finds_its_route_again);
     RUN(a_location_is_written_from_its_parts_and_names_no_other_host);
     RUN(a_location_is_written_without_what_the_request_does_not_have);
     RUN(memory_that_is_no_table_matches_nothing); RUN(routes_in_the_table_are_replaced_together);
     RUN(a_look_at_a_filter_goes_on_and_begins_again_after_a_change))
