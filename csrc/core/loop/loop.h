/* The loop object, shared by the rooms that make it up.
 *
 *   ground  overrides: what the other wings need of a loop
 *   io      source: fds of the floor above, and the end of a step;
 *           loop_watch, reader_watch: add_reader and kin;
 *           loop_signals: wake-up by other threads and by signals
 *   run     loop_run: iterations; loop_setup: before and behind a run;
 *           loop_poll, loop_virtual, loop_order: when to poll, by which time, and
 *           in which order; loop_nested, loop_turns: runs inside of a step;
 *           loop_debug; loop_drop: what is queued, given up
 *   loop    loop: the type, life, close; loop_methods, loop_attrs: its tables;
 *           loop_schedule: call_soon and kin; loop_tasks: create_task and kin;
 *           loop_metrics, loop_fork, loop_check
 *
 * "escapes", here as everywhere: such a call may run code of others, in Python or in
 * another thread, which may change or end whatever it can reach. What was read before
 * is read again after it, and what must live is held. The call says so, in C, by a
 * comment behind it.
 *
 * Everything is done by the thread that holds the GIL; the loop's own thread
 * gives it up only inside a poll and inside user code. So another thread's
 * call_soon_threadsafe may push into the ready ring itself.
 */
#ifndef FASTLOOP_CORE_LOOP_H
#define FASTLOOP_CORE_LOOP_H

#include "base/fd_table.h"
#include "base/hot.h"
#include "base/ring.h"
#include "base/timers.h"
#include "os/clock.h"
#include "os/poller.h"
#include "os/wakeup.h"
#include "py/context.h"
#include "py/mirror/mirror.h"
#include "py/state/state.h"
#include "py/time_watch.h"
#include "watch/lookout.h"
#include "watch/metrics.h"
#include "watch/recorder/recorder.h"

#include <math.h>

/* Who may be in a loop's lists and tables, and who takes it out:
 *
 *   ready            what it says below, owned; the iteration, close, dealloc
 *   timers           waiting TimerHandles and alarms, owned; cancel, their time, close,
 *                    dealloc
 *   free_..._handles, free_alarms
 *                    emptied ones, owned, that nobody knows (core/handle/handle.h,
 *                    alarm.c)
 *   contexts         contexts that handles share, owned (py/context.h)
 *   reader_watches   watches of add_reader and kin, the loop's own; remove_reader,
 *                    close, dealloc, the poll that finds their fd gone
 *   sources, deferred
 *                    those that watch, or have something to send, their objects owned;
 *                    they themselves, close, dealloc
 *   fd_owners        transports with an open fd, borrowed: a dying one may be found
 *                    and is passed over; their close, finalizer and dealloc
 *   state->loops     loops from __new__ to dealloc, borrowed: one whose weak references
 *                    die may be in it, and whoever runs code for one passes it over
 *   state->types.pending
 *                    core/task/task_registry.h
 *
 * A loop that dies has its handles forget it before the first of them lets others run.
 */

/* The ready ring's words: a pointer to an owned object, its kind in the low
 * bits (objects are at least 8-aligned). */
#define FL_ENTRY_KIND_MASK ((uintptr_t)7)
#define FL_ENTRY_HANDLE ((uintptr_t)0)
#define FL_ENTRY_STEP ((uintptr_t)1)   /* a Task to step */
#define FL_ENTRY_WAKEUP ((uintptr_t)2) /* a Task whose awaited future is done */
#define FL_N_TASK_ENTRIES 2
#define FL_ENTRY_SOURCE ((uintptr_t)3) /* a struct fl_source, its owner owned */
#define FL_ENTRY_ALARM ((uintptr_t)4)  /* a struct fl_alarm */

/* Methods a subclass, an instance or a patch may replace, and whose
 * replacement C code calls. Order as in override_name (core/ground/overrides.c). */
