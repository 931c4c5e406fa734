/* Reads files with domain names, as people who keep lists publish them. Sans I/O.
 *
 * A line of the format "auto" is one of these, by its first bytes:
 *   example.com                  a name
 *   .example.com, *.example.com  a name and all below it
 *   0.0.0.0 a.example b.example  hosts(5); names without a dot are those of a host itself
 *   address=/a.example/0.0.0.0   dnsmasq: also server=/ and local=/; names and all below them
 * From a # on it is a comment, and a line that begins with ! or ; is one. What is none of these is
 * told, and reading goes on with the next name.
 */
#ifndef L4_CORE_NAMES_TEXT_H
#define L4_CORE_NAMES_TEXT_H

#include <stdint.h>

#include "base/text.h"
#include "core/names.h"
#include "core/target.h"

enum l4_names_format {
    L4_NAMES_AUTO,
    L4_NAMES_DOMAINS, /* one name a line */
    L4_NAMES_HOSTS,
    L4_NAMES_DNSMASQ,
    L4_NAMES_FORMATS
};

enum l4_names_result {
    L4_NAMES_END,
    L4_NAMES_NAME,  /* host is a name */
    L4_NAMES_OTHER, /* word is a name with letters that are not ASCII, or an invalid one */
    L4_NAMES_WRONG  /* word is no name, or a line that is none of the format */
};

struct l4_names_text {
    struct l4_text rest;  /* lines that were not begun */
    struct l4_text words; /* of the present line, not taken yet */
    uint64_t line;        /* its number, from 1 */
    struct l4_text word;  /* what the last result is about */
    uint32_t flags;       /* of this word: enum l4_name_flags */
    enum l4_names_format format;
    char between; /* the byte between words; 0: the line is one word */
};

void l4_names_text_begin(struct l4_names_text *text, const char *bytes, size_t count,
                         enum l4_names_format format);

/* Reads the next name. host is set for L4_NAMES_NAME. */
enum l4_names_result l4_names_text_next(struct l4_names_text *text, struct l4_host *host);

/* Adds names to a draft, each with the text's flags or these. Returns the first result that is not
 * L4_NAMES_NAME; L4_NAMES_WRONG also for a name that a set does not take. *error is 0, or -E2BIG or
 * -ENOMEM: then nothing more can be added. *added counts. */
enum l4_names_result l4_names_text_add(struct l4_names_text *text, uint32_t flags,
                                       struct l4_names_draft *draft, uint64_t *added, int *error);

/* Goes on to a name. Returns its line; 0: there is none. */
uint64_t l4_names_text_find(struct l4_names_text *text, const char *name, size_t bytes);

#endif
