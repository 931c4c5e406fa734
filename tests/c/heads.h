/* Heads of requests and answers for tests, from their fields. */
#ifndef L4_TESTS_HEADS_H
#define L4_TESTS_HEADS_H

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check.h"
#include "core/h1.h"

struct test_head {
    char bytes[16384];
    struct l4_h1_head head;
};

static const struct l4_h1_bounds test_bounds = {.head = 16384, .target = 8192, .fields = 100};

/* `fields`: lines that end with CRLF. */
static inline const struct l4_h1_head *test_request(struct test_head *to, const char *method,
                                                    const char *fields)
{
    const int bytes = snprintf(to->bytes, sizeof to->bytes, "%s /a HTTP/1.1\r\nHost: a\r\n%s\r\n",
                               method, fields);
    CHECK_EQ(L4_H1_NONE, l4_h1_request(to->bytes, (size_t)bytes, &test_bounds, &to->head));
    return &to->head;
}

static inline const struct l4_h1_head *test_answer(struct test_head *to, int status,
                                                   const char *fields)
{
    const int bytes =
        snprintf(to->bytes, sizeof to->bytes, "HTTP/1.1 %d -\r\n%s\r\n", status, fields);
    CHECK_EQ(L4_H1_NONE,
             l4_h1_answer(to->bytes, (size_t)bytes, &test_bounds, L4_METHOD_GET, &to->head));
    return &to->head;
}

#endif