enum {
    FL_OVERRIDES_TIME = 1 << 0,
    FL_OVERRIDES_CALL_AT = 1 << 1,
    FL_OVERRIDES_CALL_SOON = 1 << 2,
    FL_OVERRIDES_CALL_LATER = 1 << 3,
    FL_OVERRIDES_CREATE_TASK = 1 << 4,
    FL_OVERRIDES_RUN_ONCE = 1 << 5,
    FL_OVERRIDES_ADD_READER = 1 << 6,
    FL_OVERRIDES_REMOVE_READER = 1 << 7,
    FL_OVERRIDES_ADD_WRITER = 1 << 8,
    FL_OVERRIDES_REMOVE_WRITER = 1 << 9,
    FL_OVERRIDES_CREATE_FUTURE = 1 << 10,
    /* Not methods. Such a loop iterates apart, as one with a _run_once of its own: that
     * costs the others nothing. Its iterations are recorded
     * (watch/recorder/recorder.h); its time is virtual (core/run/loop_virtual.h). */
    FL_OVERRIDES_RECORDED = 1 << 11,
    FL_OVERRIDES_CLOCK = 1 << 12,
    FL_ITERATES_APART = FL_OVERRIDES_RUN_ONCE | FL_OVERRIDES_RECORDED |
        FL_OVERRIDES_CLOCK,
};

#define FL_N_OVERRIDES 11
/* Whatever makes the time another than CLOCK_MONOTONIC. */
#define FL_OVERRIDES_ANY_TIME ((uint32_t)(FL_OVERRIDES_TIME | FL_OVERRIDES_CLOCK))
#define FL_RING_IDLE ((size_t)1024) /* places in the ready queue of a loop at rest */
#define FL_NO_TYPE_VERSION UINT_MAX /* as no type has */

struct fl_handle_freelist {
    PyObject *first; /* chained through the callback slot */
    int count;
};

/* Runs a ring entry that is a task; steals the ring's reference. escapes. 0, or -1
 * with an exception that leaves the loop. */
typedef int (*fl_task_runner)(struct LoopObject *self, uintptr_t word);

typedef struct LoopObject {
    PyObject_HEAD
    struct fl_state *state; /* borrowed: the type keeps the module alive */
    struct fl_ring ready;
    struct fl_handle_freelist free_handles;
    struct fl_handle_freelist free_timer_handles;
    struct fl_handle_freelist free_threadsafe_handles;
    struct fl_alarm *free_alarms; /* core/handle/alarm.c */
    int n_free_alarms;
    struct fl_contexts contexts;

    /* overrides: what the type and the instance replace */
    uint32_t type_overrides;
    uint32_t instance_overrides;
    unsigned int type_version; /* tp_version_tag the first was read at, never 0 */

    char is_open; /* has a poller and wake-up fds */
    char stopping;
    char running; /* between setup and cleanup of run_forever */
    /* these four together: fl_loop_is_plain */
    char closed;
    char debug;
    char sleeping; /* in a poll without the GIL */
    char zero;
    char woken; /* the eventfd was written since the poll began */
    char executor_shutdown_called;
    char asyncgens_shutdown_called;
    char coroutine_origin_tracking_enabled;
    char took_wakeup_fd;
    char asked_wakeup_fd;  /* in this run: of signals we hear, or somebody else does */
    char polled;           /* by _poll_for, so that the iteration need not */
    char may_skip_polls;   /* switch: poll in every iteration if false */
    char skips_freely;     /* may skip polls, and nobody's clock is to be asked */
    char may_defer_writes; /* switch: send inside write() if false */

    unsigned long thread_id; /* valid while running */

    unsigned int n_nested; /* drains of the ready ring under way */
    size_t end_of_drain;   /* the outermost ends at this place in the ring, or, */
    size_t left_to_drain;  /* after an iteration inside of it, so many entries on */
#if defined(FL_HAVE_TASK_SETS)
    PyObject *stale_task; /* borrowed: core/task/task_registry.h */
#endif

    /* runs within runs (loop_nested.c) */
    struct fl_nested *nested; /* the innermost, or NULL */
    PyObject *awaited;        /* borrowed: what the outermost run is for, or NULL */
    PyObject *outer_loop;     /* another one, in whose step this one runs, or NULL */
    PyObject *outer_task;     /* the current one at that time, or NULL */

    /* poll policy (loop_poll.c) */
    unsigned int quiet_iterations; /* since the last sign of I/O */
    unsigned int skipped_polls;
    int64_t last_poll_ticks;
    int64_t last_step_ticks; /* the end of the last step, or of what came since */
    int64_t clock_ticks;     /* no later than when the clock was last looked at, */
    double clock_s;          /* and what it was then (loop_run.c) */
    struct fl_tick_rate tick_rate;

    /* loop_metrics.c */
    struct fl_metrics metrics;
    struct fl_watched watched;   /* while it runs and somebody watches */
    struct fl_recorded recorded; /* while somebody records */
    uintptr_t step_word;         /* the step under way, if it is no task's; else 0 */
    fl_task_runner run_task;     /* task_entry.c's, or one that observes */
    uint64_t n_iterations;
    uint64_t n_polls;
    uint64_t n_steps;
    uint64_t n_wakeups;    /* by other threads, of a sleeping loop */
    int64_t birth_ns;      /* CLOCK_MONOTONIC */
    int64_t run_ticks;     /* the sum of runs; less the start of one under way */
    int64_t idle_ticks;    /* of these, asleep in a poll */
    double longest_step_s; /* as it was last told */

    /* attributes, see the table in loop_attrs.c */
    PyObject *exception_handler;
    PyObject *default_executor;
    PyObject *task_factory;
    PyObject *current_handle;
    PyObject *signal_handlers;
    PyObject *slow_callback_duration;
    PyObject *coroutine_origin_tracking_saved_depth;
    PyObject *old_agen_hooks;
    PyObject *asyncgens;
    PyObject *transports;
    PyObject *unix_server_sockets;
    double clock_resolution;

    /* In a forked child, until it has fds of its own (loop_fork.c), else NULL. To be
     * called before it polls. escapes. 0 or -1. */
    int (*revive)(struct LoopObject *self);
    struct fl_poller poller;
    struct fl_wakeup wakeup;
    struct fl_watch event_watch;
    struct fl_watch signal_watch;
    struct fl_list reader_watches; /* reader_watch.c */
    struct fl_list sources;        /* source.c: watched */
    struct fl_source
        *deferred; /* source.c: to flush at the step's end; owned, or NULL */
    struct fl_fd_table fd_owners; /* source.c: struct fl_source */
    size_t n_unlisted_owners;     /* not in transports yet */
    void *receive_buffer; /* all transports', until Python code runs; NULL: none yet */
    struct fl_virtual *virtual; /* loop_virtual.c; NULL: real time */
    struct fl_list live_loops;  /* link in the list of loops, for fork */
    struct fl_timers timers;
} LoopObject;

