/* The loop's timers: a heap for the near future, buckets and a list behind it.
 *
 * Every timer has a second, floor(deadline) cut to +-2^53: above that, doubles
 * step by more than one and the conversion to int64_t would soon be undefined.
 * The cut only decides the store; order is always that of the deadlines
 * themselves. With near_second at the upper cut every timer goes to the heap, so
 * clocks that count nanoseconds or return 1e300 are merely slower.
 *
 *     heap           second <= near_second               exact order
 *     buckets        near_second < second <= near_second + N_BUCKETS
 *     overflow       near_second < second
 *
 * near_second moves up only when the heap is empty: as long as the heap holds a
 * timer, its top answers every question. So what leaves the buckets is loaded
 * into an empty heap, in linear time. Overflow timers may lie within the
 * buckets' window: they are looked at only when the lower bound of their
 * deadlines says that one of them could be next. It moves down when heap and
 * buckets are empty and the clock is behind it (the clock was set back, or
 * fl_timers_next looked far ahead).
 *
 * Room in the heap for every timer is reserved when the timer is added. Only
 * adding can fail for want of memory, moving never does.
 */
#include "base/timers.h"

#include "base/hot.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>

#define BUCKET_MASK ((uint64_t)FL_TIMERS_N_BUCKETS - 1)
#define N_WORDS (FL_TIMERS_N_BUCKETS / 64u)
#define SECOND_MAX (INT64_C(1) << 53)
#define SECOND_NONE INT64_MAX

/* About to sleep, the earliest of so few timers is found by looking at each;
 * more are moved on, so that the next sleep need not look at them again. */
#define SCAN_MAX 32u

static int64_t
timers_second(double when_s)
{
    if (!(when_s < (double)SECOND_MAX)) {
        return SECOND_MAX;
    }
    if (when_s <= -(double)SECOND_MAX) {
        return -SECOND_MAX;
    }
    int64_t second = (int64_t)when_s;
    return (double)second > when_s ? second - 1 : second;
}

/* What a deadline is ordered by: NaN is due before all else. */
static double
timers_key(double when_s)
{
    return isnan(when_s) ? -INFINITY : when_s;
}

/* ---- buckets and overflow ---- */

static void
bucket_append(struct fl_timers *timers, struct fl_timer *timer, int64_t second)
{
    uint64_t index = (uint64_t)second & BUCKET_MASK;
    fl_list_append(&timers->buckets[index], &timer->link);
    timers->occupied[index / 64] |= UINT64_C(1) << (index % 64);
    timer->where = FL_TIMER_IN_BUCKET;
}

static void
bucket_remove(struct fl_timers *timers, struct fl_timer *timer)
{
    if (timer->link.prev == timer->link.next) { /* alone with the list's head */
        size_t index = (size_t)(timer->link.next - timers->buckets);
        timers->occupied[index / 64] &= ~(UINT64_C(1) << (index % 64));
    }
    fl_list_unlink(&timer->link);
}

/* The earliest second that has a bucket, or SECOND_NONE. */
static int64_t
bucket_first(const struct fl_timers *timers)
{
    uint64_t start = (uint64_t)(timers->near_second + 1) & BUCKET_MASK;
    for (size_t i = 0; i <= N_WORDS; i++) {
        size_t word = (start / 64 + i) % N_WORDS;
        uint64_t bits = timers->occupied[word];
        if (i == 0) {
            bits &= ~UINT64_C(0) << (start % 64); /* what is below comes last */
        }
        if (bits != 0) {
            uint64_t index = word * 64 + (uint64_t)__builtin_ctzll(bits);
            return timers->near_second + 1 + (int64_t)((index - start) & BUCKET_MASK);
        }
    }
    return SECOND_NONE;
}

/* Leaves the heap unordered. */
static void
heap_append(struct fl_timers *timers, struct fl_timer *timer)
{
    timer->where = FL_TIMER_IN_HEAP;
    fl_timer_heap_append(&timers->heap, timers_key(timer->when_s), timer);
}

