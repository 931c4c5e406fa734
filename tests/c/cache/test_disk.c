/* Objects in files: what is read is what was written, whole; what was damaged is no object; all
 * writers together keep to the size. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/disk.h"
#include "check.h"

enum { SIZE = 64 << 20, BLOCK = 4096 };

static const char secret[L4_DISK_KEY_BYTES] = "0123456789abcde";
static struct l4_disk_counts counts;
static char folder[] = "/tmp/l4lb-disk-XXXXXX";

static void remove_all(int fd)
{
    DIR *dir = fdopendir(dup(fd));
    CHECK(dir);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] != '.' && unlinkat(fd, entry->d_name, 0))
            (void)unlinkat(fd, entry->d_name, AT_REMOVEDIR);
    }
    if (dir)
        closedir(dir);
}

/* Makes the folder, or empties it. */
static void begin(struct l4_disk *disk, uint64_t size)
{
    static int fd;
    memset(&counts, 0, sizeof counts);
    CHECK(fd || mkdtemp(folder));
    fd = fd ? fd : open(folder, O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < L4_DISK_FOLDERS; i++) {
        char name[4];
        snprintf(name, sizeof name, "%02x", i);
        (void)mkdirat(fd, name, 0700);
        const int one = openat(fd, name, O_RDONLY | O_DIRECTORY);
        remove_all(one);
        close(one);
    }
    l4_disk_open_folder(disk, fd, secret, size, &counts);
}

static void end(const struct l4_disk *disk)
{
    for (unsigned i = 0; i < L4_DISK_FOLDERS; i++) {
        char name[4];
        snprintf(name, sizeof name, "%02x", i);
        const int one = openat(disk->fd, name, O_RDONLY | O_DIRECTORY);
        remove_all(one);
        close(one);
        (void)unlinkat(disk->fd, name, AT_REMOVEDIR);
    }
    CHECK(!rmdir(folder));
}

static struct l4_text text_of(const char *text)
{
    return (struct l4_text){text, strlen(text)};
}

static void name_of(const struct l4_disk *disk, const char *key, struct l4_disk_name *name)
{
    l4_disk_name(disk, text_of(key), 0, text_of(""), name);
}

/* Writes an object with a body of so many bytes, which tell their places. */
static bool write_one(struct l4_disk *disk, const char *key, size_t bytes, uint64_t *serial)
{
    static _Thread_local char body[3 << 20];
    struct l4_disk_name name;
    struct l4_disk_writer writer;
    struct l4_disk_head head = {.status = 200,
                                .stamp = 5,
                                .pool = 7,
                                .key_bytes = (uint16_t)strlen(key),
                                .head_bytes = 8,
                                .body_bytes = bytes};
    char texts[256];
    snprintf(texts, sizeof texts, "%sETag: x\n", key);
    for (size_t i = 0; i < bytes; i++)
        body[i] = (char)(i * 7 / 3);
    name_of(disk, key, &name);
    if (!l4_disk_begin(disk, &name, &writer))
        return false;
    if (!l4_disk_write(disk, &writer, text_of(texts)) ||
        !l4_disk_write(disk, &writer, (struct l4_text){body, bytes / 2}) ||
        !l4_disk_write(disk, &writer, (struct l4_text){body + bytes / 2, bytes - bytes / 2})) {
        l4_disk_abort(disk, &writer);
        return false;
    }
    const bool ended = l4_disk_end(disk, &writer, &head, texts, &name);
    *serial = head.serial;
    return ended;
}

/* Reads an object. Returns the length of its body; below 0: there is none. */
static long long read_one(const struct l4_disk *disk, const char *key, struct l4_disk_head *head)
{
    static char texts[L4_DISK_TEXTS_MAX], body[3 << 20];
    struct l4_disk_name name;
    name_of(disk, key, &name);
    const int fd = l4_disk_open(disk, &name, head, texts);
    if (fd < 0)
        return fd;
    CHECK(l4_text_is((struct l4_text){texts, head->key_bytes}, text_of(key)));
    const ssize_t got = pread(fd, body, sizeof body, (off_t)l4_disk_body_at(head));
    CHECK_EQ(head->body_bytes, got);
    for (ssize_t i = 0; i < got; i++)
        CHECK_EQ((char)(i * 7 / 3), body[i]);
    close(fd);
    return got;
}

/* Returns the bytes of all files of the folder. */
static uint64_t bytes_there(const struct l4_disk *disk, unsigned *files)
{
    uint64_t sum = 0;
    *files = 0;
    for (unsigned i = 0; i < L4_DISK_FOLDERS; i++) {
        char name[4];
        snprintf(name, sizeof name, "%02x", i);
        const int fd = openat(disk->fd, name, O_RDONLY | O_DIRECTORY);
        DIR *dir = fdopendir(fd);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
            struct stat file;
            if (entry->d_name[0] == '.' || fstatat(fd, entry->d_name, &file, 0))
                continue;
            sum += (uint64_t)file.st_size;
            (*files)++;
        }
        closedir(dir);
    }
    return sum;
}

