#include "cache/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FORMAT_VERSION = 1,
    FIRST_READ = 4 << 10,   /* bytes: head and texts of most files */
    BLOCK = 4 << 10,        /* bytes in which room is counted */
    NOTE_USE_EVERY_S = 600, /* how often a file's use is noted */
};

static uint64_t format(void)
{
    return 0x6c346c6264736b00ull ^ (uint64_t)sizeof(struct l4_disk_head) << 48 ^ FORMAT_VERSION;
}

static void note_error(const struct l4_disk *disk, int error)
{
    atomic_store_explicit(&disk->counts->error, (uint32_t)error, memory_order_relaxed);
    atomic_fetch_add_explicit(&disk->counts->errors, 1, memory_order_relaxed);
}

void l4_disk_open_folder(struct l4_disk *disk, int fd, const void *key, uint64_t size,
                         struct l4_disk_counts *counts)
{
    *disk = (struct l4_disk){.fd = fd, .counts = counts, .size = size};
    memcpy(&disk->key, key, sizeof disk->key);
    /* why a fall-back: two files of one number only matter if they have the same name, too. */
    if (getrandom(&disk->serial, sizeof disk->serial, 0) != sizeof disk->serial)
        disk->serial = (uint64_t)time(NULL) << 32 ^ (uint64_t)getpid();
}

/* ---- names ----------------------------------------------------------------------------------- */

void l4_disk_name(const struct l4_disk *disk, struct l4_text key, uint64_t marker,
                  struct l4_text vary, struct l4_disk_name *name)
{
    uint64_t halves[2];
    for (uint64_t i = 0; i < 2; i++) {
        const struct l4_hash_key its = {disk->key.k0 ^ i, disk->key.k1};
        halves[i] = l4_hash(&its, key.at, key.bytes);
        if (marker)
            halves[i] = l4_hash_again(halves[i] ^ l4_hash(&its, vary.at, vary.bytes), marker ^ i);
    }
    name->folder = (uint32_t)(halves[0] >> 56);
    snprintf(name->text, sizeof name->text, "%02x/%014llx%016llx", name->folder,
             (unsigned long long)(halves[0] & 0xffffffffffffffull), (unsigned long long)halves[1]);
}

static void temporary_name(const struct l4_disk_writer *writer, int pid,
                           char to[static L4_DISK_NAME_MAX])
{
    snprintf(to, L4_DISK_NAME_MAX, "%02x/t%d-%016llx", writer->folder % L4_DISK_FOLDERS, pid,
             (unsigned long long)writer->serial);
}

