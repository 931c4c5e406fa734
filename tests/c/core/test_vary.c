/* Which requests a stored answer fits: RFC 9111, 4.1. */
#include "core/vary.h"
#include "heads.h"

static struct test_head request, answer;
static char written[L4_VARY_MAX];
static size_t bytes;
static struct l4_name_list ignored; /* cookies */

static bool wrote(const char *vary, const char *asked)
{
    const struct l4_h1_head *head = test_request(&request, "GET", asked);
    return l4_vary_write(answer.bytes, test_answer(&answer, 200, vary), request.bytes, head,
                         &ignored, written, &bytes);
}

static bool fits(const char *asked)
{
    const struct l4_h1_head *head = test_request(&request, "GET", asked);
    return l4_vary_fits((struct l4_text){written, bytes}, request.bytes, head, &ignored);
}

TEST(each_named_field_must_say_the_same)
{
    CHECK(wrote("Vary: Foo, bar\r\nvary: BAZ\r\n", "foo: 1\r\nBAR: abc\r\nOther: 2\r\n"));
    CHECK_EQ(strlen("foo:1\nbar:abc\nbaz\n"), bytes);
    CHECK(memcmp(written, "foo:1\nbar:abc\nbaz\n", bytes) == 0);
    CHECK(fits("Bar: abc\r\nOther: 3\r\nFoo: 1\r\n"));
    CHECK(!fits("Foo: 1\r\nBar: abcd\r\n") && !fits("Foo: 1\r\n"));
    CHECK(!fits("Foo: 1\r\nBar: abc\r\nBaz: 1\r\n") && !fits("Foo: 1\r\nBar: abc\r\nBaz:\r\n"));
}

TEST(several_fields_are_one_list)
{
    CHECK(wrote("Vary: Foo\r\n", "Foo: 1, 2\r\n"));
    CHECK(fits("Foo: 1\r\nX: y\r\nFoo: 2\r\n") && fits("Foo:  1 ,,2 ,\r\n"));
    CHECK(!fits("Foo: 2, 1\r\n") && !fits("Foo: 12\r\n") && !fits("Foo: 1\r\n"));
    CHECK(wrote("Vary: Foo\r\n", "Foo: \"1, 2\"\r\n"));
    CHECK(fits("Foo: \"1, 2\"\r\n") && !fits("Foo: \"1,2\"\r\n"));
}

TEST(an_empty_field_is_not_a_missing_one)
{
    CHECK(wrote("Vary: Foo\r\n", "Foo:\r\n"));
    CHECK(fits("Foo: ,\r\n") && !fits(""));
    CHECK(wrote("Vary: Foo\r\n", ""));
    CHECK(fits("") && !fits("Foo:\r\n"));
}

TEST(an_answer_without_vary_fits_all)
{
    CHECK(wrote("X: y\r\n", "Foo: 1\r\n"));
    CHECK_EQ(0, bytes);
    CHECK(fits("Foo: 2\r\n"));
}

TEST(a_name_with_an_odd_byte_is_compared_too)
{
    CHECK(wrote("Vary: X_^!\r\n", "x_^!: 1\r\n"));
    CHECK(fits("X_^!: 1\r\n") && !fits("X_^!: 2\r\n") && !fits(""));
}

TEST(ignored_cookies_do_not_count)
{
    static const struct l4_text names[] = {{"_ga*", 4}, {"seen", 4}};
    ignored = (struct l4_name_list){names, 2};
    CHECK(wrote("Vary: Cookie, Foo\r\n", "Cookie: a=1; _ga=2;_ga_X=3; b=4; seen\r\nFoo: ;, 1\r\n"));
    CHECK_EQ(strlen("cookie:a=1;b=4\nfoo:;,1\n"), bytes);
    CHECK(memcmp(written, "cookie:a=1;b=4\nfoo:;,1\n", bytes) == 0);
    CHECK(fits("foo: ;, 1\r\ncookie: _ga=9; a=1; b=4\r\n"));
    CHECK(fits("foo: ;, 1\r\ncookie: a=1\r\ncookie: seen=9; b=4\r\n"));
    CHECK(!fits("foo: ;, 1\r\ncookie: b=4; a=1\r\n") && !fits("foo: ;, 1\r\ncookie: a=1\r\n"));
    CHECK(!fits("foo: ;, 1\r\ncookie: a=1; b=4; seen2=1\r\n"));
    CHECK(!fits("foo: ;, 1\r\ncookie: a=1; b=4; _Ga=1\r\n")); /* case counts in cookies */
    CHECK(wrote("Vary: Cookie\r\n", "Cookie: _ga=1\r\n"));
    CHECK(fits("") && fits("Cookie: seen=1\r\n") && fits("Cookie: ;\r\n") &&
          !fits("Cookie: a=1\r\n"));
    ignored.count = 0;
    CHECK(wrote("Vary: Cookie\r\n", "Cookie: _ga=1\r\n"));
    CHECK(fits("Cookie: _ga=1\r\n") && !fits("Cookie: _ga=2\r\n") && !fits(""));
}

TEST(what_cannot_be_compared_is_not_written)
{
    char fields[8192];
    CHECK(!wrote("Vary: a b\r\n", "") && !wrote("Vary: a:b\r\n", "") &&
          !wrote("Vary: \xe4\r\n", ""));
    snprintf(fields, sizeof fields, "Foo: %0*d\r\n", L4_VARY_MAX, 1);
    CHECK(!wrote("Vary: Foo\r\n", fields));
    CHECK(wrote("Vary: Foo\r\n", "Foo: 1\r\n") && !fits(fields));
    snprintf(fields, sizeof fields, "Vary: %0*d\r\n", L4_VARY_NAME_MAX + 1, 1);
    CHECK(!wrote(fields, ""));
    snprintf(fields, sizeof fields, "Vary: %0*d\r\n", L4_VARY_NAME_MAX, 1);
    CHECK(wrote(fields, ""));
    CHECK(wrote("Vary: 1,2,3,4,5,6,7,8,9,0,a,b,c,d,e,f\r\n", ""));
    CHECK(!wrote("Vary: 1,2,3,4,5,6,7,8,9,0,a,b,c,d,e,f,g\r\n", ""));
}

MAIN(RUN(each_named_field_must_say_the_same); RUN(several_fields_are_one_list);
     RUN(an_empty_field_is_not_a_missing_one); RUN(an_answer_without_vary_fits_all);
     RUN(a_name_with_an_odd_byte_is_compared_too); RUN(ignored_cookies_do_not_count);
     RUN(what_cannot_be_compared_is_not_written))
