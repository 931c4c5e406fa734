/* The text that names a resource in a cache. */
#include <string.h>

#include "check.h"
#include "core/cache_key.h"

static const struct l4_text ignored[] = {{"utm_*", 5}, {"fbclid", 6}};
static const struct l4_key_rules whole = {.scheme = true, .host = true, .query = true};
static const struct l4_key_rules fewer = {
    .scheme = true, .host = true, .query = true, .ignored = {ignored, 2}};
static char key[L4_CACHE_KEY_MAX];

static bool is(const char *query, const struct l4_key_rules *rules, const char *expected)
{
    struct l4_url url = {
        .scheme = L4_TEXT("https"), .host = L4_TEXT("a:8443"), .path = L4_TEXT("/p")};
    if (query) {
        url.has_query = true;
        url.query = (struct l4_text){query, strlen(query)};
    }
    const size_t bytes = l4_cache_key(&url, rules, key);
    return l4_text_is((struct l4_text){key, bytes}, (struct l4_text){expected, strlen(expected)});
}

TEST(a_key_is_the_url_as_it_came)
{
    CHECK(is(NULL, &whole, "https://a:8443/p"));
    CHECK(is("", &whole, "https://a:8443/p?"));
    CHECK(is("b=2&&a=%31&", &whole, "https://a:8443/p?b=2&&a=%31&"));
}

TEST(parts_can_be_left_out)
{
    const struct l4_key_rules path = {0}, host = {.host = true};
    CHECK(is("a=1", &path, ":///p"));
    CHECK(is("a=1", &host, "://a:8443/p"));
}

TEST(ignored_arguments_do_not_count)
{
    CHECK(is("utm_source=x&a=1&utm_=2&fbclid=3&b=&fbclid", &fewer, "https://a:8443/p?a=1&b="));
    CHECK(is("utm_source=x", &fewer, "https://a:8443/p"));
    CHECK(is("utm=1&fbclid2=1&Fbclid=1", &fewer, "https://a:8443/p?utm=1&fbclid2=1&Fbclid=1"));
    CHECK(is("", &fewer, "https://a:8443/p"));
}

TEST(a_key_has_a_bound)
{
    static char path[L4_CACHE_KEY_MAX + 1];
    memset(path, 'a', sizeof path);
    struct l4_url url = {.path = {path, L4_CACHE_KEY_MAX - 3}};
    const struct l4_key_rules rules = {.query = true};
    CHECK_EQ(L4_CACHE_KEY_MAX, l4_cache_key(&url, &rules, key));
    url.path.bytes++;
    CHECK_EQ(0, l4_cache_key(&url, &rules, key));
    url.path.bytes = 1;
    url.has_query = true;
    url.query = (struct l4_text){path, sizeof path};
    CHECK_EQ(0, l4_cache_key(&url, &rules, key));
}

MAIN(RUN(a_key_is_the_url_as_it_came); RUN(parts_can_be_left_out);
     RUN(ignored_arguments_do_not_count); RUN(a_key_has_a_bound))
