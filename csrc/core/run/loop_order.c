/* What is ready in another order, the same for the same seed.
 *
 * Only what asyncio leaves open changes places: wake-ups of tasks, fds that one poll
 * has found, timers of one deadline. The places of all else stay as they are.
 */
#include "core/run/loop_virtual.h"

#include "core/handle/timer_handle.h"
#include "core/task/task.h"

#include <string.h>

/* ---- by chance ---- */

/* SplitMix64: any seed is as good as any other. */
static uint64_t
next_random(struct fl_virtual *clock)
{
    clock->random += 0x9e3779b97f4a7c15u;
    uint64_t mixed = clock->random;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* Below n, which is less than 2^32. */
static size_t
pick(struct fl_virtual *clock, size_t n)
{
    return (size_t)(((next_random(clock) >> 32) * n) >> 32);
}

static uintptr_t *
place(LoopObject *self, size_t i)
{
    return &self->ready.slots[(self->ready.head + i) & self->ready.mask];
}

static void
permute(LoopObject *self, size_t n)
{
    const uint32_t *places = self->virtual->places;
    for (; n > 1; n--) {
        uintptr_t *one = place(self, places[n - 1]);
        uintptr_t *other = place(self, places[pick(self->virtual, n)]);
        uintptr_t word = *one;
        *one = *other;
        *other = word;
    }
}

/* ---- what may change places ---- */

/* fast: by the function itself, as to look for it by its name each time is dear (4 % of
 * a sleep(0)) */
static getter
find_is_suspended(void)
{
    for (PyGetSetDef *def = PyCoro_Type.tp_getset; def->name != NULL; def++) {
        if (strcmp(def->name, "cr_suspended") == 0) {
            return def->get;
        }
    }
    return NULL;
}

/* Of a task that is to be stepped: whether it has been before. */
static bool
has_begun(const struct fl_virtual *clock, const TaskObject *task)
{
    PyObject *coro = task->base.coro;
    if (coro == NULL || !PyCoro_CheckExact(coro) || clock->is_suspended == NULL) {
        return false; /* to ask another might run its code */
    }
    PyObject *suspended = clock->is_suspended(coro, NULL); /* a bool: it can't fail */
    bool begun = suspended == Py_True;
    Py_XDECREF(suspended);
    return begun;
}

/* Of a handle that is no timer: the wake-up of a task, in debug mode or of asyncio's
 * own type, or of an fd, whose handles are not the queue's. */
static bool
is_open_handle(const HandleObject *handle)
{
    if (handle->queued == 0) {
        return true;
    }
    PyObject *callback = handle->callback;
    if (callback == NULL || !PyCFunction_CheckExact(callback)) {
        return false;
    }
    const char *name = ((PyCFunctionObject *)(void *)callback)->m_ml->ml_name;
    return strcmp(name, "task_wakeup") == 0;
}

static bool
is_timer(const LoopObject *self, uintptr_t word)
{
    return (word & FL_ENTRY_KIND_MASK) == FL_ENTRY_HANDLE &&
           Py_IS_TYPE((PyObject *)word, self->state->timer_handle_type);
}

static bool
is_movable(const LoopObject *self, uintptr_t word)
{
    void *pointer = (void *)(word & ~FL_ENTRY_KIND_MASK);
    switch (word & FL_ENTRY_KIND_MASK) {
    case FL_ENTRY_WAKEUP:
    case FL_ENTRY_SOURCE:
        return true;
    case FL_ENTRY_STEP:
        return self->virtual->starts != 0.0 || has_begun(self->virtual, pointer);
    case FL_ENTRY_HANDLE:
        return !is_timer(self, word) && is_open_handle(pointer);
    default:
        return false;
    }
}

/* Permutes each run of timers that have one deadline. */
static void
shuffle_timers(LoopObject *self, size_t count)
{
    size_t n = 0;
    double when_s = NAN;
    for (size_t i = 0; i < count; i++) {
        uintptr_t word = *place(self, i);
        double its_s =
            is_timer(self, word) ? ((TimerHandleObject *)word)->timer.when_s : NAN;
        if (!(its_s == when_s)) {
            permute(self, n);
            n = 0;
            when_s = its_s;
        }
        if (!isnan(its_s)) {
            self->virtual->places[n++] = (uint32_t)i;
        }
    }
    permute(self, n);
}

static int
make_room(struct fl_virtual *clock, size_t count)
{
    if (count <= clock->n_places) {
        return 0;
    }
    void *grown = PyMem_Realloc(clock->places, 2 * count * sizeof(*clock->places));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    clock->places = grown;
    clock->n_places = 2 * count;
    return 0;
}

int
fl_virtual_shuffle(LoopObject *self)
{
    struct fl_virtual *clock = self->virtual;
    size_t count = fl_ring_count(&self->ready);
    if (self->state->recorder != NULL) {
        fl_record_looked(self); /* while it can be told who queued what */
    }
    if (clock->random_of != clock->seed) {
        clock->random_of = clock->seed;
        clock->random = (uint64_t)clock->seed;
        clock->is_suspended = find_is_suspended();
    }
    if (count < 2) {
        return 0;
    }
    if (make_room(clock, count) < 0) {
        return -1;
    }
    size_t n = 0, n_timers = 0;
    for (size_t i = 0; i < count; i++) {
        uintptr_t word = *place(self, i);
        if (is_movable(self, word)) {
            clock->places[n++] = (uint32_t)i;
        }
        else {
            n_timers += is_timer(self, word);
        }
    }
    permute(self, n);
    if (n_timers > 1) {
        shuffle_timers(self, count);
    }
    return 0;
}