static struct fl_timer *
list_timer(struct fl_list *link)
{
    return FL_CONTAINER_OF(link, struct fl_timer, link);
}

/* Stores the least deadline of a list without NaN, +inf if it is empty. False,
 * and nothing stored, if there are more than SCAN_MAX timers. */
static bool
list_min(const struct fl_list *head, double *min_s)
{
    double least_s = INFINITY;
    size_t n_seen = 0;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        if (++n_seen > SCAN_MAX) {
            return false;
        }
        double when_s = list_timer(link)->when_s;
        least_s = when_s < least_s ? when_s : least_s;
    }
    *min_s = least_s;
    return true;
}

static FL_APART void
overflow_append(struct fl_timers *timers, struct fl_timer *timer, double key_s)
{
    fl_list_append(&timers->overflow, &timer->link);
    timer->where = FL_TIMER_IN_OVERFLOW;
    if (key_s < timers->overflow_min_s) {
        timers->overflow_min_s = key_s;
    }
}

/* Puts a timer where its deadline belongs; returns false if that is the heap and
 * nothing was done. (Inline: 14 instructions a timer.) */
FL_INLINE bool
timers_put_far(struct fl_timers *timers, struct fl_timer *timer, double key_s)
{
    int64_t second = timers_second(key_s);
    if (second <= timers->near_second) {
        return false;
    }
    if (FL_LIKELY(second <= timers->near_second + FL_TIMERS_N_BUCKETS)) {
        bucket_append(timers, timer, second);
    }
    else {
        overflow_append(timers, timer, key_s);
    }
    return true;
}

/* Moves what the buckets can hold out of the overflow, what is near into the heap
 * (unordered), and learns the exact bound of the rest. */
static void
overflow_spread(struct fl_timers *timers)
{
    struct fl_list *last = timers->overflow.prev;
    timers->overflow_min_s = INFINITY;
    for (bool more = !fl_list_empty(&timers->overflow); more;) {
        struct fl_list *link = timers->overflow.next;
        more = link != last;
        fl_list_unlink(link);
        struct fl_timer *timer = list_timer(link);
        if (!timers_put_far(timers, timer, timers_key(timer->when_s))) {
            heap_append(timers, timer);
        }
    }
}

/* Moves the border up to target; the heap must be empty. */
static void
timers_advance(struct fl_timers *timers, int64_t target)
{
    for (;;) {
        int64_t second = bucket_first(timers);
        if (second > target) {
            break;
        }
        uint64_t index = (uint64_t)second & BUCKET_MASK;
        struct fl_list *bucket = &timers->buckets[index];
        timers->occupied[index / 64] &= ~(UINT64_C(1) << (index % 64));
        for (struct fl_list *link = bucket->next, *next; link != bucket; link = next) {
            next = link->next;
            heap_append(timers, list_timer(link));
        }
        fl_list_init(bucket);
    }
    timers->near_second = target;
    if (timers_second(timers->overflow_min_s) <= target) {
        overflow_spread(timers);
    }
    fl_timer_heap_order(&timers->heap);
}

/* ---- the contract ---- */

void
fl_timers_init(struct fl_timers *timers, double now_s)
{
    *timers = (struct fl_timers){
        .near_second = timers_second(now_s),
        .overflow_min_s = INFINITY,
    };
    fl_list_init(&timers->overflow);
    for (size_t i = 0; i < FL_TIMERS_N_BUCKETS; i++) {
        fl_list_init(&timers->buckets[i]);
    }
}

void
fl_timers_deinit(struct fl_timers *timers)
{
    while (timers->count > 0) {
        fl_timers_remove(timers, fl_timers_any(timers));
    }
    fl_timer_heap_deinit(&timers->heap);
}

