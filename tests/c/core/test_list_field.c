/* Lists in fields: RFC 9110, 5.6.1. */
#include "core/list_field.h"
#include "heads.h"

static struct test_head request;

/* Returns whether the fields Vary have these entries, each followed by `;`. */
static bool has_entries(const char *fields, enum l4_list_quotes quotes, const char *expected)
{
    const struct l4_h1_head *head = test_request(&request, "GET", fields);
    struct l4_list_walk walk = l4_list_of(request.bytes, head, L4_FIELD_VARY, quotes);
    char found[256] = "";
    struct l4_text_out out = {.to = found, .size = sizeof found - 1};
    struct l4_text entry;
    while (l4_list_walk_next(&walk, &entry)) {
        l4_text_put(&out, entry);
        l4_text_put(&out, L4_TEXT(";"));
    }
    return !strcmp(found, expected);
}

TEST(all_fields_of_a_name_are_one_list)
{
    CHECK(has_entries("Vary: a,b\r\nX: x\r\nvary: c\r\n", L4_LIST_PLAIN, "a;b;c;"));
    CHECK(has_entries("X: x\r\n", L4_LIST_PLAIN, ""));
}

TEST(spaces_and_empty_entries_do_not_count)
{
    CHECK(has_entries("Vary:, \t,a b ,\t c,,\r\nVary:\r\nVary: ,\r\n", L4_LIST_STRINGS, "a b;c;"));
}

TEST(a_comma_in_quotes_ends_an_entry_only_where_there_are_none)
{
    const char *fields = "Vary: \"a,b\", c\r\n";
    CHECK(has_entries(fields, L4_LIST_PLAIN, "\"a;b\";c;"));
    CHECK(has_entries(fields, L4_LIST_TAGS, "\"a,b\";c;"));
    CHECK(has_entries(fields, L4_LIST_STRINGS, "\"a,b\";c;"));
}

TEST(a_backslash_escapes_in_strings_only)
{
    const char *fields = "Vary: \"a\\\",b\", c\r\n";
    CHECK(has_entries(fields, L4_LIST_TAGS, "\"a\\\";b\", c;"));
    CHECK(has_entries(fields, L4_LIST_STRINGS, "\"a\\\",b\";c;"));
    CHECK(has_entries("Vary: \"a\\\r\n", L4_LIST_STRINGS, "\"a\\;"));
    CHECK(has_entries("Vary: a\\,b\r\n", L4_LIST_STRINGS, "a\\;b;"));
}

MAIN(RUN(all_fields_of_a_name_are_one_list); RUN(spaces_and_empty_entries_do_not_count);
     RUN(a_comma_in_quotes_ends_an_entry_only_where_there_are_none);
     RUN(a_backslash_escapes_in_strings_only))
