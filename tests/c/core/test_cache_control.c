/* What Cache-Control and fields for some caches say. */
#include "core/cache_control.h"
#include "heads.h"

static struct test_head head;
static struct l4_cache_control control;

static void read_fields(const char *fields)
{
    l4_cache_control_read(head.bytes, test_answer(&head, 200, fields), &control);
}

static void read_value(const char *value)
{
    char fields[1024];
    snprintf(fields, sizeof fields, "Cache-Control: %s\r\n", value);
    read_fields(fields);
}

static long long seconds(enum l4_cache_directive directive)
{
    return l4_cache_says(&control, directive) ? (long long)control.seconds[directive] : -1;
}

static long long max_age(const char *value)
{
    read_value(value);
    return seconds(L4_CACHE_MAX_AGE);
}

TEST(words_are_read_in_any_case_and_over_several_fields)
{
    read_fields("cache-control: NO-store ,, public\r\nX: private\r\nCACHE-CONTROL: No-Cache\r\n");
    CHECK_EQ(1u << L4_CACHE_NO_STORE | 1u << L4_CACHE_PUBLIC | 1u << L4_CACHE_NO_CACHE,
             control.said);
    read_fields("");
    CHECK_EQ(0, control.said);
}

TEST(every_directive_is_found_and_no_part_of_one)
{
    static const char *const names[] = {
#define X(id, word, argument) word,
        L4_CACHE_DIRECTIVES(X)
#undef X
    };
    for (unsigned i = 0; i < L4_CACHE_DIRECTIVE_COUNT; i++) {
        char value[64];
        read_value(names[i]);
        CHECK_EQ(1u << i, control.said);
        snprintf(value, sizeof value, "%sx, x%s, %.*s", names[i], names[i],
                 (int)strlen(names[i]) - 1, names[i]);
        read_value(value);
        CHECK_EQ(0, control.said);
    }
}

TEST(seconds_are_digits_and_what_is_none_is_zero)
{
    CHECK_EQ(3600, max_age("max-age=3600"));
    CHECK_EQ(3600, max_age("max-age=003600"));
    CHECK_EQ(3600, max_age("max-age=\"3600\""));
    CHECK_EQ(0, max_age("max-age=0"));
    CHECK_EQ(L4_CACHE_SECONDS_MAX, max_age("max-age=2147483649"));
    CHECK_EQ(L4_CACHE_SECONDS_MAX, max_age("max-age=99999999999999999999999999999"));
    static const char *const wrong[] = {"max-age",        "max-age=",       "max-age=-1",
                                        "max-age=3600.0", "max-age=a3600",  "max-age=3600a",
                                        "max-age='3600'", "max-age= 3600",  "max-age=\"3600",
                                        "max-age=\"\"",   "max-age=\"36 \""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQ(0, max_age(wrong[i]));
    CHECK_EQ(-1, max_age("max-age =3600"));
}

TEST(the_first_of_two_counts)
{
    CHECK_EQ(1, max_age("max-age=1, max-age=1800"));
    CHECK_EQ(1800, max_age("max-age=1800, max-age=1"));
}

TEST(what_is_in_quotes_is_no_directive)
{
    CHECK_EQ(1, max_age("extension=\"max-age=3600\", max-age=1"));
    CHECK_EQ(-1, max_age("extension=\"a, max-age=3600\\\", max-age=2\""));
    CHECK_EQ(-1, max_age("extension=\"never closed, max-age=3600"));
    read_value("private=\"Set-Cookie, no-store\", no-cache=\"X\"");
    CHECK_EQ(1u << L4_CACHE_PRIVATE | 1u << L4_CACHE_NO_CACHE, control.said);
}

TEST(max_stale_without_seconds_is_any_time)
{
    read_value("max-stale");
    CHECK_EQ(L4_CACHE_SECONDS_MAX, seconds(L4_CACHE_MAX_STALE));
    read_value("max-stale=x");
    CHECK_EQ(0, seconds(L4_CACHE_MAX_STALE));
}

/* ---- fields for some caches -------------------------------------------------------------------
 */

static bool targeted(const char *fields)
{
    return l4_cache_control_targeted(head.bytes, test_answer(&head, 200, fields),
                                     L4_TEXT("cdn-cache-control"), &control);
}

#define CDN "CDN-Cache-Control: "

TEST(a_dictionary_is_read_with_all_types_and_parameters)
{
    CHECK(targeted(CDN "foo, a=1.5, b=\"q, \\\" max-age=9\", c=:aGk=:, d=tok/en:x, e=(1 \"2\";p "
                       "t);q=?1, max-age=3600;x;y=2 \t,\t no-store, f=-12, g=*t, h=?0\r\n"));
    CHECK_EQ(3600, seconds(L4_CACHE_MAX_AGE));
    CHECK(l4_cache_says(&control, L4_CACHE_NO_STORE));
    CHECK(targeted(CDN "max-age=1\r\nX: y\r\n" CDN "max-age=2, private\r\n"));
    CHECK_EQ(2, seconds(L4_CACHE_MAX_AGE));
    CHECK(targeted(CDN "no-store, no-store=?0, max-age=99999999999\r\n"));
    CHECK(!l4_cache_says(&control, L4_CACHE_NO_STORE));
    CHECK_EQ(L4_CACHE_SECONDS_MAX, seconds(L4_CACHE_MAX_AGE));
}

TEST(what_is_no_dictionary_counts_as_not_there)
{
    static const char *const wrong[] = {
        "",
        "max-age=10000, &&&&&",
        "max-age =100",
        "max-age= 100",
        "MaX-aGe=3600",
        "max-age=1,",
        ",max-age=1",
        "max-age=1,,a",
        "max-age=1 a",
        "a=\"",
        "a=\"\\x\"",
        "a=:x",
        "a=:-:",
        "a=?2",
        "a=1.",
        "a=1.2345",
        "a=1234567890123.5",
        "a=1234567890123456",
        "a=-",
        "a=(1",
        "a=(1,2)",
        "a=(1\"2\")",
        "a;=1",
        "a;b=",
        "a=",
        "=1",
        "1a",
        "a=\xe4",
        /* a directive of another type */
        "max-age=\"10000\"",
        "max-age=10.0",
        "max-age=-1",
        "max-age",
        "max-age=(1)",
        "max-age=?1",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char fields[256];
        snprintf(fields, sizeof fields, CDN "%s\r\n", wrong[i]);
        if (targeted(fields)) {
            fprintf(stderr, "taken: %s\n", wrong[i]);
            CHECK(false);
        }
    }
    CHECK(!targeted("Cache-Control: max-age=1\r\nCDN-Cache-Contro: max-age=1\r\n"));
    CHECK(!targeted(CDN "max-age=1\r\n" CDN "&\r\n"));
}

MAIN(RUN(words_are_read_in_any_case_and_over_several_fields);
     RUN(every_directive_is_found_and_no_part_of_one);
     RUN(seconds_are_digits_and_what_is_none_is_zero); RUN(the_first_of_two_counts);
     RUN(what_is_in_quotes_is_no_directive); RUN(max_stale_without_seconds_is_any_time);
     RUN(a_dictionary_is_read_with_all_types_and_parameters);
     RUN(what_is_no_dictionary_counts_as_not_there))
