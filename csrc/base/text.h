/* A text that lies in somebody else's memory: where it begins, and how many bytes it has. */
#ifndef L4_BASE_TEXT_H
#define L4_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct l4_text {
    const char *at; /* NULL: there is no text; no NUL ends it */
    size_t bytes;
};

/* The text of a string literal. */
#define L4_TEXT(literal) ((struct l4_text){(literal), sizeof(literal) - 1})

static inline bool l4_text_is(struct l4_text a, struct l4_text b)
{
    return a.bytes == b.bytes && (!a.bytes || !memcmp(a.at, b.at, a.bytes));
}

/* Copies a text, which may be none. Returns the end of the copy. */
static inline char *l4_text_copy(char *to, struct l4_text text)
{
    if (text.bytes) /* why: memcpy takes no NULL, not even for no bytes */
        memcpy(to, text.at, text.bytes);
    return to + text.bytes;
}

/* Room that texts are put into, one behind the other. */
struct l4_text_out {
    char *to;
    size_t size, used;
    bool full; /* something did not fit, or must not be there: nothing of it may be used */
};

/* Returns room for `bytes` more bytes; NULL, for ever, if there is not enough. */
static inline char *l4_text_room(struct l4_text_out *out, size_t bytes)
{
    if (out->full || bytes > out->size - out->used) {
        out->full = true;
        return NULL;
    }
    out->used += bytes;
    return out->to + out->used - bytes;
}

static inline void l4_text_put(struct l4_text_out *out, struct l4_text text)
{
    char *to = text.bytes ? l4_text_room(out, text.bytes) : NULL;
    if (to)
        memcpy(to, text.at, text.bytes);
}

/* Returns the text without its first bytes. */
static inline struct l4_text l4_text_after(struct l4_text text, size_t bytes)
{
    return bytes ? (struct l4_text){text.at + bytes, text.bytes - bytes} : text;
}

/* Returns how many bytes come before the first c; all of them if there is none. */
static inline size_t l4_text_until(struct l4_text text, char c)
{
    const char *found = text.bytes ? memchr(text.at, c, text.bytes) : NULL;
    return found ? (size_t)(found - text.at) : text.bytes;
}

/* Returns the text without spaces and tabs at its ends. */
static inline struct l4_text l4_text_trimmed(struct l4_text text)
{
    while (text.bytes && (*text.at == ' ' || *text.at == '\t'))
        text = l4_text_after(text, 1);
    while (text.bytes && (text.at[text.bytes - 1] == ' ' || text.at[text.bytes - 1] == '\t'))
        text.bytes--;
    return text;
}

#endif
