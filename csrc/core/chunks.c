#include "core/chunks.h"

#include <stdbool.h>

enum class { DIGIT, TOKEN, COLON, SEMICOLON, BLANK, CR, LF, TEXT, CONTROL, CLASSES };

enum state {
    SIZE,    /* before the first digit of a size */
    DIGITS,  /* after at least one digit */
    PADDED,  /* after white space behind a size */
    EXTRA,   /* an extension, from its semicolon on */
    SIZE_LF, /* before the LF of a size's line */
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* at the beginning of a trailer's line, or of the last line */
    NAME,
    VALUE,
    VALUE_LF,
    LAST_LF,
    DONE,
    BAD
};

/* clang-format off */
static const uint8_t class_of[256] = {
    [0 ... 8] = CONTROL,     ['\t'] = BLANK,       ['\n'] = LF,          [11 ... 12] = CONTROL,
    ['\r'] = CR,             [14 ... 31] = CONTROL, [' '] = BLANK,        ['!'] = TOKEN,
    ['"'] = TEXT,            ['#' ... '\''] = TOKEN, ['(' ... ')'] = TEXT, ['*' ... '+'] = TOKEN,
    [','] = TEXT,            ['-' ... '.'] = TOKEN, ['/'] = TEXT,         ['0' ... '9'] = DIGIT,
    [':'] = COLON,           [';'] = SEMICOLON,     ['<' ... '@'] = TEXT, ['A' ... 'F'] = DIGIT,
    ['G' ... 'Z'] = TOKEN,   ['[' ... ']'] = TEXT,  ['^' ... '`'] = TOKEN, ['a' ... 'f'] = DIGIT,
    ['g' ... 'z'] = TOKEN,   ['{'] = TEXT,          ['|'] = TOKEN,        ['}'] = TEXT,
    ['~'] = TOKEN,           [127] = CONTROL,       [128 ... 255] = TEXT,
};

static const uint8_t next_of[BAD][CLASSES] = {
/*             DIGIT   TOKEN   COLON   SEMICOLON  BLANK   CR        LF       TEXT   CONTROL */
[SIZE]     = { DIGITS, BAD,    BAD,    BAD,       BAD,    BAD,      BAD,     BAD,   BAD  },
[DIGITS]   = { DIGITS, BAD,    BAD,    EXTRA,     PADDED, SIZE_LF,  BAD,     BAD,   BAD  },
[PADDED]   = { BAD,    BAD,    BAD,    EXTRA,     PADDED, SIZE_LF,  BAD,     BAD,   BAD  },
[EXTRA]    = { EXTRA,  EXTRA,  EXTRA,  EXTRA,     EXTRA,  SIZE_LF,  BAD,     EXTRA, BAD  },
[SIZE_LF]  = { BAD,    BAD,    BAD,    BAD,       BAD,    BAD,      DATA,    BAD,   BAD  },
[DATA]     = { DATA,   DATA,   DATA,   DATA,      DATA,   DATA,     DATA,    DATA,  DATA },
[DATA_CR]  = { BAD,    BAD,    BAD,    BAD,       BAD,    DATA_LF,  BAD,     BAD,   BAD  },
[DATA_LF]  = { BAD,    BAD,    BAD,    BAD,       BAD,    BAD,      SIZE,    BAD,   BAD  },
[TRAILER]  = { NAME,   NAME,   BAD,    BAD,       BAD,    LAST_LF,  BAD,     BAD,   BAD  },
[NAME]     = { NAME,   NAME,   VALUE,  BAD,       BAD,    BAD,      BAD,     BAD,   BAD  },
[VALUE]    = { VALUE,  VALUE,  VALUE,  VALUE,     VALUE,  VALUE_LF, BAD,     VALUE, BAD  },
[VALUE_LF] = { BAD,    BAD,    BAD,    BAD,       BAD,    BAD,      TRAILER, BAD,   BAD  },
[LAST_LF]  = { BAD,    BAD,    BAD,    BAD,       BAD,    BAD,      DONE,    BAD,   BAD  },
[DONE]     = { DONE,   DONE,   DONE,   DONE,      DONE,   DONE,     DONE,    DONE,  DONE },
};
/* clang-format on */

/* Adds a digit. Returns false if the size has too many. */
static bool add_digit(struct l4_chunks *chunks, char c)
{
    const uint32_t value = c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
    chunks->left = chunks->left << 4 | value;
    if (chunks->left)
        chunks->digits++;
    return chunks->digits <= L4_CHUNK_DIGITS_MAX;
}

/* Goes on behind a size's line: to the chunk's data, or to the trailers. Returns false for a sender
 * whose lines are out of all proportion to its data. */
static bool end_line(struct l4_chunks *chunks)
{
    const uint64_t fair = 16 + 2 * chunks->left, line = chunks->line;
    const uint64_t waste = chunks->waste + line;
    chunks->waste = waste > fair ? (uint32_t)(waste - fair) : 0;
    chunks->line = 0;
    chunks->digits = 0;
    chunks->state = chunks->left ? DATA : TRAILER;
    return chunks->waste <= L4_CHUNK_WASTE_MAX;
}

/* Takes one byte outside of data. Returns false if it must not come there. */
static bool take(struct l4_chunks *chunks, char c)
{
    const enum state before = (enum state)chunks->state;
    const enum class class = (enum class)class_of[(uint8_t)c];
    chunks->state = next_of[before][class];
    if (chunks->state == BAD)
        return false;
    if (before == DATA_CR || before == DATA_LF)
        return true;
    const uint32_t most = before < DATA ? L4_CHUNK_LINE_MAX : L4_CHUNK_TRAILERS_MAX;
    if (++chunks->line > most)
        return false;
    if (chunks->state == DIGITS)
        return add_digit(chunks, c);
    return before != SIZE_LF || end_line(chunks);
}

enum l4_chunks_result l4_chunks_next(struct l4_chunks *chunks, const char *bytes, size_t count,
                                     size_t *used, struct l4_text *data)
{
    size_t at = 0;
    enum l4_chunks_result result = L4_CHUNKS_MORE;
    *data = (struct l4_text){0};
    while (at < count && chunks->state < DONE && result == L4_CHUNKS_MORE) {
        if (chunks->state != DATA) {
            if (!take(chunks, bytes[at++]))
                chunks->state = BAD;
            continue;
        }
        const size_t run = count - at < chunks->left ? count - at : (size_t)chunks->left;
        *data = (struct l4_text){bytes + at, run};
        at += run;
        chunks->left -= run;
        chunks->state = chunks->left ? DATA : DATA_CR;
        result = L4_CHUNKS_DATA;
    }
    *used = at;
    if (result == L4_CHUNKS_DATA || chunks->state < DONE)
        return result;
    return chunks->state == DONE ? L4_CHUNKS_DONE : L4_CHUNKS_BAD;
}

size_t l4_chunk_head(char to[static L4_CHUNK_HEAD_MAX], uint64_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint32_t count = (uint32_t)(64 - __builtin_clzll(bytes | 1) + 3) / 4;
    for (uint32_t i = 0; i < count; i++)
        to[i] = digits[bytes >> 4 * (count - 1 - i) & 15];
    to[count] = '\r';
    to[count + 1] = '\n';
    return count + 2;
}
