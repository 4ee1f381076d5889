#include "base/timers.h"

#include "check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define NOW 1000.0
#define MANY 200 /* more than fl_timers_next looks at one by one */

static struct fl_timers timers;
static struct fl_timer pool[10000];

static void
add(size_t i, double when_s)
{
    CHECK(fl_timers_add(&timers, &pool[i], when_s) == 0);
    CHECK(fl_timers_check(&timers) == 0);
}

static void
check_due(double end_s, size_t i)
{
    CHECK(fl_timers_pop_due(&timers, end_s) == &pool[i]);
    CHECK(pool[i].where == FL_TIMER_OUT);
    CHECK(fl_timers_check(&timers) == 0);
}

static void
check_none_due(double end_s)
{
    CHECK(fl_timers_pop_due(&timers, end_s) == NULL);
    CHECK(fl_timers_check(&timers) == 0);
}

static void
check_next(double when_s)
{
    CHECK(fl_timers_bound(&timers) <= when_s);
    CHECK(fl_timers_floor(&timers) <= when_s);
    CHECK(fl_timers_next(&timers) == when_s);
    CHECK(fl_timers_bound(&timers) <= when_s);
    CHECK(fl_timers_floor(&timers) <= when_s);
    CHECK(fl_timers_check(&timers) == 0);
}

CASE(an_empty_store)
{
    fl_timers_init(&timers, NOW);
    CHECK(fl_timers_check(&timers) == 0);
    check_none_due(INFINITY);
    check_none_due(NAN);
    check_next(INFINITY);
    CHECK(fl_timers_bound(&timers) == INFINITY);
    CHECK(fl_timers_any(&timers) == NULL);
    fl_timers_deinit(&timers);
}

CASE(earliest_first_from_every_store)
{
    fl_timers_init(&timers, NOW);
    add(0, NOW + 5000);
    add(1, NOW + 10.5);
    add(2, NOW + 0.5);
    add(3, NOW + 10.25);
    add(4, NOW - 1);
    CHECK(pool[0].where == FL_TIMER_IN_OVERFLOW);
    CHECK(pool[1].where == FL_TIMER_IN_BUCKET);
    CHECK(pool[2].where == FL_TIMER_IN_HEAP);
    check_due(NOW, 4);
    check_none_due(NOW + 0.5); /* due is what lies before the end */
    check_due(NOW + 0.6, 2);
    check_none_due(NOW + 10.25);
    check_due(NOW + 11, 3);
    check_due(NOW + 11, 1);
    check_none_due(NOW + 11);
    check_due(INFINITY, 0);
    fl_timers_deinit(&timers);
}

CASE(equal_deadlines_fire_in_the_order_added)
{
    double deadlines[] = {NOW, NOW + 0.25, NOW + 7, NOW + 300, 0.0};
    for (size_t d = 0; d < sizeof(deadlines) / sizeof(deadlines[0]); d++) {
        fl_timers_init(&timers, NOW);
        for (size_t i = 0; i < MANY; i++) {
            add(i, i % 2 == 0 ? deadlines[d] : deadlines[d] + 0.0);
        }
        for (size_t i = 0; i < MANY; i++) {
            check_due(NOW + 301, i);
        }
        fl_timers_deinit(&timers);
    }
}

CASE(equal_deadlines_keep_their_order_across_the_stores)
{
    double when_s = NOW + 400;
    fl_timers_init(&timers, NOW);
    add(0, when_s);
    CHECK(pool[0].where == FL_TIMER_IN_OVERFLOW);
    add(9, NOW + 200.5);
    check_due(NOW + 200.75, 9);
    add(1, when_s);
    CHECK(pool[1].where == FL_TIMER_IN_BUCKET);
    check_none_due(when_s);
    add(2, when_s);
    CHECK(pool[2].where == FL_TIMER_IN_HEAP);
    for (size_t i = 0; i < 3; i++) {
        check_due(when_s + 1, i);
    }
    fl_timers_deinit(&timers);
}

CASE(minus_zero_is_zero)
{
    fl_timers_init(&timers, -5);
    add(0, 0.0);
    add(1, -0.0);
    check_due(1, 0);
    check_due(1, 1);
    fl_timers_deinit(&timers);
}

