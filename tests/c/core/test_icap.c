/* ICAP: heads and their parts, messages wherever they are split, and what is wrong with bad ones.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/icap.h"

#define STATUS "ICAP/1.0 200 OK\r\n"

enum { ROOM = 4096 };

/* What was heard of a message that came in pieces of `piece` bytes. */
struct heard {
    enum l4_icap_heard last;
    int continues;
    size_t used, body_bytes;
    char body[ROOM], heads[ROOM];
    struct l4_icap_reader reader;
};

static void hear(struct heard *h, const char *bytes, size_t count, size_t piece, uint64_t max_body)
{
    memset(h, 0, sizeof *h);
    h->reader = (struct l4_icap_reader){.heads = h->heads, .room = ROOM, .max_body = max_body};
    h->last = L4_ICAP_MORE;
    while (h->used < count && h->last < L4_ICAP_DONE) {
        const size_t left = count - h->used;
        struct l4_text data;
        size_t used;
        h->last =
            l4_icap_hear(&h->reader, bytes + h->used, left < piece ? left : piece, &used, &data);
        if (data.bytes)
            memcpy(h->body + h->body_bytes, data.at, data.bytes);
        h->body_bytes += data.bytes;
        h->continues += h->last == L4_ICAP_CONTINUE;
        h->used += used;
    }
}

TEST(a_message_is_read_wherever_it_is_split)
{
    static const char text[] =
        "ICAP/1.0 100 Continue\r\n\r\n" STATUS "ISTag: \"x\"\r\nX-Infection-Found: Type=0;\r\n"
        "encapsulated : none\r\n\r\n";
    static const char good[] = "ICAP/1.0 100 Continue\r\n\r\n" STATUS "ISTag: \"x\"\r\n"
                               "X-Infection-Found: Type=0; Resolution=2; Threat=EICAR;\r\n"
                               "Encapsulated: req-hdr=0, res-hdr=18, res-body=37\r\n\r\n"
                               "GET / HTTP/1.1\r\n\r\n"
                               "HTTP/1.1 403 No\r\n\r\n"
                               "5;x=y\r\nhello\r\n2\r\n!!\r\n0\r\n\r\nmore";
    struct heard h;
    for (size_t piece = 1; piece <= sizeof good; piece++) {
        hear(&h, good, sizeof good - 1, piece, 7);
        CHECK_EQ(L4_ICAP_DONE, h.last);
        CHECK_EQ(1, h.continues);
        CHECK_EQ(sizeof good - 1 - 4, h.used);
        CHECK(h.body_bytes == 7 && memcmp(h.body, "hello!!", 7) == 0);
        CHECK(h.reader.head.finds && h.reader.head.status == 200);
        CHECK(l4_text_is(l4_icap_request_of(&h.reader), L4_TEXT("GET / HTTP/1.1\r\n\r\n")));
        CHECK(l4_text_is(l4_icap_answer_of(&h.reader), L4_TEXT("HTTP/1.1 403 No\r\n\r\n")));
        hear(&h, text, sizeof text - 1, piece, 7);
        CHECK_EQ(L4_ICAP_BAD, h.last);
        hear(&h, good, sizeof good - 1, piece, 6);
        CHECK_EQ(L4_ICAP_LARGE, h.last);
    }
}

TEST(a_message_without_a_body_ends_with_its_heads)
{
    static const char text[] = STATUS "Encapsulated: res-hdr=0, null-body=19\r\n\r\n"
                                      "HTTP/1.1 200 OK\r\n\r\nx";
    struct heard h;
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        hear(&h, text, sizeof text - 1, piece, 0);
        CHECK_EQ(L4_ICAP_DONE, h.last);
        CHECK_EQ(sizeof text - 2, h.used);
        CHECK(!l4_icap_request_of(&h.reader).at);
        CHECK_EQ(19, l4_icap_answer_of(&h.reader).bytes);
    }
    hear(&h, "ICAP/1.0 204 No Content\r\n\r\n", 27, 5, 0);
    CHECK(h.last == L4_ICAP_DONE && h.reader.head.status == 204);
    hear(&h, "ICAP/1.0 404\r\nEncapsulated: null-body=0\r\n\r\n", 43, 43, 0);
    CHECK(h.last == L4_ICAP_DONE && h.reader.head.status == 404);
}