int
fl_timers_add(struct fl_timers *timers, struct fl_timer *timer, double when_s)
{
    int err = fl_timer_heap_reserve(&timers->heap, timers->count + 1);
    if (err < 0) {
        return err;
    }
    timer->when_s = when_s;
    timer->sequence = timers->next_sequence++;
    timers->count++;
    double key_s = timers_key(when_s);
    if (!timers_put_far(timers, timer, key_s)) {
        timer->where = FL_TIMER_IN_HEAP;
        fl_timer_heap_push(&timers->heap, key_s, timer);
    }
    return 0;
}

void
fl_timers_remove(struct fl_timers *timers, struct fl_timer *timer)
{
    switch (timer->where) {
    case FL_TIMER_IN_HEAP:
        fl_timer_heap_remove(&timers->heap, timer->heap_index);
        break;
    case FL_TIMER_IN_BUCKET:
        bucket_remove(timers, timer);
        break;
    case FL_TIMER_IN_OVERFLOW:
        fl_list_unlink(&timer->link);
        if (fl_list_empty(&timers->overflow)) {
            timers->overflow_min_s = INFINITY;
        }
        break;
    default:
        return;
    }
    timer->where = FL_TIMER_OUT;
    timers->count--;
    fl_timer_heap_shrink(&timers->heap, timers->count);
}

void
fl_timers_replace(
    struct fl_timers *timers, struct fl_timer *timer, struct fl_timer *other
)
{
    other->when_s = timer->when_s;
    other->sequence = timer->sequence;
    other->where = timer->where;
    if (timer->where == FL_TIMER_IN_HEAP) {
        other->heap_index = timer->heap_index;
        timers->heap.entries[timer->heap_index].timer = other;
    }
    else {
        fl_list_append(&timer->link, &other->link); /* before it */
        fl_list_unlink(&timer->link);
    }
    timer->where = FL_TIMER_OUT;
}

/* The clock went past the border, or fell behind it; the heap is empty. */
static void
timers_move_border(struct fl_timers *timers, int64_t second)
{
    if (second > timers->near_second) {
        timers_advance(timers, second);
    }
    else if (bucket_first(timers) == SECOND_NONE) {
        timers->near_second = second;
    }
}

struct fl_timer *
fl_timers_pop_due(struct fl_timers *timers, double end_s)
{
    if (timers->heap.count == 0) {
        if (timers->count == 0) {
            return NULL;
        }
        int64_t second = timers_second(end_s);
        if (second == timers->near_second) {
            return NULL;
        }
        timers_move_border(timers, second);
        if (timers->heap.count == 0) {
            return NULL;
        }
    }
    const struct fl_timer_heap_entry *top = timers->heap.entries;
    if (top->key_s >= end_s) {
        return NULL;
    }
    struct fl_timer *timer = top->timer;
    fl_timers_remove(timers, timer);
    return timer;
}

double
fl_timers_next(struct fl_timers *timers)
{
    while (timers->heap.count == 0) {
        int64_t second = bucket_first(timers);
        bool overflow_waits = timers->overflow_min_s < INFINITY;
        int64_t overflow_second = timers_second(timers->overflow_min_s);
        double min_s;
        if (overflow_waits && second == SECOND_NONE) {
            if (list_min(&timers->overflow, &min_s)) {
                timers->overflow_min_s = min_s;
                return min_s;
            }
            if (overflow_second - 1 > timers->near_second) {
                timers->near_second = overflow_second - 1;
            }
            overflow_spread(timers);
        }
        else if (overflow_waits && overflow_second <= second) {
            overflow_spread(timers);
        }
        else if (second == SECOND_NONE) {
            return INFINITY;
        }
        else if (list_min(&timers->buckets[(uint64_t)second & BUCKET_MASK], &min_s)) {
            return min_s;
        }
        else {
            timers_advance(timers, second);
        }
    }
    return timers->heap.entries[0].key_s;
}

double
fl_timers_bound(const struct fl_timers *timers)
{
    if (timers->heap.count > 0) {
        return timers->heap.entries[0].key_s;
    }
    int64_t second = bucket_first(timers);
    if (second == SECOND_NONE || (double)second > timers->overflow_min_s) {
        return timers->overflow_min_s;
    }
    return (double)second;
}