int l4_disk_open_unfinished(const struct l4_disk *disk, const struct l4_disk_writer *writer,
                            int pid)
{
    char text[L4_DISK_NAME_MAX];
    temporary_name(writer, pid, text);
    return openat(disk->fd, text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

bool l4_disk_remove(const struct l4_disk *disk, const struct l4_disk_name *name)
{
    if (!unlinkat(disk->fd, name->text, 0))
        return true;
    if (errno != ENOENT)
        note_error(disk, errno);
    return false;
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t text_bytes(const struct l4_disk_head *head)
{
    return (uint64_t)head->key_bytes + head->vary_bytes + head->tags_bytes + head->head_bytes;
}

struct l4_cached l4_disk_object(const struct l4_disk_head *head)
{
    return (struct l4_cached){
        .pool = head->pool,
        .freshness = head->freshness,
        .status = head->status,
        .key_bytes = head->key_bytes,
        .vary_bytes = head->vary_bytes,
        .tags_bytes = head->tags_bytes,
        .head_bytes = head->head_bytes,
        .body_bytes = head->body_bytes,
    };
}

uint64_t l4_disk_body_at(const struct l4_disk_head *head)
{
    return sizeof *head + text_bytes(head);
}

static uint64_t check_of(const struct l4_disk *disk, const struct l4_disk_head *head,
                         const char *texts)
{
    const char *from = (const char *)&head->serial;
    const uint64_t fixed = l4_hash(&disk->key, from, (size_t)((const char *)(head + 1) - from));
    return l4_hash_again(fixed, l4_hash(&disk->key, texts, text_bytes(head)));
}

/* Reads exactly so many bytes. */
static bool read_all(int fd, void *to, size_t bytes, off_t at)
{
    return pread(fd, to, bytes, at) == (ssize_t)bytes;
}

/* Reads head and texts of an open file. Returns 0, or -errno; -EBADMSG: it is damaged. */
static int read_head(const struct l4_disk *disk, int fd, const struct stat *file,
                     struct l4_disk_head *head, char texts[static L4_DISK_TEXTS_MAX])
{
    char first[FIRST_READ];
    const ssize_t got = S_ISREG(file->st_mode) ? pread(fd, first, sizeof first, 0) : 0;
    if (got < 0)
        return -errno;
    if ((size_t)got < sizeof *head)
        return -EBADMSG;
    memcpy(head, first, sizeof *head);
    const uint64_t bytes = text_bytes(head), behind = (uint64_t)got - sizeof *head;
    const uint64_t here = bytes < behind ? bytes : behind;
    if (head->format != format() || bytes > L4_DISK_TEXTS_MAX || file->st_size < 0 ||
        head->body_bytes > INT64_MAX - L4_DISK_TEXTS_MAX - sizeof *head ||
        (uint64_t)file->st_size != l4_disk_body_at(head) + head->body_bytes)
        return -EBADMSG;
    memcpy(texts, first + sizeof *head, here);
    if (!read_all(fd, texts + here, bytes - here, (off_t)(sizeof *head + here)) ||
        head->check != check_of(disk, head, texts))
        return -EBADMSG;
    return 0;
}

/* Notes that a file is used, for the keeper. */
static void note_use(int fd, const struct stat *file)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    if (time(NULL) - file->st_atime >= NOTE_USE_EVERY_S)
        (void)futimens(fd, times); /* a folder that cannot be written to is read all the same */
}

/* Opens a file and reads its head. Returns the descriptor, or -errno. */
static int open_file(const struct l4_disk *disk, const struct l4_disk_name *name,
                     struct l4_disk_head *head, char texts[static L4_DISK_TEXTS_MAX],
                     struct stat *file)
{
    /* why O_NONBLOCK: something else than a file may have the name. */
    const int fd = openat(disk->fd, name->text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    const int error = fstat(fd, file) ? -errno : read_head(disk, fd, file, head, texts);
    if (!error)
        return fd;
    close(fd);
    return error;
}

int l4_disk_open(const struct l4_disk *disk, const struct l4_disk_name *name,
                 struct l4_disk_head *head, char texts[static L4_DISK_TEXTS_MAX])
{
    struct stat file = {.st_size = 0};
    const int fd = open_file(disk, name, head, texts, &file);
    if (fd >= 0) {
        note_use(fd, &file);
        return fd;
    }
    if (fd != -ENOENT)
        note_error(disk, -fd);
    if (fd == -EBADMSG || fd == -ELOOP) /* ELOOP: a symbolic link */
        (void)l4_disk_remove(disk, name);
    return fd;
}

int l4_disk_peek(const struct l4_disk *disk, const struct l4_disk_name *name,
                 struct l4_disk_head *head, char texts[static L4_DISK_TEXTS_MAX])
{
    struct stat file;
    const int fd = open_file(disk, name, head, texts, &file);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Takes room for so many bytes more. */
static bool take_room(const struct l4_disk *disk, struct l4_disk_writer *writer, uint64_t bytes)
{
    struct l4_disk_counts *counts = disk->counts;
    const uint64_t whole = (writer->at + bytes + BLOCK - 1) / BLOCK * BLOCK;
    const uint64_t more = whole > writer->taken ? whole - writer->taken : 0;
    uint64_t used = atomic_load_explicit(&counts->used, memory_order_relaxed);
    do {
        if (used > disk->size || more > disk->size - used)
            return false;
    } while (more && !atomic_compare_exchange_weak(&counts->used, &used, used + more));
    atomic_fetch_add(&counts->pending[writer->folder], (int64_t)more);
    writer->taken += more;
    return true;
}

static void give_room(const struct l4_disk *disk, const struct l4_disk_writer *writer)
{
    atomic_fetch_sub(&disk->counts->used, writer->taken);
    atomic_fetch_sub(&disk->counts->pending[writer->folder], (int64_t)writer->taken);
}

bool l4_disk_begin(struct l4_disk *disk, const struct l4_disk_name *name,
                   struct l4_disk_writer *writer)
{
    char text[L4_DISK_NAME_MAX];
    *writer = (struct l4_disk_writer){
        .folder = name->folder,
        .serial = l4_hash_again(disk->serial, disk->made++) | 1,
        .at = sizeof(struct l4_disk_head),
    };
    if (!take_room(disk, writer, 0))
        return false;
    temporary_name(writer, getpid(), text);
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    const int fd = openat(disk->fd, text, flags, 0600);
    if (fd < 0) {
        note_error(disk, errno);
        give_room(disk, writer);
        return false;
    }
    writer->fd = fd;
    return true;
}

bool l4_disk_write(const struct l4_disk *disk, struct l4_disk_writer *writer, struct l4_text data)
{
    if (!take_room(disk, writer, data.bytes))
        return false;
    while (data.bytes) {
        const ssize_t written = pwrite(writer->fd, data.at, data.bytes, (off_t)writer->at);
        if (written <= 0) {
            note_error(disk, written ? errno : ENOSPC);
            return false;
        }
        writer->at += (uint64_t)written;
        data = l4_text_after(data, (size_t)written);
    }
    return true;
}

bool l4_disk_end(const struct l4_disk *disk, struct l4_disk_writer *writer,
                 struct l4_disk_head *head, const char *texts, const struct l4_disk_name *name)
{
    char text[L4_DISK_NAME_MAX];
    head->format = format();
    head->serial = writer->serial;
    head->check = check_of(disk, head, texts);
    temporary_name(writer, getpid(), text);
    errno = ENOSPC;
    if (writer->at != l4_disk_body_at(head) + head->body_bytes ||
        pwrite(writer->fd, head, sizeof *head, 0) != (ssize_t)sizeof *head ||
        renameat(disk->fd, text, disk->fd, name->text)) {
        note_error(disk, errno);
        l4_disk_abort(disk, writer);
        return false;
    }
    close(writer->fd);
    *writer = (struct l4_disk_writer){.fd = 0};
    atomic_fetch_add_explicit(&disk->counts->writes, 1, memory_order_relaxed);
    return true;
}

void l4_disk_abort(const struct l4_disk *disk, struct l4_disk_writer *writer)
{
    char text[L4_DISK_NAME_MAX];
    if (!writer->fd)
        return;
    temporary_name(writer, getpid(), text);
    close(writer->fd);
    (void)unlinkat(disk->fd, text, 0);
    give_room(disk, writer);
    *writer = (struct l4_disk_writer){.fd = 0};
}