TEST(what_a_head_says_is_read)
{
    static const char text[] = STATUS "Methods: RESPMOD,  reqmod\r\nPreview: 1024\r\n"
                                      "Options-TTL: 3600\r\nConnection: Keep-Alive, close\r\n\r\n";
    struct l4_icap_head head;
    CHECK(l4_icap_head_read(text, sizeof text - 1, &head));
    CHECK(head.reqmod && head.respmod && head.has_preview && !head.stays && !head.parts.told);
    CHECK_EQ(1024, head.preview);
    CHECK_EQ(3600, head.ttl_s);
}

TEST(a_head_that_is_none_is_refused)
{
    static const char *const bad[] = {
        "\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "ICAP/1.1 200 OK\r\n\r\n",
        "ICAP/1.0  200 OK\r\n\r\n",
        "ICAP/1.0 20 OK\r\n\r\n",
        "ICAP/1.0 099 OK\r\n\r\n",
        "ICAP/1.0 2000 OK\r\n\r\n",
        "ICAP/1.0 20x OK\r\n\r\n",
        STATUS "name\r\n\r\n",
        STATUS ": value\r\n\r\n",
        STATUS "na me: value\r\n\r\n",
        STATUS " folded: value\r\n\r\n",
        STATUS "Preview: 1\r\n 2\r\n\r\n",
        STATUS "Encapsulated: null-body=0\r\n\t, x=1\r\n\r\n",
        STATUS "X: y\r\n\t\x01\r\n\r\n",
        STATUS "a: b\x01\r\n\r\n",
        STATUS "Preview: x\r\n\r\n",
        STATUS "Preview: -1\r\n\r\n",
        STATUS "Preview: 1234567890\r\n\r\n",
        STATUS "Preview:\r\n\r\n",
        STATUS "Encapsulated:\r\n\r\n",
        STATUS "Encapsulated: res-hdr\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0\r\n\r\n",
        STATUS "Encapsulated: res-hdr=1, null-body=20\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0, null-body=0\r\n\r\n",
        STATUS "Encapsulated: null-body=0, res-hdr=0\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0, res-hdr=9, null-body=20\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0, req-hdr=9, null-body=20\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0, req-body=20\r\n\r\n",
        STATUS "Encapsulated: req-hdr=0, res-body=20\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0, other=20\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0,, null-body=20\r\n\r\n",
        STATUS "Encapsulated: res-hdr=0, null-body=200000\r\n\r\n",
        STATUS "Encapsulated: null-body=0\r\nEncapsulated: null-body=0\r\n\r\n",
    };
    struct l4_icap_head head;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (l4_icap_head_read(bad[i], strlen(bad[i]), &head))
            printf("%s", bad[i]);
        CHECK(!l4_icap_head_read(bad[i], strlen(bad[i]), &head));
    }
    CHECK(l4_icap_head_read(STATUS "\r\n", sizeof STATUS + 1, &head));
    static const char found[] = STATUS "X-Violations-Found: 1\r\n\t-\r\n\tEicar: x\r\n\t0\r\n\r\n";
    CHECK(l4_icap_head_read(found, sizeof found - 1, &head) && head.finds);
    CHECK(!l4_icap_head_read(STATUS "\r\n", sizeof STATUS, &head));
    CHECK(!l4_icap_head_read(STATUS "\r\nx", sizeof STATUS + 2, &head));
}