TEST(what_is_read_is_what_was_written)
{
    static const size_t sizes[] = {0, 1, 3000, 4096, 70000, 3 << 20};
    struct l4_disk disk;
    struct l4_disk_head head;
    uint64_t serial, before = 0;
    begin(&disk, SIZE);
    CHECK_EQ(-ENOENT, read_one(&disk, "http://a/", &head));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(write_one(&disk, "http://a/", sizes[i], &serial)); /* in place of the one before */
        CHECK_EQ(sizes[i], read_one(&disk, "http://a/", &head));
        CHECK(head.serial == serial && head.status == 200 && head.stamp == 5 && head.pool == 7);
        CHECK(serial != before);
        before = serial;
    }
    CHECK_EQ(6, atomic_load(&counts.writes));
    CHECK_EQ(0, atomic_load(&counts.errors));
}

TEST(names_of_other_keys_variants_and_folders_differ)
{
    struct l4_disk disk;
    struct l4_disk_name names[5];
    begin(&disk, SIZE);
    l4_disk_name(&disk, text_of("a"), 0, text_of(""), &names[0]);
    l4_disk_name(&disk, text_of("b"), 0, text_of(""), &names[1]);
    l4_disk_name(&disk, text_of("a"), 1, text_of("x:1\n"), &names[2]);
    l4_disk_name(&disk, text_of("a"), 1, text_of("x:2\n"), &names[3]);
    l4_disk_name(&disk, text_of("a"), 2, text_of("x:1\n"), &names[4]);
    for (size_t i = 0; i < 5; i++) {
        CHECK_EQ(33, strlen(names[i].text));
        CHECK_EQ(names[i].folder, strtoul(names[i].text, NULL, 16));
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(names[i].text, names[k].text) != 0);
    }
    disk.key.k1 ^= 1;
    l4_disk_name(&disk, text_of("a"), 0, text_of(""), &names[1]);
    CHECK(strcmp(names[0].text, names[1].text) != 0);
}

TEST(a_head_with_any_byte_changed_is_no_object)
{
    struct l4_disk disk;
    struct l4_disk_head head;
    struct l4_disk_name name;
    uint64_t serial;
    begin(&disk, SIZE);
    name_of(&disk, "http://a/", &name);
    const size_t bytes = sizeof head + strlen("http://a/") + 8;
    for (size_t at = 0; at < bytes; at++) {
        char one;
        CHECK(write_one(&disk, "http://a/", 100, &serial));
        const int fd = openat(disk.fd, name.text, O_RDWR);
        CHECK_EQ(1, pread(fd, &one, 1, (off_t)at));
        one ^= 0x10;
        CHECK_EQ(1, pwrite(fd, &one, 1, (off_t)at));
        close(fd);
        CHECK_EQ(-EBADMSG, read_one(&disk, "http://a/", &head));
        CHECK_EQ(-ENOENT, read_one(&disk, "http://a/", &head)); /* it was removed */
    }
    CHECK_EQ(bytes, atomic_load(&counts.errors));
}

TEST(a_file_of_another_length_is_no_object)
{
    struct l4_disk disk;
    struct l4_disk_head head;
    struct l4_disk_name name;
    uint64_t serial;
    begin(&disk, SIZE);
    name_of(&disk, "http://a/", &name);
    for (off_t length = 0; length < 700; length++) {
        CHECK(write_one(&disk, "http://a/", 500, &serial));
        const int fd = openat(disk.fd, name.text, O_RDWR);
        struct stat file;
        CHECK(!fstat(fd, &file) && !ftruncate(fd, length));
        close(fd);
        CHECK_EQ(length == file.st_size ? 500 : -EBADMSG, read_one(&disk, "http://a/", &head));
    }
}

TEST(what_is_no_file_is_no_object_and_holds_nobody_up)
{
    struct l4_disk disk;
    struct l4_disk_head head;
    struct l4_disk_name name;
    begin(&disk, SIZE);
    name_of(&disk, "http://a/", &name);
    CHECK(!mkdirat(disk.fd, name.text, 0700));
    CHECK(read_one(&disk, "http://a/", &head) < 0);
    CHECK(!unlinkat(disk.fd, name.text, AT_REMOVEDIR));
    CHECK(!mkfifoat(disk.fd, name.text, 0600));
    CHECK(read_one(&disk, "http://a/", &head) < 0);
    CHECK_EQ(-ENOENT, read_one(&disk, "http://a/", &head));
    CHECK(!symlinkat("/etc/passwd", disk.fd, name.text));
    CHECK(read_one(&disk, "http://a/", &head) < 0);
    CHECK_EQ(-ENOENT, read_one(&disk, "http://a/", &head));
}

