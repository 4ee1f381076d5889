/* The heap under the timers.
 *
 * Four children a node: half the levels of a binary heap, and the children that
 * are compared lie side by side. Entries are moved into the hole rather than
 * swapped, so each move writes one entry and one index.
 */
#include "base/timer_heap.h"

#include "base/fault.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define ARITY 4u
#define CAPACITY_MIN 32u

static bool
entry_before(const struct fl_timer_heap_entry *a, const struct fl_timer_heap_entry *b)
{
    return a->key_s < b->key_s || (a->key_s == b->key_s && a->sequence < b->sequence);
}

static void
heap_put(struct fl_timer_heap *heap, size_t index, struct fl_timer_heap_entry entry)
{
    heap->entries[index] = entry;
    entry.timer->heap_index = (uint32_t)index;
}

static void
heap_sift_up(struct fl_timer_heap *heap, size_t index, struct fl_timer_heap_entry entry)
{
    while (index > 0) {
        size_t parent = (index - 1) / ARITY;
        if (!entry_before(&entry, &heap->entries[parent])) {
            break;
        }
        heap_put(heap, index, heap->entries[parent]);
        index = parent;
    }
    heap_put(heap, index, entry);
}

static void
heap_sift_down(
    struct fl_timer_heap *heap, size_t index, struct fl_timer_heap_entry entry
)
{
    const struct fl_timer_heap_entry *entries = heap->entries;
    size_t count = heap->count;
    for (;;) {
        size_t first = index * ARITY + 1;
        if (first >= count) {
            break;
        }
        size_t end = first + ARITY < count ? first + ARITY : count;
        size_t least = first;
        for (size_t child = first + 1; child < end; child++) {
            if (entry_before(&entries[child], &entries[least])) {
                least = child;
            }
        }
        if (!entry_before(&entries[least], &entry)) {
            break;
        }
        heap_put(heap, index, entries[least]);
        index = least;
    }
    heap_put(heap, index, entry);
}

static int
heap_resize(struct fl_timer_heap *heap, uint32_t capacity)
{
    void *entries = realloc(heap->entries, capacity * sizeof(*heap->entries));
    if (entries == NULL) {
        return -ENOMEM;
    }
    heap->entries = entries;
    heap->capacity = capacity;
    return 0;
}

int
fl_timer_heap_reserve(struct fl_timer_heap *heap, size_t n_timers)
{
    if (n_timers <= heap->capacity) {
        return 0;
    }
    if (n_timers > UINT32_MAX / 2) {
        return -ENOMEM;
    }
    uint32_t capacity = heap->capacity > 0 ? heap->capacity : CAPACITY_MIN;
    while (capacity < n_timers) {
        capacity *= 2;
    }
    return heap_resize(heap, capacity);
}

static void
heap_give_back(struct fl_timer_heap *heap, uint32_t capacity)
{
    void *entries = realloc(heap->entries, capacity * sizeof(*heap->entries));
    if (entries != NULL) { /* else: keep what is */
        heap->entries = entries;
        heap->capacity = capacity;
    }
}

void
fl_timer_heap_shrink(struct fl_timer_heap *heap, size_t n_timers)
{
    /* An eighth to shrink and by half: a count that swings by less than four
     * times never pays for growing again. */
    if (heap->capacity > CAPACITY_MIN && n_timers < heap->capacity / 8) {
        heap_give_back(heap, heap->capacity / 2);
    }
}

void
fl_timer_heap_deinit(struct fl_timer_heap *heap)
{
    free(heap->entries);
    *heap = (struct fl_timer_heap){0};
}

void
fl_timer_heap_push(struct fl_timer_heap *heap, double key_s, struct fl_timer *timer)
{
    struct fl_timer_heap_entry entry = {key_s, timer->sequence, timer};
    heap_sift_up(heap, heap->count++, entry);
}

void
fl_timer_heap_append(struct fl_timer_heap *heap, double key_s, struct fl_timer *timer)
{
    struct fl_timer_heap_entry entry = {key_s, timer->sequence, timer};
    heap_put(heap, heap->count++, entry);
}

void
fl_timer_heap_order(struct fl_timer_heap *heap)
{
    if (heap->count < 2) {
        return;
    }
    size_t index = (heap->count - 2) / ARITY + 1;
    while (index-- > 0) {
        heap_sift_down(heap, index, heap->entries[index]);
    }
}

void
fl_timer_heap_remove(struct fl_timer_heap *heap, uint32_t index)
{
    struct fl_timer_heap_entry last = heap->entries[--heap->count];
    if (index == heap->count) {
        return;
    }
    if (index > 0 && entry_before(&last, &heap->entries[(index - 1) / ARITY])) {
        heap_sift_up(heap, index, last);
    }
    else {
        heap_sift_down(heap, index, last);
    }
}

int
fl_timer_heap_check(const struct fl_timer_heap *heap)
{
    if (heap->count > heap->capacity) {
        return -EINVAL;
    }
    for (size_t i = 0; i < heap->count; i++) {
        const struct fl_timer_heap_entry *entry = &heap->entries[i];
        if (entry->timer->heap_index != i || isnan(entry->key_s) ||
            entry->sequence != entry->timer->sequence) {
            return -EINVAL;
        }
        if (i > 0 && entry_before(entry, &heap->entries[(i - 1) / ARITY])) {
            return -EINVAL;
        }
    }
    return 0;
}
