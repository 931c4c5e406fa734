#include "core/names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum {
    FLAGS = L4_NAME_BELOW | L4_NAME_EXCEPT,
    FIRST_ROOM = 1024 /* names that a draft has room for at first */
};

/* Walks through the labels of a name from its end. Each step hashes one label together with the
 * hash of what comes behind it, so that all parents together cost one pass over the name. */
struct walk {
    const char *name;
    size_t left;     /* bytes before the labels that were taken */
    uint64_t hashed; /* of these labels */
};

/* Returns the mark of the labels so far. A mark is never 0, which is a place without one. */
static uint64_t mark_of(const struct walk *walk)
{
    const uint64_t mark = walk->hashed & ~(uint64_t)FLAGS;
    return mark ? mark : FLAGS + 1;
}

/* Takes the next label. Returns false if it is empty or too long. */
static bool take_label(struct walk *walk, const struct l4_hash_key *key)
{
    char label[L4_LABEL_MAX + sizeof(uint64_t)];
    size_t begin = walk->left;
    while (begin && walk->name[begin - 1] != '.')
        begin--;
    const size_t bytes = walk->left - begin;
    if (!bytes || bytes > L4_LABEL_MAX)
        return false;
    memcpy(label, &walk->hashed, sizeof walk->hashed);
    memcpy(label + sizeof walk->hashed, walk->name + begin, bytes);
    walk->hashed = l4_hash(key, label, sizeof walk->hashed + bytes);
    walk->left = begin;
    return true;
}

/* Goes past the dot before the labels so far. Returns false if there is no further label. */
static bool pass_dot(struct walk *walk)
{
    if (!walk->left)
        return false;
    walk->left--;
    return true;
}

/* The place that a mark has among `names` of them, if it is free. */
static uint32_t place_of(uint64_t mark, uint32_t names)
{
    return (uint32_t)((unsigned __int128)mark * (2 * (uint64_t)names) >> 64);
}

/* ---- looking up ------------------------------------------------------------------------------ */

int l4_names_open(struct l4_names *set, const void *memory, size_t bytes)
{
    const struct l4_names_head *head = &set->head;
    *set = (struct l4_names){0};
    if (bytes < sizeof *head || (uintptr_t)memory % sizeof(uint64_t))
        return -EINVAL;
    memcpy(&set->head, memory, sizeof *head);
    if (head->format != L4_NAMES_FORMAT || head->names > L4_NAMES_MAX ||
        head->run > L4_NAMES_RUN_MAX || head->labels_max > L4_NAMES_LABELS_MAX ||
        head->places > (bytes - sizeof *head) / sizeof(uint64_t) ||
        head->places < 2 * (uint64_t)head->names)
        return -EINVAL;
    set->places = (const uint64_t *)((const char *)memory + sizeof *head);
    return 0;
}

/* Returns the mark with its flags; 0: it is not there. */
static uint64_t find_mark(const struct l4_names *set, uint64_t mark)
{
    uint32_t at = place_of(mark, set->head.names);
    for (uint32_t read = 0; read < set->head.run && at < set->head.places; read++, at++) {
        const uint64_t found = __atomic_load_n(set->places + at, __ATOMIC_RELAXED);
        if ((found & ~(uint64_t)FLAGS) >= mark || !found)
            return (found & ~(uint64_t)FLAGS) == mark ? found : 0;
    }
    return 0;
}

uint32_t l4_names_find(const struct l4_names *set, const char *host, size_t bytes)
{
    uint64_t marks[L4_NAMES_LABELS_MAX];
    uint32_t ends[L4_NAMES_LABELS_MAX], labels = 0, longest = 0;
    struct walk walk = {.name = host, .left = bytes};
    if (!set->head.names || bytes > L4_HOST_MAX)
        return 0;
    do {
        if (!take_label(&walk, &set->head.key))
            return 0;
        marks[labels] = mark_of(&walk);
        ends[labels++] = (uint32_t)(bytes - walk.left);
        /* why: each parent's place is a cache miss, and all of them are waited for at one time. */
        if (labels >= set->head.labels_min)
            __builtin_prefetch(set->places + place_of(marks[labels - 1], set->head.names));
    } while (labels < set->head.labels_max && pass_dot(&walk));
    for (; labels && labels >= set->head.labels_min; labels--) {
        const uint64_t found = find_mark(set, marks[labels - 1]);
        const uint32_t end = ends[labels - 1];
        if (found & L4_NAME_EXCEPT)
            return 0;
        if (found && !longest && (found & L4_NAME_BELOW || end == bytes))
            longest = end;
    }
    return longest;
}

