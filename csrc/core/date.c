#include "core/date.h"

#include <string.h>

enum {
    DAY_S = 86400,
    ERA_DAYS = 146097,   /* days of 400 years */
    EPOCH_DAYS = 719468, /* from 1 March of the year 0 to 1 January 1970 */
    FIRST_YEAR = 1,
    LAST_YEAR = 9999,
    NEAR_YEARS = 50,
};

static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* from 1 January 1970 on */
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct civil {
    int64_t year;
    uint32_t month, day; /* from 1 on */
};

/* Days since 1970 and back, by years that begin in March: "chrono-Compatible Low-Level Date
 * Algorithms", Howard Hinnant, 2013. */
static int64_t days_of(struct civil date)
{
    const int64_t year = date.year - (date.month <= 2);
    const int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    const int64_t month = (date.month + 9) % 12, of_year = (153 * month + 2) / 5 + date.day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

static struct civil date_of(int64_t days)
{
    days += EPOCH_DAYS;
    const int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    const int64_t of_era = days - era * ERA_DAYS;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
    const int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    const int64_t month = (5 * of_year + 2) / 153;
    return (struct civil){
        .year = year + era * 400 + (month >= 10),
        .month = (uint32_t)(month < 10 ? month + 3 : month - 9),
        .day = (uint32_t)(of_year - (153 * month + 2) / 5 + 1),
    };
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_digits(char *to, uint32_t value, uint32_t digits)
{
    while (digits--) {
        to[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void l4_date_write(char to[static L4_DATE_BYTES], int64_t unix_s)
{
    const int64_t first = days_of((struct civil){FIRST_YEAR, 1, 1}) * DAY_S;
    const int64_t last = days_of((struct civil){LAST_YEAR + 1, 1, 1}) * DAY_S - 1;
    unix_s = unix_s < first ? first : unix_s > last ? last : unix_s;
    const int64_t days = (unix_s >= 0 ? unix_s : unix_s - (DAY_S - 1)) / DAY_S;
    const uint32_t of_day = (uint32_t)(unix_s - days * DAY_S);
    const struct civil date = date_of(days);
    memcpy(to, "Thu, 00 Jan 0000 00:00:00 GMT", L4_DATE_BYTES);
    memcpy(to, weekdays + 3 * ((days % 7 + 7) % 7), 3);
    put_digits(to + 5, date.day, 2);
    memcpy(to + 8, months + 3 * (date.month - 1), 3);
    put_digits(to + 12, (uint32_t)date.year, 4);
    put_digits(to + 17, of_day / 3600, 2);
    put_digits(to + 20, of_day / 60 % 60, 2);
    put_digits(to + 23, of_day % 60, 2);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct parts {
    uint32_t year, month, day, hour, minute, second; /* month and day from 1 on */
};

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static uint32_t month_of(const char *name)
{
    for (uint32_t i = 0; i < 12; i++) {
        if (memcmp(months + 3 * i, name, 3) == 0)
            return i + 1;
    }
    return 0;
}

static bool add_digit(uint32_t *number, char c)
{
    *number = *number * 10 + (uint32_t)(c - '0');
    return c >= '0' && c <= '9';
}

/* Reads one byte of a text by the letter of its form: y, d, h, m and s are digits of the year, day,
 * hour, minute and second, `_` is a digit of the day or a space, w is a letter of a weekday, n one
 * of the month, and another byte is itself. */
static bool read_byte(const char *text, char letter, struct parts *parts)
{
    switch (letter) {
    case 'y':
        return add_digit(&parts->year, *text);
    case 'd':
        return add_digit(&parts->day, *text);
    case '_':
        return *text == ' ' || add_digit(&parts->day, *text);
    case 'h':
        return add_digit(&parts->hour, *text);
    case 'm':
        return add_digit(&parts->minute, *text);
    case 's':
        return add_digit(&parts->second, *text);
    case 'w':
        return is_letter(*text);
    case 'n':
        /* why: with its first letter the whole month is read. */
        parts->month = parts->month ? parts->month : month_of(text);
        return parts->month != 0;
    default:
        return *text == letter;
    }
}

static bool read_form(const char *text, size_t bytes, const char *form, struct parts *parts)
{
    *parts = (struct parts){0};
    bool right = bytes == strlen(form);
    for (size_t i = 0; right && i < bytes; i++)
        right = read_byte(text + i, form[i], parts);
    return right;
}

/* RFC 850's form begins with a whole weekday, whose length varies. */
static bool read_rfc850(const char *text, size_t bytes, struct parts *parts)
{
    size_t weekday = 0;
    while (weekday < bytes && is_letter(text[weekday]))
        weekday++;
    return weekday >= strlen("Monday") && weekday <= strlen("Wednesday") &&
           read_form(text + weekday, bytes - weekday, ", dd-nnn-yy hh:mm:ss GMT", parts);
}

static uint32_t near_year(uint32_t two_digits, int64_t now_s)
{
    const int64_t now = date_of(now_s / DAY_S).year;
    int64_t year = now - now % 100 + two_digits;
    if (year > now + NEAR_YEARS)
        year -= 100;
    else if (year <= now - NEAR_YEARS)
        year += 100;
    return (uint32_t)year;
}

bool l4_date_read(const char *text, size_t bytes, int64_t now_s, int64_t *unix_s)
{
    struct parts parts;
    if (read_rfc850(text, bytes, &parts))
        parts.year = near_year(parts.year, now_s);
    else if (!read_form(text, bytes, "www, dd nnn yyyy hh:mm:ss GMT", &parts) &&
             !read_form(text, bytes, "www nnn _d hh:mm:ss yyyy", &parts))
        return false;
    const int64_t days = days_of((struct civil){parts.year, parts.month, parts.day});
    /* why: a day that its month does not have comes back as another one. */
    const struct civil date = date_of(days);
    if (parts.year < FIRST_YEAR || date.day != parts.day || date.month != parts.month)
        return false;
    /* A second of 60 is a leap second. */
    if (parts.hour > 23 || parts.minute > 59 || parts.second > 60)
        return false;
    *unix_s = days * DAY_S + parts.hour * 3600 + parts.minute * 60 + parts.second;
    return true;
}
