/* Sets of domain names against a naive search, over many names, and over memory that is none. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/names.h"
#include "core/names_text.h"

static const struct l4_hash_key key = {0x0123456789abcdef, 0xfedcba9876543210};

static void *made(struct l4_names_draft *draft, int64_t *bytes)
{
    *bytes = l4_names_size(draft);
    CHECK(*bytes >= (int64_t)sizeof(struct l4_names_head));
    void *memory = malloc((size_t)*bytes);
    l4_names_write(draft, memory);
    return memory;
}

static uint32_t find(const struct l4_names *set, const char *host)
{
    return l4_names_find(set, host, strlen(host));
}

static void add(struct l4_names_draft *draft, const char *name, uint32_t flags)
{
    CHECK_EQ(0, l4_names_add(draft, name, strlen(name), flags));
}

TEST(a_host_is_found_by_its_name_or_by_a_parent_that_means_all_below)
{
    struct l4_names_draft draft;
    struct l4_names set;
    int64_t bytes;
    l4_names_begin(&draft, &key);
    add(&draft, "exact.example", 0);
    add(&draft, "below.example", L4_NAME_BELOW);
    add(&draft, "good.below.example", L4_NAME_EXCEPT);
    add(&draft, "twice.example", 0);
    add(&draft, "twice.example", L4_NAME_BELOW);
    void *memory = made(&draft, &bytes);
    CHECK_EQ(4, draft.count);
    CHECK_EQ(0, l4_names_open(&set, memory, (size_t)bytes));
    CHECK_EQ(13, find(&set, "exact.example"));
    CHECK_EQ(0, find(&set, "a.exact.example"));
    CHECK_EQ(13, find(&set, "below.example"));
    CHECK_EQ(13, find(&set, "a.b.below.example"));
    CHECK_EQ(13, find(&set, "a.twice.example"));
    CHECK_EQ(0, find(&set, "good.below.example"));
    CHECK_EQ(0, find(&set, "a.good.below.example"));
    CHECK_EQ(0, find(&set, "example"));
    CHECK_EQ(0, find(&set, "notbelow.example"));
    CHECK_EQ(0, find(&set, ""));
    CHECK_EQ(0, find(&set, "."));
    CHECK_EQ(0, find(&set, ".below.example"));
    free(memory);
    l4_names_end(&draft);
}

TEST(what_is_no_name_is_not_taken)
{
    struct l4_names_draft draft;
    char name[300], *at = name;
    l4_names_begin(&draft, &key);
    CHECK_EQ(-EINVAL, l4_names_add(&draft, "", 0, 0));
    CHECK_EQ(-EINVAL, l4_names_add(&draft, "a..b", 4, 0));
    CHECK_EQ(-EINVAL, l4_names_add(&draft, ".a", 2, 0));
    CHECK_EQ(-EINVAL, l4_names_add(&draft, "a.", 2, 0));
    memset(name, 'a', sizeof name);
    CHECK_EQ(-EINVAL, l4_names_add(&draft, name, L4_LABEL_MAX + 1, 0));
    CHECK_EQ(0, l4_names_add(&draft, name, L4_LABEL_MAX, 0));
    for (int i = 0; i <= L4_NAMES_LABELS_MAX; i++, at += 2)
        memcpy(at, "b.", 2);
    CHECK_EQ(-EINVAL, l4_names_add(&draft, name, 2 * L4_NAMES_LABELS_MAX + 1, 0));
    CHECK_EQ(0, l4_names_add(&draft, name, 2 * L4_NAMES_LABELS_MAX - 1, 0));
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    CHECK_EQ(-EINVAL, l4_names_add(&draft, name, L4_HOST_MAX + 1, 0));
    CHECK_EQ(2, draft.count);
    l4_names_end(&draft);
}

/* The number's name: of one to four labels, and no number's name is above another's. */
static size_t name_of(char *to, uint32_t number, const char *before)
{
    return (size_t)sprintf(to, "%s%sn%u%s.example", before, number % 3 ? "x.y." : "", number,
                           number % 2 ? ".z" : "");
}

TEST(each_of_many_names_is_found_in_sixteen_bytes_a_name)
{
    enum { MANY = 200000 };
    struct l4_names_draft draft;
    struct l4_names set;
    int64_t bytes;
    char name[100];
    l4_names_begin(&draft, &key);
    for (uint32_t i = 0; i < MANY; i++)
        CHECK_EQ(0, l4_names_add(&draft, name, name_of(name, i, ""), i % 5 ? L4_NAME_BELOW : 0));
    void *memory = made(&draft, &bytes);
    CHECK(bytes < 16 * (MANY + 64));
    CHECK_EQ(0, l4_names_open(&set, memory, (size_t)bytes));
    for (uint32_t i = 0; i < MANY; i++) {
        const size_t length = name_of(name, i, "");
        CHECK_EQ(length, l4_names_find(&set, name, length));
        const size_t longer = name_of(name, i, "www.");
        CHECK_EQ(i % 5 ? length : 0, l4_names_find(&set, name, longer));
        CHECK_EQ(0, l4_names_find(&set, name, name_of(name, MANY + i, "")));
    }
    free(memory);
    l4_names_end(&draft);
}