CASE(nan_is_due_and_infinity_never)
{
    fl_timers_init(&timers, NOW);
    add(0, INFINITY);
    add(1, NOW - 1e9);
    add(2, NAN);
    add(3, -INFINITY);
    CHECK(isnan(pool[2].when_s));
    check_next(-INFINITY);
    check_due(NOW, 2);
    check_due(NOW, 3);
    check_due(NOW, 1);
    check_none_due(NOW + 1e18);
    check_none_due(INFINITY);
    check_next(INFINITY);
    check_due(NAN, 0); /* asyncio takes what is not at or after NaN: all */
    fl_timers_deinit(&timers);
}

CASE(huge_deadlines_stay_exact)
{
    double two53 = 9007199254740992.0;
    fl_timers_init(&timers, NOW);
    add(0, 1e300);
    add(1, two53 + 4);
    add(2, two53 + 2);
    add(3, two53 - 1);
    add(4, -1e300);
    check_due(NOW, 4);
    check_next(two53 - 1);
    check_none_due(two53 - 1);
    check_due(two53, 3);
    check_none_due(two53 + 2);
    check_due(two53 + 4, 2);
    check_none_due(two53 + 4);
    check_due(1e300, 1);
    check_none_due(1e300);
    check_due(INFINITY, 0);
    fl_timers_deinit(&timers);
}

CASE(a_clock_in_nanoseconds)
{
    double now = 1.7e18;
    fl_timers_init(&timers, now);
    add(0, now + 5e9);
    add(1, now + 1e9);
    add(2, now + 1e9);
    check_none_due(now);
    check_next(now + 1e9);
    check_due(now + 2e9, 1);
    check_due(now + 2e9, 2);
    check_none_due(now + 5e9);
    check_due(now + 6e9, 0);
    fl_timers_deinit(&timers);
}

CASE(negative_seconds)
{
    fl_timers_init(&timers, -100.5);
    add(0, -90.25);
    add(1, -100.25);
    add(2, -90.75);
    add(3, 0.5);
    CHECK(pool[0].where == FL_TIMER_IN_BUCKET);
    check_due(-100, 1);
    check_next(-90.75);
    check_none_due(-90.75);
    check_due(-90, 2);
    check_due(-90, 0);
    check_none_due(0.5);
    check_due(1, 3);
    fl_timers_deinit(&timers);
}

CASE(a_clock_that_is_set_back)
{
    fl_timers_init(&timers, NOW);
    add(0, NOW + 50);
    check_none_due(NOW + 20);
    check_none_due(NOW - 500); /* behind the border */
    add(1, NOW - 480);
    add(2, NOW + 50);
    check_next(NOW - 480);
    check_due(NOW - 400, 1);
    check_due(NOW + 51, 0);
    check_due(NOW + 51, 2);
    add(3, NOW - 700);
    check_none_due(NOW - 800);
    fl_timers_remove(&timers, &pool[3]);
    add(4, INFINITY);
    check_none_due(NOW - 800); /* nothing near: the border follows */
    add(5, NOW - 790);
    CHECK(pool[5].where == FL_TIMER_IN_BUCKET);
    check_due(NOW, 5);
    fl_timers_deinit(&timers);
}

CASE(a_clock_that_leaps_ahead)
{
    fl_timers_init(&timers, NOW);
    for (size_t i = 0; i < 1000; i++) {
        add(i, NOW + (double)((i * 7919) % 1000));
    }
    check_none_due(NOW - 1);
    double last_s = 0;
    for (size_t i = 0; i < 600; i++) {
        struct fl_timer *timer = fl_timers_pop_due(&timers, NOW + 599.5);
        CHECK(timer != NULL && timer->when_s >= last_s);
        last_s = timer->when_s;
    }
    check_none_due(NOW + 599.5);
    CHECK(timers.count == 400);
    check_next(NOW + 600);
    fl_timers_deinit(&timers);
}

CASE(removing_from_every_store)
{
    double deadlines[] = {NOW - 1, NOW + 0.5, NOW + 9, NOW + 9, NOW + 999, NAN};
    size_t n = sizeof(deadlines) / sizeof(deadlines[0]);
    for (size_t victim = 0; victim < n; victim++) {
        fl_timers_init(&timers, NOW);
        for (size_t i = 0; i < n; i++) {
            add(i, deadlines[i]);
        }
        for (size_t i = 0; i < n; i++) {
            size_t k = (victim + i) % n;
            fl_timers_remove(&timers, &pool[k]);
            fl_timers_remove(&timers, &pool[k]); /* is out: stays out */
            CHECK(pool[k].where == FL_TIMER_OUT);
            CHECK(timers.count == n - 1 - i);
            CHECK(fl_timers_check(&timers) == 0);
        }
        CHECK(fl_timers_bound(&timers) == INFINITY);
        fl_timers_deinit(&timers);
    }
}

