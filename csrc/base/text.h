/* A text that lies in somebody else's memory: where it begins, and how many bytes it has. */
#ifndef L4_BASE_TEXT_H
#define L4_BASE_TEXT_H

#include <stddef.h>

struct l4_text {
    const char *at; /* NULL: there is no text; no NUL ends it */
    size_t bytes;
};

/* The text of a string literal. */
#define L4_TEXT(literal) ((struct l4_text){(literal), sizeof(literal) - 1})

#endif