struct fl_timer *
fl_timers_any(const struct fl_timers *timers)
{
    if (timers->heap.count > 0) {
        /* The last, which is the cheapest to take out. */
        return timers->heap.entries[timers->heap.count - 1].timer;
    }
    int64_t second = bucket_first(timers);
    if (second != SECOND_NONE) {
        return list_timer(timers->buckets[(uint64_t)second & BUCKET_MASK].next);
    }
    return timers->count > 0 ? list_timer(timers->overflow.next) : NULL;
}

static int
list_visit(
    const struct fl_list *head, int (*visit)(struct fl_timer *, void *), void *arg
)
{
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        int stop = visit(list_timer(link), arg);
        if (stop != 0) {
            return stop;
        }
    }
    return 0;
}

int
fl_timers_visit(
    const struct fl_timers *timers, int (*visit)(struct fl_timer *, void *), void *arg
)
{
    if (timers->count == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < timers->heap.count; i++) {
        int stop = visit(timers->heap.entries[i].timer, arg);
        if (stop != 0) {
            return stop;
        }
    }
    for (size_t i = 0; i < FL_TIMERS_N_BUCKETS; i++) {
        int stop = list_visit(&timers->buckets[i], visit, arg);
        if (stop != 0) {
            return stop;
        }
    }
    return list_visit(&timers->overflow, visit, arg);
}

/* Stores of one kind: a timer's second must lie in [first, last]. */
struct check {
    uint16_t where;
    int64_t first;
    int64_t last;
    size_t count;
};

static int
check_timer(struct fl_timer *timer, void *arg)
{
    struct check *check = arg;
    int64_t second = timers_second(timers_key(timer->when_s));
    check->count++;
    if (timer->where != check->where || second < check->first || second > check->last) {
        return -EINVAL;
    }
    if (timer->where != FL_TIMER_IN_HEAP && timer->link.next->prev != &timer->link) {
        return -EINVAL;
    }
    return 0;
}

static int
check_buckets(const struct fl_timers *timers, size_t *count)
{
    for (int64_t i = 1; i <= FL_TIMERS_N_BUCKETS; i++) {
        int64_t second = timers->near_second + i;
        uint64_t index = (uint64_t)second & BUCKET_MASK;
        struct check check = {FL_TIMER_IN_BUCKET, second, second, 0};
        int err = list_visit(&timers->buckets[index], check_timer, &check);
        bool occupied = (timers->occupied[index / 64] >> (index % 64) & 1u) != 0;
        if (err < 0 || occupied != (check.count > 0)) {
            return -EINVAL;
        }
        *count += check.count;
    }
    return 0;
}

int
fl_timers_check(const struct fl_timers *timers)
{
    const struct fl_timer_heap *heap = &timers->heap;
    int64_t near_second = timers->near_second;
    struct check in_heap = {FL_TIMER_IN_HEAP, -SECOND_MAX, near_second, 0};
    for (uint32_t i = 0; i < heap->count; i++) {
        struct fl_timer *timer = heap->entries[i].timer;
        if (check_timer(timer, &in_heap) < 0 ||
            heap->entries[i].key_s != timers_key(timer->when_s)) {
            return -EINVAL;
        }
    }
    struct check in_overflow = {FL_TIMER_IN_OVERFLOW, near_second + 1, SECOND_MAX, 0};
    size_t in_buckets = 0;
    if (fl_timer_heap_check(heap) < 0 || check_buckets(timers, &in_buckets) < 0 ||
        list_visit(&timers->overflow, check_timer, &in_overflow) < 0) {
        return -EINVAL;
    }
    const struct fl_list *overflow = &timers->overflow;
    for (struct fl_list *link = overflow->next; link != overflow; link = link->next) {
        if (list_timer(link)->when_s < timers->overflow_min_s) {
            return -EINVAL;
        }
    }
    size_t count = in_heap.count + in_buckets + in_overflow.count;
    return count == timers->count && count <= heap->capacity ? 0 : -EINVAL;
}