CASE(a_removal_may_lift_a_timer_of_another_branch)
{
    double deadlines[] = {0, 50, 1, 2, 3, 51, 52, 53, 54, 10};
    size_t n = sizeof(deadlines) / sizeof(deadlines[0]);
    fl_timers_init(&timers, NOW);
    for (size_t i = 0; i < n; i++) {
        add(i, deadlines[i]);
    }
    CHECK(pool[5].heap_index == 5 && pool[9].heap_index == 9);
    fl_timers_remove(&timers, &pool[5]); /* 10 comes under 50 and must rise */
    CHECK(pool[9].heap_index == 1);
    CHECK(fl_timers_check(&timers) == 0);
    size_t order[] = {0, 2, 3, 4, 9, 1, 6, 7, 8};
    for (size_t i = 0; i < n - 1; i++) {
        check_due(NOW, order[i]);
    }
    fl_timers_deinit(&timers);
}

CASE(a_zeroed_timer_is_out)
{
    struct fl_timer zeroed = {0};
    fl_timers_init(&timers, NOW);
    fl_timers_remove(&timers, &zeroed);
    CHECK(timers.count == 0);
    fl_timers_deinit(&timers);
}

CASE(a_cancelled_timeout_never_enters_the_heap)
{
    fl_timers_init(&timers, NOW);
    double now_s = NOW;
    for (size_t i = 0; i < 2000; i++, now_s += 0.05) {
        fl_timers_remove(&timers, &pool[i % 50]);
        add(i % 50, now_s + 30);
        check_none_due(now_s);
        CHECK(timers.heap.count == 0);
    }
    fl_timers_deinit(&timers);
}

CASE(next_leaves_a_few_timers_where_they_are)
{
    fl_timers_init(&timers, NOW);
    add(0, NOW + 30.75);
    add(1, NOW + 30.25);
    add(2, NOW + 3600);
    add(3, INFINITY);
    check_next(NOW + 30.25);
    CHECK(timers.heap.count == 0);
    add(4, NOW + 5);
    CHECK(pool[4].where == FL_TIMER_IN_BUCKET);
    fl_timers_remove(&timers, &pool[4]);
    fl_timers_remove(&timers, &pool[1]);
    check_next(NOW + 30.75);
    fl_timers_remove(&timers, &pool[0]);
    check_next(NOW + 3600);
    add(5, NOW + 5);
    CHECK(pool[5].where == FL_TIMER_IN_BUCKET);
    fl_timers_remove(&timers, &pool[5]);
    fl_timers_remove(&timers, &pool[2]);
    check_next(INFINITY);
    for (size_t i = 10; i < 30; i++) {
        add(i, NOW + 40 + (double)i / 100);
    }
    check_next(NOW + 40.1);
    CHECK(timers.heap.count == 0);
    fl_timers_deinit(&timers);
}

/* The sleep that follows next ends at a deadline, however many timers wait and
 * whichever were taken out: a lower bound would wake an idle loop for nothing. */
CASE(next_is_exact_among_many)
{
    double spans_s[] = {0, 1.0 / MANY, 1, 7, 100};
    double starts_s[] = {0.25, 50, 255, 256, 257, 500, 1e6, 1e15, 1e16};
    for (size_t s = 0; s < sizeof(spans_s) / sizeof(spans_s[0]); s++) {
        for (size_t t = 0; t < sizeof(starts_s) / sizeof(starts_s[0]); t++) {
            fl_timers_init(&timers, NOW);
            for (size_t i = 0; i < MANY; i++) {
                add(i, NOW + starts_s[t] + spans_s[s] * (double)i);
            }
            for (size_t i = 0; i < MANY; i++) {
                check_next(pool[i].when_s);
                check_none_due(NOW);
                fl_timers_remove(&timers, &pool[i]);
            }
            check_next(INFINITY);
            fl_timers_deinit(&timers);
        }
    }
}