int fl_loop_add_type(PyObject *module, struct fl_state *state);

/* The type's tp_is_gc: 1. Subclasses have it too, as nothing in Python overrides it, so
 * it also says of any object whether it is a loop of ours. */
int fl_loop_is_gc(PyObject *op);

/* loop if it is one of ours, else NULL. Borrowed. */
static inline LoopObject *
fl_loop_of(PyObject *loop)
{
    return Py_TYPE(loop)->tp_is_gc == fl_loop_is_gc ? (LoopObject *)(void *)loop : NULL;
}

static inline int
fl_loop_check_closed(LoopObject *self)
{
    if (self->closed) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return -1;
    }
    return 0;
}

PyObject *fl_loop_close(PyObject *op, PyObject *ignored);

/* fast: whether callbacks are queued without a look at who does: it is open, not in
 * debug mode and, which another thread finds, not asleep. One load. */
static inline bool
fl_loop_is_plain(const LoopObject *self)
{
    uint32_t any;
    _Static_assert(
        offsetof(LoopObject, zero) == offsetof(LoopObject, closed) + 3, "together"
    );
    memcpy(&any, &self->closed, sizeof(any));
    return any == 0;
}

/* loop_methods.c */
extern PyMethodDef fl_loop_methods[];
/* Wrong-thread check of debug mode: 0, or -1 with RuntimeError. */
int fl_loop_check_thread(LoopObject *self);

/* loop_attrs.c */
extern PyGetSetDef fl_loop_getset[];

/* ground/overrides.c */
FL_SLOW uint32_t fl_loop_read_overrides(LoopObject *self);
int fl_loop_setattro(PyObject *op, PyObject *name, PyObject *value);

/* Which methods are replaced; a compare and a load when nothing changed. */
static inline uint32_t
fl_loop_overrides(LoopObject *self)
{
    unsigned int version = Py_TYPE(self)->tp_version_tag;
    if (FL_UNLIKELY(version != self->type_version)) {
        return fl_loop_read_overrides(self);
    }
    return self->type_overrides | self->instance_overrides;
}

/* Has the loop's class have the methods that a program has replaced on asyncio's base
 * classes. A compare when those have not changed. escapes. 0, or -1 with an exception.
 */
int fl_loop_show_patches(struct fl_state *state);

