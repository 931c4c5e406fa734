/* Dates of HTTP: one form is written, three are read. */
#include <string.h>
#include <time.h>

#include "check.h"
#include "core/date.h"

static const int64_t now = 1764436200; /* 29 November 2025 */

static long long reads(const char *text)
{
    int64_t unix_s;
    return l4_date_read(text, strlen(text), now, &unix_s) ? (long long)unix_s : -1;
}

TEST(a_date_is_written_as_imf_fixdate)
{
    char to[L4_DATE_BYTES];
    l4_date_write(to, 784111777);
    CHECK(memcmp(to, "Sun, 06 Nov 1994 08:49:37 GMT", sizeof to) == 0);
    l4_date_write(to, -1);
    CHECK(memcmp(to, "Wed, 31 Dec 1969 23:59:59 GMT", sizeof to) == 0);
    l4_date_write(to, INT64_MAX);
    CHECK(memcmp(to, "Fri, 31 Dec 9999 23:59:59 GMT", sizeof to) == 0);
    l4_date_write(to, INT64_MIN);
    CHECK(memcmp(to, "Mon, 01 Jan 0001 00:00:00 GMT", sizeof to) == 0);
}

TEST(each_date_that_is_written_is_read_and_is_the_c_librarys)
{
    for (int64_t day = -150000; day < 400000; day++) {
        const time_t when = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        char to[L4_DATE_BYTES], expected[64];
        struct tm parts;
        int64_t back = 0;
        gmtime_r(&when, &parts);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        l4_date_write(to, when);
        if (memcmp(to, expected, sizeof to) != 0 || !l4_date_read(to, sizeof to, now, &back) ||
            back != when) {
            CHECK_EQ(when, back);
            return;
        }
    }
}

TEST(three_forms_are_read)
{
    CHECK_EQ(784111777, reads("Sun, 06 Nov 1994 08:49:37 GMT"));
    CHECK_EQ(784111777, reads("Sunday, 06-Nov-94 08:49:37 GMT"));
    CHECK_EQ(784111777, reads("Sun Nov  6 08:49:37 1994"));
    CHECK_EQ(784975777, reads("Wed Nov 16 08:49:37 1994"));
    CHECK_EQ(951782400, reads("Tue, 29 Feb 2000 00:00:00 GMT"));
    CHECK_EQ(78796800, reads("Fri, 30 Jun 1972 23:59:60 GMT"));
}

TEST(a_year_of_two_digits_is_near)
{
    CHECK_EQ(3313699200, reads("Thursday, 03-Jan-75 00:00:00 GMT"));
    CHECK_EQ(189475200, reads("Saturday, 03-Jan-76 00:00:00 GMT"));
    CHECK_EQ(3155760000, reads("Monday, 01-Jan-70 00:00:00 GMT"));
}

TEST(what_is_no_date_is_refused)
{
    static const char *const bad[] = {
        "",
        "0",
        "-1",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Xov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "S\xfcn, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 31 08:49:37 1994",
        "Sun Nov  0 08:49:37 1994",
        "2025-11-29T17:00:00Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(-1, reads(bad[i]));
}

MAIN(RUN(a_date_is_written_as_imf_fixdate);
     RUN(each_date_that_is_written_is_read_and_is_the_c_librarys); RUN(three_forms_are_read);
     RUN(a_year_of_two_digits_is_near); RUN(what_is_no_date_is_refused);)