/* A naive reader of the parts: by sscanf, one at a time. Returns whether the list is one. */
static bool naive_parts(const char *list, struct l4_icap_parts *parts)
{
    const char *const order[] = {"req-hdr", "res-hdr", "body"};
    int next = 0, used;
    long before = -1;
    char name[16];
    unsigned at;
    memset(parts, 0, sizeof *parts);
    while (sscanf(list, " %15[a-z-]=%u%n", name, &at, &used) == 2) {
        int which = 0;
        const char *dash = strchr(name, '-');
        const bool body = dash && strcmp(dash, "-body") == 0;
        while (which < 2 && strcmp(name, order[which]) != 0)
            which++;
        if (which < next || (which == 2 && !body) || (before < 0 ? at : (long)at <= before))
            return false;
        before = (long)at;
        next = which + 1;
        if (which == 0)
            parts->has_request = true, parts->request_at = at;
        if (which == 1)
            parts->has_answer = true, parts->answer_at = at;
        if (which == 2) {
            parts->told = true;
            parts->body_at = at;
            parts->has_body = strcmp(name, "null-body") != 0;
            if ((strcmp(name, "req-body") == 0 && (!parts->has_request || parts->has_answer)) ||
                (strcmp(name, "res-body") == 0 && !parts->has_answer))
                return false;
        }
        list += used;
        if (!*list)
            return parts->told;
        if (parts->told || *list++ != ',')
            return false;
    }
    return false;
}

TEST(parts_are_read_as_a_naive_reader_reads_them)
{
    static const char *const names[] = {"req-hdr",  "res-hdr",  "req-body",
                                        "res-body", "opt-body", "null-body"};
    unsigned seed = 7;
    for (int round = 0; round < 20000; round++) {
        char list[128] = "", text[256];
        unsigned at = 0;
        const int count = 1 + (int)(rand_r(&seed) % 3);
        for (int i = 0; i < count; i++) {
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s=%u", i ? ", " : "",
                     names[rand_r(&seed) % 6], at);
            at += (unsigned)rand_r(&seed) % 3 * 10;
        }
        snprintf(text, sizeof text, STATUS "Encapsulated: %s\r\n\r\n", list);
        struct l4_icap_head head;
        struct l4_icap_parts naive;
        const bool read = l4_icap_head_read(text, strlen(text), &head);
        CHECK_EQ(naive_parts(list, &naive), read);
        CHECK(!read || memcmp(&naive, &head.parts, sizeof naive) == 0);
    }
}

TEST(what_is_asked_is_written)
{
    char to[1024];
    struct l4_text_out out = {.to = to, .size = sizeof to};
    struct l4_icap_ask ask = {
        .method = L4_ICAP_RESPMOD,
        .host = L4_TEXT("127.0.0.1:1344"),
        .path = L4_TEXT("/avscan?x=1"),
        .request = 30,
        .answer = 40,
        .has_body = true,
        .has_preview = true,
        .preview = 4,
    };
    l4_icap_put_ask(&out, &ask);
    CHECK(!out.full &&
          l4_text_is((struct l4_text){to, out.used},
                     L4_TEXT("RESPMOD icap://127.0.0.1:1344/avscan?x=1 ICAP/1.0\r\n"
                             "Host: 127.0.0.1:1344\r\nUser-Agent: l4lb\r\nConnection: close\r\n"
                             "Allow: 204\r\nPreview: 4\r\n"
                             "Encapsulated: req-hdr=0, res-hdr=30, res-body=70\r\n\r\n")));
    ask.method = L4_ICAP_OPTIONS;
    out.used = 0;
    l4_icap_put_ask(&out, &ask);
    CHECK(!memmem(to, out.used, "Encapsulated", 12));
    out = (struct l4_text_out){.to = to, .size = 60};
    l4_icap_put_ask(&out, &ask);
    CHECK(out.full);
}

TEST(a_head_is_bounded)
{
    static char text[L4_ICAP_HEAD_MAX + 100], heads[L4_ICAP_HEADS_MAX];
    struct l4_icap_reader reader = {.heads = heads, .room = sizeof heads};
    struct l4_text data;
    size_t used;
    memset(text, 'x', sizeof text);
    memcpy(text, STATUS "a: ", sizeof STATUS + 2);
    CHECK_EQ(L4_ICAP_LARGE, l4_icap_hear(&reader, text, sizeof text, &used, &data));
}

MAIN(RUN(a_message_is_read_wherever_it_is_split); RUN(a_message_without_a_body_ends_with_its_heads);
     RUN(what_a_head_says_is_read); RUN(a_head_that_is_none_is_refused);
     RUN(parts_are_read_as_a_naive_reader_reads_them); RUN(what_is_asked_is_written);
     RUN(a_head_is_bounded);)