/* Is the loop's clock CLOCK_MONOTONIC, or has somebody replaced it? */
static inline bool
fl_loop_has_plain_clock(LoopObject *self)
{
    return !(fl_loop_overrides(self) & FL_OVERRIDES_ANY_TIME) &&
           !fl_time_is_replaced(self->state);
}

/* time.get_clock_info('monotonic') on Linux */
#define FL_CLOCK_RESOLUTION 1e-9

/* loop.time(). escapes. -1.0 with an exception set on failure. */
FL_SLOW double fl_loop_ask_time(LoopObject *self);

/* The loop's clock in seconds; escapes only if it is replaced. -1.0 with an exception
 * set on failure. */
static inline double
fl_loop_now(LoopObject *self)
{
    return FL_LIKELY(fl_loop_has_plain_clock(self)) ? fl_clock_monotonic_s()
                                                    : fl_loop_ask_time(self);
}

/* Timers before this are due at now_s. */
static inline double
fl_loop_end_of_due(const LoopObject *self, double now_s)
{
    double end_s = now_s + self->clock_resolution;
    /* lost in a large clock: what equals it is due all the same */
    return end_s <= now_s ? nextafter(now_s, INFINITY) : end_s;
}

/* MemoryError; returns -1. */
FL_SLOW int fl_loop_push_failed(void);

/* Queues a word; on failure the exception is set and nothing is owned. (Inline: 10
 * instructions a switch.) */
static inline int
fl_loop_push(LoopObject *self, uintptr_t word)
{
    return FL_UNLIKELY(fl_ring_push(&self->ready, word) < 0) ? fl_loop_push_failed()
                                                             : 0;
}

