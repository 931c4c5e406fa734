/* Decodes a body in chunks (RFC 9112, 7.1), wherever its bytes are split, and encodes one.
 *
 * Sans I/O, strict, a table of states. Chunk extensions and trailers are read and dropped; both
 * are bounded. The sizes that come are never passed on: a body is encoded anew.
 */
#ifndef L4_CORE_CHUNKS_H
#define L4_CORE_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum {
    L4_CHUNK_LINE_MAX = 1024,     /* bytes of a line with a chunk's size */
    L4_CHUNK_TRAILERS_MAX = 8192, /* bytes of all trailers */
    L4_CHUNK_DIGITS_MAX = 14,     /* digits of a size, zeros in front not counted: 56 bits */
    L4_CHUNK_HEAD_MAX = 18,       /* bytes that l4_chunk_head writes */
    L4_CHUNK_WASTE_MAX = 16384,   /* see struct l4_chunks */
};

/* What follows the last byte of a chunk, and what ends a body. */
#define L4_CHUNK_END  "\r\n"
#define L4_CHUNKS_END "0\r\n\r\n"

enum l4_chunks_result {
    L4_CHUNKS_DATA, /* a run of the body's bytes */
    L4_CHUNKS_MORE, /* all input is used; the body goes on */
    L4_CHUNKS_DONE, /* the body has ended; what follows it was not used */
    L4_CHUNKS_BAD   /* it is not a body in chunks: nothing after it can be trusted */
};

/* A decoder; all zeros before the first byte. It lies in a shared row. */
struct l4_chunks {
    uint64_t left;  /* bytes of the present chunk that are still to come */
    uint32_t waste; /* bytes of lines beyond what chunks of the size of their lines would need */
    uint16_t line;  /* bytes of the present line, or of all trailers */
    uint8_t state;
    uint8_t digits; /* of the present size */
};
_Static_assert(sizeof(struct l4_chunks) == 16, "struct l4_chunks lies in each HTTP session's row");

/* Goes on with the next bytes. *used is how many of them were used up, those in *data included. */
enum l4_chunks_result l4_chunks_next(struct l4_chunks *chunks, const char *bytes, size_t count,
                                     size_t *used, struct l4_text *data);

/* Writes the line that begins a chunk of 1 byte or more. Returns the line's length. */
size_t l4_chunk_head(char to[static L4_CHUNK_HEAD_MAX], uint64_t bytes);

#endif