TEST(an_empty_set_has_no_host)
{
    struct l4_names_draft draft;
    struct l4_names set;
    int64_t bytes;
    l4_names_begin(&draft, &key);
    void *memory = made(&draft, &bytes);
    CHECK_EQ(0, l4_names_open(&set, memory, (size_t)bytes));
    CHECK_EQ(0, find(&set, "a.example"));
    free(memory);
    l4_names_end(&draft);
}

TEST(a_head_that_promises_more_than_there_is_is_no_set)
{
    struct l4_names_draft draft;
    struct l4_names set;
    int64_t bytes;
    l4_names_begin(&draft, &key);
    add(&draft, "a.example", 0);
    struct l4_names_head *head = made(&draft, &bytes);
    const struct l4_names_head good = *head;
    CHECK_EQ(-EINVAL, l4_names_open(&set, head, (size_t)bytes - 1));
    CHECK_EQ(-EINVAL, l4_names_open(&set, head, sizeof *head - 1));
    CHECK_EQ(-EINVAL, l4_names_open(&set, (char *)head + 4, (size_t)bytes - 4));
#define CHECK_BAD(field, value)                                                                    \
    do {                                                                                           \
        head->field = (value);                                                                     \
        CHECK_EQ(-EINVAL, l4_names_open(&set, head, (size_t)bytes));                               \
        *head = good;                                                                              \
    } while (0)
    CHECK_BAD(format, 0);
    CHECK_BAD(places, 3);
    CHECK_BAD(places, 1);
    CHECK_BAD(places, UINT32_MAX);
    CHECK_BAD(names, 2);
    CHECK_BAD(names, UINT32_MAX);
    CHECK_BAD(run, L4_NAMES_RUN_MAX + 1);
    CHECK_BAD(labels_max, L4_NAMES_LABELS_MAX + 1);
    CHECK_EQ(0, l4_names_open(&set, head, (size_t)bytes));
    free(head);
    l4_names_end(&draft);
}

TEST(a_look_up_in_any_memory_stays_within_it)
{
    enum { PLACES = 64, BYTES = sizeof(struct l4_names_head) + PLACES * sizeof(uint64_t) };
    uint64_t *memory = malloc(BYTES);
    struct l4_names set;
    char host[256];
    srand(1);
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < BYTES; i++)
            ((uint8_t *)memory)[i] = (uint8_t)(rand() >> 8);
        struct l4_names_head *head = (struct l4_names_head *)memory;
        head->format = L4_NAMES_FORMAT;
        head->names = (uint32_t)rand() % (PLACES / 2 + 1);
        head->places = (uint32_t)rand() % (PLACES + 2);
        head->run = (uint16_t)(rand() % (L4_NAMES_RUN_MAX + 1));
        head->labels_max = (uint8_t)(rand() % (L4_NAMES_LABELS_MAX + 1));
        const size_t bytes = (size_t)rand() % sizeof host;
        for (size_t i = 0; i < bytes; i++)
            host[i] = rand() % 3 ? 'a' : '.';
        if (!l4_names_open(&set, memory, BYTES))
            CHECK(l4_names_find(&set, host, bytes) <= bytes);
    }
    free(memory);
}

TEST(a_text_tells_the_line_of_a_name)
{
    static const char lines[] = "# x\n\n0.0.0.0 a.example b.example\r\n.c.example\nwrong one\nlast";
    struct l4_names_text text;
    static const struct {
        const char *name;
        uint64_t line;
    } cases[] = {{"b.example", 3}, {"c.example", 4}, {"last", 6}, {"wrong", 0}, {"example", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        l4_names_text_begin(&text, lines, sizeof lines - 1, L4_NAMES_AUTO);
        CHECK_EQ(cases[i].line, l4_names_text_find(&text, cases[i].name, strlen(cases[i].name)));
    }
}

MAIN(RUN(a_host_is_found_by_its_name_or_by_a_parent_that_means_all_below);
     RUN(what_is_no_name_is_not_taken); RUN(each_of_many_names_is_found_in_sixteen_bytes_a_name);
     RUN(an_empty_set_has_no_host); RUN(a_head_that_promises_more_than_there_is_is_no_set);
     RUN(a_look_up_in_any_memory_stays_within_it); RUN(a_text_tells_the_line_of_a_name))