/* ---- making a set ---------------------------------------------------------------------------- */

void l4_names_begin(struct l4_names_draft *draft, const struct l4_hash_key *key)
{
    *draft = (struct l4_names_draft){.key = *key, .labels_min = L4_NAMES_LABELS_MAX};
}

void l4_names_end(struct l4_names_draft *draft)
{
    free(draft->marks);
    *draft = (struct l4_names_draft){0};
}

static int make_room(struct l4_names_draft *draft)
{
    if (draft->count < draft->room)
        return 0;
    if (draft->count >= L4_NAMES_MAX)
        return -E2BIG;
    const size_t room = draft->room ? 2 * draft->room : FIRST_ROOM;
    uint64_t *marks = realloc(draft->marks, room * sizeof *marks);
    if (!marks)
        return -ENOMEM;
    draft->marks = marks;
    draft->room = room;
    return 0;
}

int l4_names_add(struct l4_names_draft *draft, const char *name, size_t bytes, uint32_t flags)
{
    struct walk walk = {.name = name, .left = bytes};
    uint32_t labels = 0;
    if (bytes > L4_HOST_MAX)
        return -EINVAL;
    do {
        if (labels++ == L4_NAMES_LABELS_MAX || !take_label(&walk, &draft->key))
            return -EINVAL;
    } while (pass_dot(&walk));
    const int error = make_room(draft);
    if (error)
        return error;
    draft->marks[draft->count++] = mark_of(&walk) | (flags & FLAGS);
    if (labels < draft->labels_min)
        draft->labels_min = (uint8_t)labels;
    if (labels > draft->labels_max)
        draft->labels_max = (uint8_t)labels;
    return 0;
}

static int by_size(const void *one, const void *other)
{
    const uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* Gives the next mark its place. Returns it; *next is the first one that is free. */
static uint32_t settle(uint64_t mark, uint32_t names, uint32_t *next)
{
    const uint32_t ideal = place_of(mark, names);
    const uint32_t at = ideal > *next ? ideal : *next;
    *next = at + 1;
    return at;
}

/* Calculates the number of places, and how many of them a look-up reads. */
static void measure(const struct l4_names_draft *draft, struct l4_names_head *head)
{
    uint32_t next = 0, run = 0;
    for (size_t i = 0; i < draft->count; i++) {
        const uint32_t at = settle(draft->marks[i], head->names, &next);
        const uint32_t read = at - place_of(draft->marks[i], head->names) + 1;
        run = read > run ? read : run;
    }
    head->places = next > 2 * head->names ? next : 2 * head->names;
    head->run = (uint16_t)(run < UINT16_MAX ? run : UINT16_MAX);
}

static struct l4_names_head head_of(const struct l4_names_draft *draft)
{
    struct l4_names_head head = {
        .format = L4_NAMES_FORMAT,
        .names = (uint32_t)draft->count,
        .labels_min = draft->labels_min,
        .labels_max = draft->labels_max,
        .key = draft->key,
    };
    measure(draft, &head);
    return head;
}

int64_t l4_names_size(struct l4_names_draft *draft)
{
    size_t kept = 0;
    if (draft->count)
        qsort(draft->marks, draft->count, sizeof *draft->marks, by_size);
    for (size_t i = 0; i < draft->count; i++) {
        if (kept && !((draft->marks[kept - 1] ^ draft->marks[i]) & ~(uint64_t)FLAGS))
            draft->marks[kept - 1] |= draft->marks[i];
        else
            draft->marks[kept++] = draft->marks[i];
    }
    draft->count = kept;
    const struct l4_names_head head = head_of(draft);
    if (head.run > L4_NAMES_RUN_MAX)
        return -ENOSPC;
    return (int64_t)(sizeof head + head.places * sizeof(uint64_t));
}

void l4_names_write(const struct l4_names_draft *draft, void *to)
{
    const struct l4_names_head head = head_of(draft);
    uint64_t *places = (uint64_t *)((char *)to + sizeof head);
    uint32_t next = 0;
    memcpy(to, &head, sizeof head);
    memset(places, 0, head.places * sizeof *places);
    for (size_t i = 0; i < draft->count; i++) {
        const uint32_t at = settle(draft->marks[i], head.names, &next);
        L4_ASSERT(at < head.places && (!i || draft->marks[i - 1] < draft->marks[i]));
        places[at] = draft->marks[i];
    }
}