CASE(the_border_comes_back_after_a_long_look_ahead)
{
    fl_timers_init(&timers, NOW);
    for (size_t i = 0; i < MANY; i++) {
        add(i, NOW + 5000);
    }
    check_next(NOW + 5000);
    add(MANY, NOW + 30);
    CHECK(pool[MANY].where == FL_TIMER_IN_HEAP);
    check_due(NOW + 31, MANY);
    for (size_t i = 0; i < MANY; i++) {
        fl_timers_remove(&timers, &pool[i]);
    }
    add(0, INFINITY);
    check_none_due(NOW + 40);
    add(1, NOW + 45);
    CHECK(pool[1].where == FL_TIMER_IN_BUCKET);
    fl_timers_deinit(&timers);
}

CASE(the_overflow_is_looked_at_only_when_it_could_be_next)
{
    fl_timers_init(&timers, NOW);
    add(0, NOW + 300);
    add(1, NOW + 310);
    add(2, NOW + 100.5);
    check_none_due(NOW + 100);
    CHECK(pool[0].where == FL_TIMER_IN_OVERFLOW);
    check_due(NOW + 101, 2);
    add(3, NOW + 310.5); /* the same second as the second in the overflow */
    CHECK(pool[3].where == FL_TIMER_IN_BUCKET);
    check_next(NOW + 300);
    check_due(NOW + 301, 0);
    check_due(NOW + 400, 1);
    check_due(NOW + 400, 3);
    fl_timers_deinit(&timers);
}

CASE(next_compares_a_bucket_with_the_overflow_of_its_second)
{
    fl_timers_init(&timers, NOW);
    add(0, NOW + 300.25);
    add(1, NOW + 100);
    check_due(NOW + 100.5, 1);
    add(2, NOW + 300.5);
    CHECK(pool[0].where == FL_TIMER_IN_OVERFLOW);
    CHECK(pool[2].where == FL_TIMER_IN_BUCKET);
    check_next(NOW + 300.25);
    fl_timers_deinit(&timers);
}

CASE(adding_without_memory_leaves_it_out)
{
    fl_timers_init(&timers, NOW);
    size_t n_in = 0;
    int n_refused = 0;
    while (n_in < 1000) {
        struct fl_timer *timer = &pool[n_in];
        fault_inject(FAULT_ALLOC, 0, ENOMEM);
        int err = fl_timers_add(&timers, timer, NOW + (double)(n_in * 7 % 1000));
        fault_clear();
        CHECK(fl_timers_check(&timers) == 0);
        if (err < 0) {
            CHECK(err == -ENOMEM);
            CHECK(timer->where == FL_TIMER_OUT);
            CHECK(timers.count == n_in);
            fl_timers_remove(&timers, timer);
            n_refused++;
            CHECK(fl_timers_add(&timers, timer, NOW + (double)(n_in * 7 % 1000)) == 0);
        }
        n_in++;
    }
    CHECK(n_refused == 6); /* 32 doubled to 1024 */
    /* All have their room: without any memory each still comes, in order. */
    fault_inject_all(FAULT_ALLOC, ENOMEM);
    double last_s = 0;
    for (size_t i = 0; i < 1000; i++) {
        struct fl_timer *timer = fl_timers_pop_due(&timers, NOW + 2000);
        CHECK(timer != NULL && timer->when_s > last_s);
        last_s = timer->when_s;
        CHECK(fl_timers_check(&timers) == 0);
    }
    check_none_due(INFINITY);
    fault_clear();
    fl_timers_deinit(&timers);
}

CASE(too_many_timers_are_refused)
{
    struct fl_timer_heap heap = {0};
    CHECK(fl_timer_heap_reserve(&heap, UINT32_MAX) == -ENOMEM);
    CHECK(heap.entries == NULL && heap.capacity == 0);
}

CASE(memory_goes_down_again_after_a_peak)
{
    fl_timers_init(&timers, NOW);
    for (size_t i = 0; i < 10000; i++) {
        CHECK(fl_timers_add(&timers, &pool[i], NOW + (double)i / 20) == 0);
    }
    CHECK(timers.heap.capacity >= 10000);
    for (size_t i = 0; i < 9990; i++) {
        fl_timers_remove(&timers, &pool[(i * 7919) % 9990]);
    }
    CHECK(fl_timers_check(&timers) == 0);
    CHECK(timers.count == 10);
    CHECK(timers.heap.capacity <= 128);
    fl_timers_deinit(&timers);
}

