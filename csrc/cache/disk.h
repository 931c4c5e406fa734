/* Objects of a cache as files in its folder.
 *
 * A file is written under a temporary name and gets its own one when it is whole; from then on
 * nobody writes to it, so whoever has it open may send from it for as long as that takes. Its name
 * is a keyed hash of the object's key. If an answer has Vary, the file of the key is a marker: it
 * tells the fields by which requests are told apart, and its number is a part of the names of all
 * answers of the key. So who removes the file of a key takes all its answers out at once.
 *
 * Nothing in a file is believed: a head that was damaged, or that is not as long as it says, is no
 * object. The folder is bounded by all writers together: each takes room before it writes. A keeper
 * process (l4lb/disk) counts the files from time to time, and removes those that were not used for
 * the longest time.
 */
#ifndef L4_CACHE_DISK_H
#define L4_CACHE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/hash.h"
#include "base/text.h"
#include "cache/layout.h"

enum {
    L4_DISK_KEY_BYTES = 16,
    L4_DISK_NAME_MAX = 40,
    L4_DISK_TEXTS_MAX = 64 << 10, /* bytes of all texts of a file */
};

/* The folder of one cache, as one worker sees it. */
struct l4_disk {
    int fd; /* 0: there is none */
    struct l4_hash_key key;
    struct l4_disk_counts *counts;
    uint64_t size;   /* bytes of all files together */
    uint64_t serial; /* from which the numbers of files are made */
    uint64_t made;
};

/* What a file begins with. Behind it: key, Vary's values, tags, the answer's fields, the body. */
struct l4_disk_head {
    uint64_t format;
    uint64_t check; /* hash of all that follows, up to the body */
    uint64_t serial, stamp, pool;
    struct l4_freshness freshness;
    uint16_t status, key_bytes, vary_bytes, tags_bytes;
    uint32_t head_bytes;
    uint32_t is_marker;
    uint64_t body_bytes;
};

struct l4_disk_name {
    char text[L4_DISK_NAME_MAX];
    uint32_t folder;
};

/* A file that is being written. */
struct l4_disk_writer {
    int fd; /* 0: none */
    uint32_t folder;
    uint64_t serial;
    uint64_t at, taken; /* bytes that were written, and those for which there is room */
};

/* Opens a folder for a worker. key: L4_DISK_KEY_BYTES, the secret of its names. */
void l4_disk_open_folder(struct l4_disk *disk, int fd, const void *key, uint64_t size,
                         struct l4_disk_counts *counts);

/* Names the file of a key (marker 0, no vary), or of one of the answers that its marker stands
 * for. */
void l4_disk_name(const struct l4_disk *disk, struct l4_text key, uint64_t marker,
                  struct l4_text vary, struct l4_disk_name *name);

/* Opens a file and reads its head, and the texts behind it. Returns the descriptor; -ENOENT if
 * there is no such file, or another -errno. A damaged file is removed. */
int l4_disk_open(const struct l4_disk *disk, const struct l4_disk_name *name,
                 struct l4_disk_head *head, char texts[static L4_DISK_TEXTS_MAX]);

/* Opens a file that the process of this pid writes. Returns the descriptor, or -1. */
int l4_disk_open_unfinished(const struct l4_disk *disk, const struct l4_disk_writer *writer,
                            int pid);

/* Reads head and texts only, and changes nothing. Returns 0 or -errno. */
int l4_disk_peek(const struct l4_disk *disk, const struct l4_disk_name *name,
                 struct l4_disk_head *head, char texts[static L4_DISK_TEXTS_MAX]);

/* Returns the object that a head tells of; the caller fills in what the head does not know. */
struct l4_cached l4_disk_object(const struct l4_disk_head *head);

/* Where the body begins in a file. */
uint64_t l4_disk_body_at(const struct l4_disk_head *head);

/* Begins a file that will have this name. Returns false if that cannot be done. */
bool l4_disk_begin(struct l4_disk *disk, const struct l4_disk_name *name,
                   struct l4_disk_writer *writer);

/* Writes texts or a part of the body behind what is there. Returns false if there is no room, or if
 * it cannot be written. */
bool l4_disk_write(const struct l4_disk *disk, struct l4_disk_writer *writer, struct l4_text data);

/* Ends a file, and gives it its name. head: its format, check and serial are filled in. texts: what
 * was written first. Returns false if that cannot be done; the file is gone then. */
bool l4_disk_end(const struct l4_disk *disk, struct l4_disk_writer *writer,
                 struct l4_disk_head *head, const char *texts, const struct l4_disk_name *name);

/* Gives a file up that was begun. */
void l4_disk_abort(const struct l4_disk *disk, struct l4_disk_writer *writer);

/* Removes a file. Returns false if there was none. */
bool l4_disk_remove(const struct l4_disk *disk, const struct l4_disk_name *name);

#endif
