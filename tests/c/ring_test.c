#include "base/ring.h"

#include "check.h"

#include <errno.h>

static struct fl_ring ring;

static void
push_many(uintptr_t first, uintptr_t last)
{
    for (uintptr_t word = first; word <= last; word++) {
        CHECK(fl_ring_push(&ring, word) == 0);
        CHECK(fl_ring_check(&ring) == 0);
    }
}

static void
pop_many(uintptr_t first, uintptr_t last)
{
    for (uintptr_t word = first; word <= last; word++) {
        CHECK(fl_ring_pop(&ring) == word);
        CHECK(fl_ring_check(&ring) == 0);
    }
}

CASE(capacity_is_rounded_up)
{
    size_t asked[] = {0, 1, 2, 3, 64, 65};
    size_t given[] = {1, 1, 2, 4, 64, 128};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        CHECK(fl_ring_init(&ring, asked[i]) == 0);
        CHECK(ring.mask + 1 == given[i]);
        fl_ring_deinit(&ring);
    }
}

CASE(words_come_out_in_order_while_it_grows)
{
    CHECK(fl_ring_init(&ring, 4) == 0);
    push_many(1, 3);
    pop_many(1, 2);
    push_many(4, 100);
    CHECK(fl_ring_count(&ring) == 98);
    for (size_t i = 0; i < 98; i++) {
        CHECK(fl_ring_peek(&ring, i) == i + 3);
    }
    pop_many(3, 100);
    CHECK(fl_ring_count(&ring) == 0);
    fl_ring_deinit(&ring);
}

CASE(counters_may_wrap)
{
    CHECK(fl_ring_init(&ring, 4) == 0);
    ring.head = ring.tail = SIZE_MAX - 1;
    push_many(1, 4);
    pop_many(1, 1);
    push_many(5, 6); /* grows while the entries lie on both sides of zero */
    CHECK(fl_ring_count(&ring) == 5);
    pop_many(2, 6);
    fl_ring_deinit(&ring);
}

CASE(growing_keeps_the_counters)
{
    CHECK(fl_ring_init(&ring, 2) == 0);
    push_many(1, 2);
    pop_many(1, 1);
    size_t end = ring.tail;
    push_many(3, 9);
    while (ring.head != end) {
        CHECK(fl_ring_pop(&ring) == 2);
    }
    fl_ring_deinit(&ring);
}

CASE(shrinking_keeps_words_and_counters)
{
    CHECK(fl_ring_init(&ring, 4) == 0);
    push_many(1, 30);
    pop_many(1, 25);
    size_t end = ring.tail;
    fl_ring_shrink(&ring, 4); /* five words do not fit */
    CHECK(ring.mask + 1 == 32);
    fault_inject(FAULT_ALLOC, 0, ENOMEM);
    fl_ring_shrink(&ring, 8);
    CHECK(ring.mask + 1 == 32);
    fl_ring_shrink(&ring, 8);
    CHECK(ring.mask + 1 == 8 && ring.tail == end);
    fl_ring_shrink(&ring, 16); /* never grows */
    CHECK(ring.mask + 1 == 8);
    push_many(31, 40);
    pop_many(26, 40);
    fl_ring_deinit(&ring);
}

CASE(init_without_memory)
{
    fault_inject(FAULT_ALLOC, 0, ENOMEM);
    CHECK(fl_ring_init(&ring, 8) == -ENOMEM);
    fl_ring_deinit(&ring);
    CHECK(fl_ring_init(&ring, SIZE_MAX) == -ENOMEM);
    CHECK(fl_ring_init(&ring, SIZE_MAX / 2) == -ENOMEM);
    fl_ring_deinit(&ring);
}

CASE(push_without_memory_changes_nothing)
{
    CHECK(fl_ring_init(&ring, 4) == 0);
    push_many(1, 4);
    fault_inject(FAULT_ALLOC, 0, ENOMEM);
    CHECK(fl_ring_push(&ring, 5) == -ENOMEM);
    CHECK(fl_ring_count(&ring) == 4);
    CHECK(fl_ring_check(&ring) == 0);
    push_many(5, 5);
    pop_many(1, 5);
    fl_ring_deinit(&ring);
}

CASE(a_ring_too_large_to_double_is_refused)
{
    uintptr_t word = 7;
    struct fl_ring huge = {.slots = &word, .mask = SIZE_MAX / 8};
    CHECK(fl_ring_grow(&huge) == -ENOMEM);
    CHECK(huge.slots == &word);
}

static size_t n_told;

static void
count_told(struct fl_ring *of)
{
    CHECK(of == &ring);
    n_told++;
}

CASE(pushes_are_told)
{
    CHECK(fl_ring_init(&ring, 2) == 0);
    fl_ring_tell(&ring, count_told);
    n_told = 0;
    push_many(1, 9); /* it grows, and tells of the next ones still */
    CHECK(n_told == 9);
    CHECK(fl_ring_check(&ring) == 0);
    fl_ring_tell(&ring, NULL);
    push_many(10, 40);
    CHECK(n_told == 9);
    CHECK(fl_ring_check(&ring) == 0);
    pop_many(1, 40);
    fl_ring_deinit(&ring);
}

CASE(deinit_twice)
{
    CHECK(fl_ring_init(&ring, 4) == 0);
    push_many(1, 3);
    fl_ring_deinit(&ring);
    fl_ring_deinit(&ring);
    CHECK(fl_ring_count(&ring) == 0);
    struct fl_ring zeroed = {0};
    fl_ring_deinit(&zeroed);
}

CASE(the_walker_sees_damage)
{
    CHECK(fl_ring_init(&ring, 4) == 0);
    push_many(1, 3);
    ring.tail += 2;
    CHECK(fl_ring_check(&ring) == -EINVAL);
    ring.tail -= 2;
    ring.mask = 4;
    CHECK(fl_ring_check(&ring) == -EINVAL);
    ring.mask = 3;
    CHECK(fl_ring_check(&ring) == 0);
    fl_ring_deinit(&ring);
    CHECK(fl_ring_check(&ring) == -EINVAL);
}
