/* A request's target in its four forms (RFC 9112, 3.2), its host, and its path as routes see it.
 *
 * Strict: what two readers could understand differently is a fault. A query is passed on as it came
 * and never decoded; browsers send a raw backslash, `%` and the like in it. The path that is
 * matched is a copy with one spelling for all paths that a server may take for the same: a
 * character that may stand in a path stands there as itself, every other byte as %XX with capitals.
 * Pure; every byte is the client's claim, and no text has a NUL at its end.
 */
#ifndef L4_CORE_TARGET_H
#define L4_CORE_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "base/bounds.h"
#include "base/text.h"

#define L4_TARGET_FAULTS(X)                                                                        \
    X(NONE, "none", 0)                                                                             \
    X(FORM, "target_form", 400)     /* no form that the method allows */                           \
    X(BYTE, "target_byte", 400)     /* a byte that no target has, such as # or a space */          \
    X(PERCENT, "bad_percent", 400)  /* a % in the path without two hexadecimal digits */           \
    X(HOST, "bad_host", 400)        /* neither a name nor an address */                            \
    X(PORT, "bad_port", 400)        /* not 1 to 65535, or empty */                                 \
    X(ROOT, "above_root", 400)      /* more .. than segments before them */                        \
    X(NUL, "encoded_nul", 400)      /* %00 */                                                      \
    X(SLASH, "encoded_slash", 400)  /* %2f, which servers disagree about */                        \
    X(DOTS, "dots_parameter", 400)  /* /..; or /.; which some servers take for /.. or /. */        \
    X(LONG, "target_too_long", 414) /* the path has more than L4_PATH_MATCH_MAX bytes */

enum l4_target_fault {
#define X(id, word, status) L4_TARGET_##id,
    L4_TARGET_FAULTS(X)
#undef X
        L4_TARGET_FAULT_COUNT
};

/* Returns the word that users see, and the status of the answer; "unknown" and 400 for an invalid
 * number. */
const char *l4_target_fault_word(unsigned fault);
uint32_t l4_target_fault_status(unsigned fault);

/* The forms, as bits: a method allows some of them. CONNECT allows only the authority form; only
 * OPTIONS allows the asterisk. */
enum l4_target_form {
    L4_FORM_NONE = 0,
    L4_FORM_ORIGIN = 1 << 0,    /* /path?query */
    L4_FORM_ABSOLUTE = 1 << 1,  /* http://host/path?query */
    L4_FORM_AUTHORITY = 1 << 2, /* host:port */
    L4_FORM_ASTERISK = 1 << 3   /* * */
};

enum l4_scheme { L4_SCHEME_NONE, L4_SCHEME_HTTP, L4_SCHEME_HTTPS };

struct l4_target {
    enum l4_target_form form;
    enum l4_scheme scheme; /* of the absolute form */
    struct l4_text host;   /* with its port, as it came: of the absolute and the authority form */
    struct l4_text path;   /* as it came; "/" if an absolute form has none, "*" for the asterisk */
    struct l4_text query;  /* without its ?; at is NULL: there is no ? */
};

/* Reads a target. forms: the bits of the forms that its method allows. The texts lie in `text`,
 * except for the path of an absolute form without one. The host is not judged: l4_host_read. */
__attribute__((warn_unused_result)) enum l4_target_fault
l4_target_read(const char *text, size_t bytes, uint32_t forms, struct l4_target *target);

enum l4_host_kind { L4_HOST_NAME, L4_HOST_IPV4, L4_HOST_IPV6 };

struct l4_host {
    enum l4_host_kind kind;
    uint16_t port;              /* 0: none was given */
    uint16_t bytes;             /* of name */
    char name[L4_HOST_MAX + 1]; /* lower case, without port and final dot; IPv6 in its shortest form
                                 * in brackets; NUL after it */
};

/* Reads the value of a Host field, or a target's host. A name has the letters of host names and
 * `_`; a name whose last label is a number must be an IPv4 address. */
__attribute__((warn_unused_result)) enum l4_target_fault
l4_host_read(const char *text, size_t bytes, struct l4_host *host);

enum l4_path_rules {
    L4_PATH_MERGES = 1 << 0, /* // counts as / */
    L4_PATH_SLASHES = 1 << 1 /* %2f is allowed, and differs from / */
};

/* Writes the path as it is matched into `to`: %XX decoded, `.` and `..` resolved. rules: enum
 * l4_path_rules. Sets *to_bytes. A path begins with a slash, or is "*". */
__attribute__((warn_unused_result)) enum l4_target_fault
l4_path_read(const char *path, size_t bytes, uint32_t rules, char to[static L4_PATH_MATCH_MAX],
             uint32_t *to_bytes);

#endif
