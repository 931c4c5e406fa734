/* Pieces for the recorder: whole and in order, never waiting, and nothing believed that is none. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "process.h"
#include "shm/record.h"

enum { ROUNDS = 20000 };

static char room[L4_RECORD_PIECE_MAX];

static struct l4_records *make(void)
{
    struct l4_records *records = mmap(NULL, sizeof *records, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(records != MAP_FAILED);
    return records;
}

static void drop(struct l4_records *records)
{
    munmap(records, sizeof *records);
}

/* What the piece of this number has: its length and its bytes follow from the number. */
static size_t bytes_of(uint64_t number)
{
    return (size_t)(number * 2654435761u % 9973);
}

static bool put(struct l4_record_ring *ring, uint64_t number, uint8_t kind)
{
    char data[9973];
    const size_t bytes = bytes_of(number), half = bytes / 2;
    memset(data, (int)(number & 0xff), bytes);
    const struct l4_text texts[] = {{data, half}, {NULL, 0}, {data + half, bytes - half}};
    const struct l4_record_piece piece = {
        .kind = kind, .bytes = (uint32_t)bytes, .number = number, .slot = (uint32_t)number};
    return l4_record_put(ring, &piece, texts, 3);
}

static bool is_whole(const struct l4_record_piece *piece)
{
    for (size_t i = 0; i < piece->bytes; i++) {
        if (room[i] != (char)(piece->number & 0xff))
            return false;
    }
    return piece->bytes == bytes_of(piece->number);
}

TEST(pieces_come_out_as_they_went_in_around_the_end_of_the_ring)
{
    struct l4_records *records = make();
    struct l4_record_ring *ring = &records->rings[1];
    struct l4_record_piece piece;
    uint64_t position = l4_record_first(ring);
    for (uint64_t number = 0; number < 4000; number++) {
        CHECK(put(ring, number, L4_RECORD_BODY));
        CHECK(l4_record_take(ring, &position, &piece, room));
        CHECK_EQ(number, piece.number);
        CHECK(is_whole(&piece));
        CHECK(!l4_record_take(ring, &position, &piece, room));
        l4_record_release(ring, position);
    }
    CHECK(position > 4 * (uint64_t)L4_RECORD_RING_BYTES);
    drop(records);
}

TEST(a_full_ring_refuses_and_only_ends_may_use_the_rest)
{
    struct l4_records *records = make();
    struct l4_record_ring *ring = &records->rings[0];
    struct l4_record_piece piece;
    uint64_t position = l4_record_first(ring), in = 0, ends = 0, out = 0;
    while (put(ring, in, L4_RECORD_BODY))
        in++;
    CHECK(L4_RECORD_RING_BYTES - atomic_load(&ring->head) >= L4_RECORD_RESERVE);
    while (put(ring, in + ends, L4_RECORD_END))
        ends++;
    CHECK(ends > 0);
    CHECK(atomic_load(&ring->head) <= L4_RECORD_RING_BYTES);
    for (; l4_record_take(ring, &position, &piece, room); out++)
        CHECK(piece.number == out && is_whole(&piece));
    CHECK_EQ(in + ends, out);
    CHECK(!put(ring, 7, L4_RECORD_BODY)); /* not released yet */
    l4_record_release(ring, position);
    CHECK(put(ring, 7, L4_RECORD_BODY));
    drop(records);
}

TEST(a_piece_that_is_too_long_is_refused)
{
    struct l4_records *records = make();
    static char data[L4_RECORD_PIECE_MAX + 1];
    struct l4_text text = {data, sizeof data};
    struct l4_record_piece piece = {.kind = L4_RECORD_BODY, .bytes = sizeof data};
    CHECK(!l4_record_put(&records->rings[0], &piece, &text, 1));
    piece.bytes = (uint32_t)--text.bytes;
    CHECK(l4_record_put(&records->rings[0], &piece, &text, 1));
    drop(records);
}

TEST(what_is_no_piece_is_skipped_whatever_the_writer_says)
{
    struct l4_records *records = make();
    struct l4_record_ring *ring = &records->rings[0];
    struct l4_record_piece piece;
    unsigned seed = 1;
    for (int round = 0; round < 3000; round++) {
        uint64_t position = l4_record_first(ring);
        for (size_t i = 0; i < 4096; i++)
            ring->bytes[(position + i) % L4_RECORD_RING_BYTES] = (char)rand_r(&seed);
        const uint64_t ahead = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 33);
        atomic_store(&ring->head, position + ahead);
        int taken = 0;
        while (l4_record_take(ring, &position, &piece, room)) {
            CHECK(piece.bytes <= L4_RECORD_PIECE_MAX);
            CHECK(++taken < L4_RECORD_RING_BYTES);
        }
        CHECK_EQ(atomic_load(&ring->head), position);
        l4_record_release(ring, position);
        CHECK(put(ring, 5, L4_RECORD_BODY)); /* the next one is found again */
        CHECK(l4_record_take(ring, &position, &piece, room) && is_whole(&piece));
        l4_record_release(ring, position);
    }
    drop(records);
}

static void *write_all(void *of)
{
    struct l4_record_ring *ring = of;
    for (uint64_t number = 0; number < ROUNDS;) {
        if (put(ring, number, number % 3 ? L4_RECORD_BODY : L4_RECORD_END))
            number++;
        else
            sched_yield();
    }
    return NULL;
}

TEST(a_reader_beside_the_writer_sees_every_piece_whole_and_in_order)
{
    struct l4_records *records = make();
    struct l4_record_ring *ring = &records->rings[3];
    struct l4_record_piece piece;
    uint64_t position = l4_record_first(ring), next = 0;
    pthread_t writer;
    CHECK(!pthread_create(&writer, NULL, write_all, ring));
    while (next < ROUNDS) {
        if (!l4_record_take(ring, &position, &piece, room)) {
            sched_yield();
            continue;
        }
        CHECK(piece.number == next && is_whole(&piece));
        next++;
        l4_record_release(ring, position);
    }
    pthread_join(writer, NULL);
    drop(records);
}

TEST(a_writer_that_is_killed_leaves_whole_pieces_only)
{
    struct l4_records *records = make();
    struct l4_record_ring *ring = &records->rings[0];
    for (int round = 0; round < 60; round++) {
        struct l4_record_piece piece;
        uint64_t position = l4_record_first(ring), next = 0;
        const pid_t pid = fork_tied();
        if (pid == 0) {
            write_all(ring);
            _exit(0);
        }
        while (next < (uint64_t)(10 + round)) {
            if (!l4_record_take(ring, &position, &piece, room)) {
                sched_yield();
                continue;
            }
            CHECK(piece.number == next && is_whole(&piece));
            next++;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        for (; l4_record_take(ring, &position, &piece, room); next++)
            CHECK(piece.number == next && is_whole(&piece));
        l4_record_release(ring, position);
    }
    drop(records);
}

MAIN(RUN(pieces_come_out_as_they_went_in_around_the_end_of_the_ring);
     RUN(a_full_ring_refuses_and_only_ends_may_use_the_rest);
     RUN(a_piece_that_is_too_long_is_refused);
     RUN(what_is_no_piece_is_skipped_whatever_the_writer_says);
     RUN(a_reader_beside_the_writer_sees_every_piece_whole_and_in_order);
     RUN(a_writer_that_is_killed_leaves_whole_pieces_only))