PyObject *fl_loop_call_soon(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_call_soon_threadsafe(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_call_later(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_call_at(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *
fl_loop_call_soon_internal(PyObject *op, PyObject *const *args, Py_ssize_t n_args);
PyObject *fl_loop_make_handle(PyObject *op, PyObject *const *args, Py_ssize_t n_args);
PyObject *fl_loop_add_callback(PyObject *op, PyObject *handle);
PyObject *fl_loop_run_handle(PyObject *op, PyObject *handle);
PyObject *fl_loop_add_callback_signalsafe(PyObject *op, PyObject *handle);
PyObject *fl_loop_timer_handle_cancelled(PyObject *op, PyObject *handle);

/* loop_drop.c */
/* Gives up what a word of the ring owns. escapes. */
void fl_loop_drop_word(uintptr_t word);
/* Drops every queued entry and timer: close, clear; dying: dealloc. */
void fl_loop_drop_queued(LoopObject *self, bool dying);

/* loop_run.c */
PyObject *fl_loop_run_forever(PyObject *op, PyObject *ignored);
PyObject *fl_loop_run_until_complete(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_run_once(PyObject *op, PyObject *ignored);
PyObject *fl_loop_run_forever_setup(PyObject *op, PyObject *ignored);
PyObject *fl_loop_run_forever_cleanup(PyObject *op, PyObject *ignored);

/* core/task/task_entry.c */
/* Are such; for the lookout: the task notes when the step ended. */
int fl_loop_run_task(LoopObject *self, uintptr_t word);
int fl_loop_run_noting_task(LoopObject *self, uintptr_t word);

/* loop_metrics.c */
PyObject *fl_loop_stats(PyObject *op, PyObject *ignored);
PyObject *fl_loop_read_metrics(PyObject *op, PyObject *ignored);
PyObject *fl_loop_reset_metrics(PyObject *op, PyObject *ignored);
/* watch/slow_steps.c */
/* The rate of the clock's ticks, as known best now. */
void fl_loop_settle_rate(LoopObject *self, int64_t now_ticks, int64_t now_ns);
/* Counts a step, of the entry or between steps (0), that took longer than most. An
 * exception that is set stays. */
FL_SLOW void fl_loop_note_slow(LoopObject *self, uintptr_t word, int64_t ticks);

/* Counts the step of an entry that the ring still has a reference to, if it is not an
 * alarm. It ends now, and began at the end of the last one. */
FL_INLINE void
fl_loop_count_step(LoopObject *self, uintptr_t word)
{
    int64_t end = fl_clock_ticks();
    int64_t ticks = end - self->last_step_ticks;
    self->last_step_ticks = end;
    if (FL_UNLIKELY(!fl_metrics_step(&self->metrics, ticks))) {
        fl_loop_note_slow(self, word, ticks);
    }
}

/* The same for what lies between a step's end and now_ticks, such as a finalizer of
 * what it left behind, if it was slow. */
FL_INLINE void
fl_loop_count_between(LoopObject *self, int64_t now_ticks)
{
    int64_t ticks = now_ticks - self->last_step_ticks;
    if (FL_UNLIKELY(ticks > self->metrics.between_ticks)) {
        fl_loop_note_slow(self, 0, ticks);
    }
    self->last_step_ticks = now_ticks;
}

/* source.c */
/* Flushes what was deferred; escapes. An exception set before stays, and counts as
 * a failure. 0, or -1 with an exception. */
FL_APART int fl_loop_flush_deferred(LoopObject *self);
/* The same for the loop that runs in this thread, if one does; escapes. */
int fl_thread_flush(const struct fl_state *state);
PyObject *fl_loop_send_waiting(PyObject *op, PyObject *ignored);

static inline int
fl_loop_flush(LoopObject *self)
{
    return self->deferred == NULL ? 0 : fl_loop_flush_deferred(self);
}

/* The watches of the loop's own. */
static inline size_t
fl_loop_count_internal(const LoopObject *self)
{
    size_t n = self->wakeup.event_fd >= 0 ? 1 : 0;
    return n + (self->wakeup.signal_read_fd >= 0 ? 1 : 0);
}

/* Whether the poller has any but those. */
static inline bool
fl_loop_has_watches(const LoopObject *self)
{
    return self->poller.n_watches > fl_loop_count_internal(self);
}

/* loop_poll.c */
/* Of iterations that skip their poll, those that look for signals whatever is known of
 * them. */
#define FL_SIGNAL_PERIOD 16

/* The poll of one iteration, or its permitted skip; runs signal handlers. thread: the
 * calling one's. *looked_s: the time if it was looked at and nobody has run or slept
 * since, else NAN. escapes. 0, or -1 with an exception. */
int fl_loop_poll(LoopObject *self, PyThreadState *thread, double *looked_s);

/* Of a loop that has nothing to do: sleeps that long at most, 0 not at all, -1 for
 * ever; unless there is something to do by then. runs signal handlers. escapes. 0, or
 * -1 with an exception. */
int fl_loop_poll_within(LoopObject *self, PyThreadState *thread, int64_t timeout_ns);

/* Is there anything to do before the next sleep? */
static inline bool
fl_loop_is_busy(const LoopObject *self)
{
    return fl_ring_count(&self->ready) > 0 || self->stopping || self->deferred != NULL;
}

/* Is this the interpreter's only Python thread? */
static inline bool
fl_is_only_thread(const PyThreadState *thread)
{
    return thread->next == NULL && thread->prev == NULL;
}

/* Could nobody but this thread and its signals tell a poll from none? */
static inline bool
fl_loop_is_alone(const LoopObject *self, const PyThreadState *thread)
{
    return fl_is_only_thread(thread) && !fl_loop_has_watches(self) &&
           (self->signal_handlers == NULL ||
            PyDict_GET_SIZE(self->signal_handlers) == 0);
}

/* Whether an iteration that skips its poll need not look for signals either. */
static inline bool
fl_loop_skips_signals(LoopObject *self, PyThreadState *thread)
{
    return ++self->skipped_polls % FL_SIGNAL_PERIOD != 0 &&
           !fl_signals_may_wait(self->state, thread);
}

/* fast: whether there is no need to call the former. thread: the calling one's. (A
 * forked loop, too, may go without until it has nothing to do.) */
static inline bool
fl_loop_skips_poll(LoopObject *self, PyThreadState *thread)
{
    return fl_ring_count(&self->ready) > 0 && self->skips_freely &&
           fl_loop_is_alone(self, thread) && fl_loop_skips_signals(self, thread);
}

PyObject *fl_loop_process_events(PyObject *op, PyObject *events);
PyObject *fl_loop_poll_for(PyObject *op, PyObject *timeout);
PyObject *fl_loop_poll_timeout(PyObject *op, PyObject *ignored);
/* Whether the turn of a watch may do its next one's work at once: a poll could find
 * nothing else, no timer is due soon, and the last poll is as recent as in a busy
 * streak. */
bool fl_loop_may_stay(LoopObject *self);

/* Called at any sign that the program is doing I/O: polls are then made in
 * every iteration, as asyncio makes them. */
static inline void
fl_loop_note_io(LoopObject *self)
{
    self->quiet_iterations = 0;
}

/* loop_watch.c */
PyObject *
fl_loop_add_reader(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw);
PyObject *
fl_loop_add_writer(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw);
PyObject *fl_loop_remove_reader(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_remove_writer(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *
fl_loop__add_reader(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw);
PyObject *
fl_loop__add_writer(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw);
PyObject *fl_loop__remove_reader(PyObject *op, PyObject *fd);
PyObject *fl_loop__remove_writer(PyObject *op, PyObject *fd);
/* RuntimeError and -1 if fd is an open transport's. escapes. */
PyObject *fl_loop_ensure_fd_no_transport(PyObject *op, PyObject *fileobj);
int fl_loop_check_no_transport(LoopObject *self, int fd);
/* future, of the exact type of ours, is set to None when fd is ready for event, or
 * its error to be met; replaces who was told before. escapes. 0, or -1 with
 * RuntimeError (closed), ValueError or OSError. */
int fl_loop_watch_future(LoopObject *self, int fd, uint32_t event, PyObject *future);
/* Ends that, unless the future was told or replaced. escapes. */
void fl_loop_unwatch_future(LoopObject *self, int fd, uint32_t event, PyObject *future);
PyObject *fl_loop_watched_events(PyObject *op, PyObject *fd);

/* reader_watch.c */
int fl_loop_traverse_watches(LoopObject *self, visitproc visit, void *arg);
void fl_loop_drop_watches(LoopObject *self);
/* The fd was opened, or given, anew: a watch of its number gives way. escapes. */
void fl_loop_drop_stale_watch(LoopObject *self, int fd);
/* For a poller without an epoll, which has no other way to know: the watches whose
 * number is another file's are stale. By the inode, so one eventfd is like another. */
void fl_loop_mark_stale(LoopObject *self);
/* What a user has put in; looks at each. */
size_t fl_loop_count_watches(LoopObject *self);

/* loop_check.c, in debug builds: what is inconsistent, or NULL. */
const char *fl_loop_check(const LoopObject *self);

/* loop_signals.c */
int fl_loop_open_wakeup(LoopObject *self);
void fl_loop_close_wakeup(LoopObject *self);
/* Take the process's wake-up fd for the rest of a run, and give it back. A run takes it
 * before it first sleeps: two system calls and a look for the main thread, of which a
 * run that never sleeps needs none. One with signal handlers begins with it. */
int fl_loop_take_wakeup_fd(LoopObject *self);
int fl_loop_begin_signals(LoopObject *self);
int fl_loop_return_wakeup_fd(LoopObject *self);
/* Wakes the loop if it sleeps in a poll. */
void fl_loop_wake(LoopObject *self);
PyObject *fl_loop_write_to_self(PyObject *op, PyObject *ignored);
PyObject *fl_loop_read_from_self(PyObject *op, PyObject *ignored);
PyObject *fl_loop_handle_signal(PyObject *op, PyObject *signum);
PyObject *fl_loop_signal_fd(PyObject *op, PyObject *ignored);

/* loop_fork.c */
/* In a forked child: each loop lets go of what it shares with the parent's. 0, or -1
 * with an exception when that is done all the same. */
int fl_fork_leave_parent(struct fl_state *state);

/* To be called before the poller is told or asked of something new. escapes in a
 * forked child. 0 or -1. */
static inline int
fl_loop_ensure_own(LoopObject *self)
{
    return self->revive != NULL ? self->revive(self) : 0;
}

/* loop_tasks.c */
PyObject *fl_loop_create_future(PyObject *op, PyObject *ignored);
PyObject *fl_loop_create_task(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_set_task_factory(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_get_task_factory(PyObject *op, PyObject *ignored);
/* What asyncio's own create_task calls: for asyncio.eager_task_factory the one that
 * makes our tasks. */
PyObject *fl_loop_get_inner_task_factory(PyObject *op, void *closure);
PyObject *fl_loop_set_exception_handler(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_loop_get_exception_handler(PyObject *op, PyObject *ignored);
PyObject *fl_loop_asyncgen_firstiter(PyObject *op, PyObject *agen);
PyObject *fl_loop_asyncgen_finalizer(PyObject *op, PyObject *agen);

#endif
