/* Bodies in chunks: their data wherever they are split, and what is wrong with bad ones. */
#include <string.h>

#include "check.h"
#include "core/chunks.h"

/* Decodes a body that comes in pieces. Returns the last result; *used counts over all pieces. */
static int decode(const char *body, size_t count, size_t piece, char *to, size_t *bytes,
                  size_t *used)
{
    struct l4_chunks chunks = {0};
    *bytes = *used = 0;
    int result = L4_CHUNKS_MORE;
    for (size_t from = 0; from < count && result < L4_CHUNKS_DONE; from += piece) {
        const size_t here = count - from < piece ? count - from : piece;
        size_t at = 0, step;
        do {
            struct l4_text data;
            result = (int)l4_chunks_next(&chunks, body + from + at, here - at, &step, &data);
            if (data.bytes)
                memcpy(to + *bytes, data.at, data.bytes);
            *bytes += data.bytes;
            at += step;
        } while (result == L4_CHUNKS_DATA);
        *used = from + at;
    }
    return result;
}

TEST(a_body_is_decoded_wherever_it_is_split)
{
    static const char body[] = "5\r\nhello\r\n00A ; x=\"y\"\r\n0123456789\r\n1  \r\n\n\r\n"
                               "0;last\r\nTrailer: value\r\nOther:\r\n\r\nGET /";
    char to[64];
    size_t bytes, used;
    for (size_t piece = 1; piece <= sizeof body; piece++) {
        CHECK_EQ(L4_CHUNKS_DONE, decode(body, sizeof body - 1, piece, to, &bytes, &used));
        CHECK_EQ(16, bytes);
        CHECK(memcmp(to, "hello0123456789\n", 16) == 0);
        CHECK_EQ(sizeof body - 1 - 5, used);
    }
}

TEST(a_body_that_is_not_in_chunks_is_refused_wherever_it_is_split)
{
    static const char *const bad[] = {
        "\r\n",
        "\r\n\r\n",
        " 5\r\n",
        "+5\r\n",
        "-5\r\n",
        "0x5\r\n",
        "5\n",
        "5\r\r\n",
        "5\rX",
        "5 5\r\n",
        "5,\r\n",
        ";a\r\n",
        "g\r\n",
        "5;a\nb\r\n",
        "5;a\rb\r\n",
        "5;\x01\r\n",
        "5\r\nhelloX",
        "5\r\nhello\n",
        "5\r\nhello\rX",
        "5\r\nhello0\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\nA\r\n",
        "0\r\n A: b\r\n",
        "0\r\nA : b\r\n",
        "0\r\n: b\r\n",
        "0\r\nA: b\n",
        "0\r\nA: b\r\n c\r\n",
        "0\r\nA: \x7f\r\n",
        "0\r\nGET / HTTP/1.1\r\n",
        "100000000000000\r\n",
        "ffffffffffffffff\r\n",
        "fffffffffffffffffffff\r\n",
    };
    char to[64];
    size_t bytes, used;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t piece = 1; piece <= strlen(bad[i]); piece++)
            CHECK_EQ(L4_CHUNKS_BAD, decode(bad[i], strlen(bad[i]), piece, to, &bytes, &used));
}

TEST(a_size_has_56_bits_and_any_zeros_in_front)
{
    struct l4_chunks chunks = {0};
    struct l4_text data;
    size_t used;
    const char *line = "00000000000000000000ffffFFFFffffFF\r\nx";
    CHECK_EQ(L4_CHUNKS_DATA, l4_chunks_next(&chunks, line, strlen(line), &used, &data));
    CHECK_EQ((1ll << 56) - 2, chunks.left);
    CHECK_EQ(1, data.bytes);
}

TEST(what_is_no_data_is_bounded)
{
    static char body[200000], to[200000];
    size_t bytes, used;
    memset(body, '0', sizeof body);
    CHECK_EQ(L4_CHUNKS_BAD, decode(body, sizeof body, 7, to, &bytes, &used));
    CHECK(used <= L4_CHUNK_LINE_MAX + 7);
    memset(body, 'a', sizeof body);
    memcpy(body, "0\r\na:", 5);
    CHECK_EQ(L4_CHUNKS_BAD, decode(body, sizeof body, 7, to, &bytes, &used));
    CHECK(used <= L4_CHUNK_TRAILERS_MAX + 14);
    size_t count = 0;
    for (int i = 0; i < 200; i++) {
        memcpy(body + count, "1;", 2);
        memset(body + count + 2, 'x', 900);
        memcpy(body + count + 902, "\r\ny\r\n", 5);
        count += 907;
    }
    CHECK_EQ(L4_CHUNKS_BAD, decode(body, count, count, to, &bytes, &used));
    CHECK(used <= L4_CHUNK_WASTE_MAX + 2000);
    for (count = 0; count + 6 < sizeof body; count += 6)
        memcpy(body + count, "1\r\ny\r\n", 6);
    CHECK_EQ(L4_CHUNKS_MORE, decode(body, count, count, to, &bytes, &used));
}

TEST(an_ended_body_and_a_broken_one_stay_so)
{
    struct l4_chunks chunks = {0};
    struct l4_text data;
    size_t used;
    CHECK_EQ(L4_CHUNKS_DONE, l4_chunks_next(&chunks, "0\r\n\r\n0", 6, &used, &data));
    CHECK_EQ(5, used);
    CHECK_EQ(L4_CHUNKS_DONE, l4_chunks_next(&chunks, "0", 1, &used, &data));
    CHECK_EQ(0, used);
    chunks = (struct l4_chunks){0};
    CHECK_EQ(L4_CHUNKS_BAD, l4_chunks_next(&chunks, "x0\r\n\r\n", 6, &used, &data));
    CHECK_EQ(L4_CHUNKS_BAD, l4_chunks_next(&chunks, "0\r\n\r\n", 5, &used, &data));
}

TEST(a_chunk_is_written_with_its_size)
{
    static const struct {
        uint64_t bytes;
        const char *line;
    } cases[] = {{1, "1\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {0xabcde, "abcde\r\n"},
                 {UINT64_MAX, "ffffffffffffffff\r\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char to[L4_CHUNK_HEAD_MAX];
        const size_t bytes = l4_chunk_head(to, cases[i].bytes);
        CHECK_EQ(strlen(cases[i].line), bytes);
        CHECK(memcmp(to, cases[i].line, bytes) == 0);
    }
}

MAIN(RUN(a_body_is_decoded_wherever_it_is_split);
     RUN(a_body_that_is_not_in_chunks_is_refused_wherever_it_is_split);
     RUN(a_size_has_56_bits_and_any_zeros_in_front); RUN(what_is_no_data_is_bounded);
     RUN(an_ended_body_and_a_broken_one_stay_so); RUN(a_chunk_is_written_with_its_size);)
