/* Virtual time: a clock that jumps to the next timer when nothing else can happen.
 *
 * For tests (fastloop/testing). Such a loop is one of ours in all else: it runs the
 * same steps, by the same poller. The clock stands still while anything is ready, an fd
 * is, or somebody holds it: executor jobs, children and whoever asked for it; and for a
 * grace of real time after each sign of I/O while an fd is waited for. A frozen clock
 * jumps no further than somebody waits for.
 *
 * Off it costs nothing: what a loop of overridden methods is known by leads here.
 */
#ifndef FASTLOOP_CORE_LOOP_VIRTUAL_H
#define FASTLOOP_CORE_LOOP_VIRTUAL_H

#include "core/loop/loop.h"
#include "py/state/tables.h"

/* The first are doubles, as they are attributes of the loop (FL_VIRTUAL_GETSET). */
struct fl_virtual {
    double now_s;
    double end_s;   /* it does not go beyond */
    double wait_s;  /* the first time at which somebody waits for all to settle */
    double grace_s; /* of real time */
    double holds;   /* how many hold it */
    double askers;  /* how many jobs hold it no longer as they wait for the loop */
    double frozen;  /* if not 0 */
    double seed;    /* of the order, if not below 0 */
    double starts;  /* if not 0, tasks begin in any order, too */
    /* CLOCK_MONOTONIC: since when nothing is left but what may come from outside; 0:
     * there is something */
    int64_t stuck_since_ns;
    /* loop_order.c */
    getter
        is_suspended; /* cr_suspended of a coroutine; NULL: not looked for, or none */
    uint64_t random;  /* the state of its generator */
    double random_of; /* the seed that it has come from */
    uint32_t *places; /* room for so many */
    size_t n_places;
};

#define FL_VIRTUAL_GETSET(name, field)           \
    {name, fl_virtual_get, fl_virtual_set, NULL, \
     (void *)offsetof(struct fl_virtual, field)}

PyObject *fl_virtual_get(PyObject *op, void *offset);
int fl_virtual_set(PyObject *op, PyObject *value, void *offset);

/* loop._begin_virtual(start): from now on. RuntimeError if there are timers. */
PyObject *fl_virtual_begin(PyObject *op, PyObject *start);
void fl_virtual_free(LoopObject *self);

/* loop._virtual_time(), which is the loop's time() then. */
PyObject *fl_virtual_time(PyObject *op, PyObject *ignored);

/* Whether the time is virtual, and nobody has replaced loop.time. */
static inline bool
fl_virtual_rules(LoopObject *self)
{
    return self->virtual != NULL && !(fl_loop_overrides(self) & FL_OVERRIDES_TIME);
}

/* loop_order.c: puts what is ready into an order of the seed's, but for what has a
 * promised one: the callbacks of call_soon, timers of different deadlines, the first
 * steps of tasks. 0, or -1 with MemoryError. */
int fl_virtual_shuffle(LoopObject *self);

/* The poll of one iteration, and the jump. escapes. 0, or -1 with an exception. */
int fl_virtual_poll(LoopObject *self, PyThreadState *thread);

#endif