TEST(who_reads_goes_on_when_the_file_is_replaced)
{
    struct l4_disk disk;
    struct l4_disk_head head;
    struct l4_disk_name name;
    static char texts[L4_DISK_TEXTS_MAX];
    uint64_t serial;
    char byte;
    begin(&disk, SIZE);
    name_of(&disk, "http://a/", &name);
    CHECK(write_one(&disk, "http://a/", 5000, &serial));
    const int fd = l4_disk_open(&disk, &name, &head, texts);
    CHECK(write_one(&disk, "http://a/", 10, &serial));
    CHECK(l4_disk_remove(&disk, &name));
    CHECK(!l4_disk_remove(&disk, &name));
    CHECK_EQ(1, pread(fd, &byte, 1, (off_t)(l4_disk_body_at(&head) + 4999)));
    CHECK_EQ((char)(4999 * 7 / 3), byte);
    close(fd);
}

/* ---- room ------------------------------------------------------------------------------------ */

TEST(nothing_is_written_before_the_keeper_has_counted)
{
    struct l4_disk disk;
    uint64_t serial;
    begin(&disk, SIZE);
    atomic_store(&counts.used, UINT64_MAX);
    CHECK(!write_one(&disk, "http://a/", 10, &serial));
    atomic_store(&counts.used, 0);
    CHECK(write_one(&disk, "http://a/", 10, &serial));
    CHECK_EQ(BLOCK, atomic_load(&counts.used));
}

TEST(what_is_given_up_gives_its_room_back)
{
    struct l4_disk disk;
    struct l4_disk_name name;
    struct l4_disk_writer writer;
    static char body[10000];
    unsigned files;
    begin(&disk, SIZE);
    name_of(&disk, "http://a/", &name);
    CHECK(l4_disk_begin(&disk, &name, &writer));
    CHECK(l4_disk_write(&disk, &writer, (struct l4_text){body, sizeof body}));
    CHECK_EQ(3 * BLOCK, atomic_load(&counts.used));
    CHECK_EQ(3 * BLOCK, atomic_load(&counts.pending[name.folder]));
    l4_disk_abort(&disk, &writer);
    l4_disk_abort(&disk, &writer); /* it is gone already */
    CHECK_EQ(0, atomic_load(&counts.used));
    CHECK_EQ(0, atomic_load(&counts.pending[name.folder]));
    bytes_there(&disk, &files);
    CHECK_EQ(0, files);
}

enum { WRITERS = 4, EACH = 200, FULL = 4 << 20 };

static void *write_many(void *context)
{
    struct l4_disk disk = *(const struct l4_disk *)context;
    uint64_t serial;
    disk.serial = (uint64_t)(uintptr_t)&disk; /* as if it were a process of its own */
    for (unsigned i = 0; i < EACH; i++) {
        char key[40];
        snprintf(key, sizeof key, "%p %u", (void *)&disk, i);
        (void)write_one(&disk, key, 1000 + i * 97 % 20000, &serial);
    }
    return NULL;
}

TEST(all_writers_together_keep_to_the_size)
{
    struct l4_disk disk;
    pthread_t threads[WRITERS];
    unsigned files;
    begin(&disk, FULL);
    for (int i = 0; i < WRITERS; i++)
        CHECK(!pthread_create(&threads[i], NULL, write_many, &disk));
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    const uint64_t there = bytes_there(&disk, &files);
    CHECK(there <= FULL && there > FULL / 2);
    CHECK_EQ(files, atomic_load(&counts.writes));
    int64_t pending = 0;
    for (unsigned i = 0; i < L4_DISK_FOLDERS; i++)
        pending += atomic_load(&counts.pending[i]);
    CHECK_EQ(pending, atomic_load(&counts.used));
    CHECK(atomic_load(&counts.used) >= there && atomic_load(&counts.used) <= FULL);
    CHECK_EQ(0, atomic_load(&counts.errors));
    end(&disk);
}

/* clang-format off */
MAIN(RUN(what_is_read_is_what_was_written); RUN(names_of_other_keys_variants_and_folders_differ);
     RUN(a_head_with_any_byte_changed_is_no_object); RUN(a_file_of_another_length_is_no_object);
     RUN(what_is_no_file_is_no_object_and_holds_nobody_up);
     RUN(who_reads_goes_on_when_the_file_is_replaced);
     RUN(nothing_is_written_before_the_keeper_has_counted);
     RUN(what_is_given_up_gives_its_room_back); RUN(all_writers_together_keep_to_the_size))