CASE(a_swinging_count_does_not_allocate)
{
    fl_timers_init(&timers, NOW);
    for (size_t i = 0; i < 1000; i++) {
        add(i, NOW);
    }
    int n_before = fault_count(FAULT_ALLOC);
    for (int round = 0; round < 10; round++) {
        for (size_t i = 200; i < 1000; i++) {
            fl_timers_remove(&timers, &pool[i]);
        }
        for (size_t i = 200; i < 1000; i++) {
            CHECK(fl_timers_add(&timers, &pool[i], NOW) == 0);
        }
    }
    CHECK(fault_count(FAULT_ALLOC) == n_before);
    fl_timers_deinit(&timers);
}

CASE(deinit_marks_all_out_and_may_be_repeated)
{
    fl_timers_init(&timers, NOW);
    for (size_t i = 0; i < 1000; i++) {
        add(i, NOW + (double)i);
    }
    fl_timers_deinit(&timers);
    for (size_t i = 0; i < 1000; i++) {
        CHECK(pool[i].where == FL_TIMER_OUT);
        fl_timers_remove(&timers, &pool[i]);
    }
    fl_timers_deinit(&timers);
    struct fl_timers zeroed = {0};
    fl_timers_deinit(&zeroed);
}

static int
count_to(struct fl_timer *timer, void *arg)
{
    CHECK(timer >= pool && timer < pool + 1000);
    int *left = arg;
    return --*left == 0 ? 42 : 0;
}

CASE(visit_sees_each_until_told_to_stop)
{
    fl_timers_init(&timers, NOW);
    int left = 1;
    CHECK(fl_timers_visit(&timers, count_to, &left) == 0);
    for (size_t i = 0; i < 900; i++) {
        add(i, NOW - 100 + (double)i);
    }
    for (int stop = 1; stop <= 900; stop++) {
        left = stop;
        CHECK(fl_timers_visit(&timers, count_to, &left) == 42);
        CHECK(left == 0);
    }
    left = 1000;
    CHECK(fl_timers_visit(&timers, count_to, &left) == 0);
    CHECK(left == 100);
    while (fl_timers_any(&timers) != NULL) {
        fl_timers_remove(&timers, fl_timers_any(&timers));
    }
    CHECK(timers.count == 0);
    struct fl_timers zeroed = {0};
    CHECK(fl_timers_visit(&zeroed, count_to, &left) == 0);
    fl_timers_deinit(&timers);
}

CASE(the_walker_sees_damage)
{
    fl_timers_init(&timers, NOW);
    for (size_t i = 0; i < 20; i++) {
        add(i, NOW - 20 + (double)i);
    }
    add(20, NOW + 10);
    add(21, NOW + 1000);
    struct fl_timer *damaged[] = {&pool[3], &pool[20], &pool[21]};
    for (size_t i = 0; i < 3; i++) {
        struct fl_timer was = *damaged[i];
        damaged[i]->when_s = NAN;
        CHECK(fl_timers_check(&timers) == -EINVAL);
        damaged[i]->when_s = NOW + 30;
        CHECK(fl_timers_check(&timers) == -EINVAL);
        *damaged[i] = was;
        damaged[i]->where = FL_TIMER_OUT;
        CHECK(fl_timers_check(&timers) == -EINVAL);
        *damaged[i] = was;
        CHECK(fl_timers_check(&timers) == 0);
    }
    struct fl_list *head = pool[21].link.next;
    head->prev = head;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    head->prev = &pool[21].link;
    pool[3].heap_index++;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    pool[3].heap_index--;
    pool[3].when_s = timers.heap.entries[3].key_s = NOW - 99;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    pool[3].when_s = timers.heap.entries[3].key_s = NOW - 17;
    timers.heap.entries[4].sequence = 77;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    timers.heap.entries[4].sequence = 4;
    timers.near_second++;
    CHECK(fl_timers_check(&timers) == 0);
    timers.near_second += 9;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    timers.near_second -= 10;
    timers.occupied[0] ^= 1;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    timers.occupied[0] ^= 1;
    timers.overflow_min_s += 1;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    timers.overflow_min_s -= 1;
    timers.count--;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    timers.count++;
    timers.heap.capacity = 21;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    timers.heap.capacity = 19;
    CHECK(fl_timers_check(&timers) == -EINVAL);
    timers.heap.capacity = 32;
    CHECK(fl_timers_check(&timers) == 0);
    fl_timers_deinit(&timers);
}
