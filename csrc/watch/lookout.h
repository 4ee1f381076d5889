/* The lookout: a thread that sees a step go on for too long, while it does.
 *
 * It has no Python thread state and never asks for the GIL, so that it sees also what
 * holds that. It looks at when the step under way began, which the loop keeps for its
 * metrics, at most twice in the time that is the limit, and not at all while every loop
 * is at rest; one that wakes then calls it. What it sees is a sight, which a second
 * thread, the teller, tells to Python as soon as it can have the GIL. If that takes too
 * long the lookout finds out what it can without, and writes it to a file itself.
 *
 * One for each interpreter that asked for it, watching the loops that run. Its calls
 * are for who holds the GIL; whoever waits for its lock waits for no GIL.
 */
#ifndef FASTLOOP_WATCH_LOOKOUT_H
#define FASTLOOP_WATCH_LOOKOUT_H

#include "base/hot.h"
#include "base/list.h"
#include "os/clock.h"
#include "py/compat.h"

#include <sys/types.h>

struct LoopObject;
struct fl_lookout;
struct fl_state;

#define FL_SIGHT_DUMP 8000

/* A loop that is watched: one that runs. In the loop. */
struct fl_watched {
    struct fl_list link;        /* in the lookout's list; the lookout's lock */
    struct fl_lookout *lookout; /* NULL if nobody watches */
    struct LoopObject *loop;
    PyThreadState *python_thread;
    pid_t thread;
    uint64_t run;       /* tells this run of this loop from all others */
    int64_t stamp;      /* when the step last seen began, as the loop has it */
    int64_t since;      /* the same, but for one that went on after runs inside of it */
    int64_t half_ticks; /* when it was first found to be long, */
    int64_t half_awake_ns; /* and how long the thread had not slept */
    uint64_t polls;        /* at which it was last found with nothing to wait for */
    uint64_t looked_polls; /* when it was last found asleep */
    int stage;             /* how far the step has come: lookout.c */
    int64_t noted_ticks;   /* steps that ended since then are noted by their tasks;
                            * 0: the one that was under way may not be over */
    int64_t told_of; /* stamp of the step that was told of and has not ended yet */
};

enum fl_sight_kind {
    FL_SIGHT_FIRST,
    FL_SIGHT_AGAIN,
    FL_SIGHT_END,
};

/* What there is to tell of a step. */
struct fl_sight {
    uint64_t number;
    uint64_t run;
    int64_t stamp;
    enum fl_sight_kind kind;
    double elapsed_s;
    double awake_share;    /* of the second half of the limit; negative: not known */
    double gc_share;       /* of all of it */
    unsigned int n_untold; /* blocks before it that there was no time to tell of */
    bool blind;            /* it had the GIL all the while */
    bool awake;
    int64_t queued_ns; /* CLOCK_MONOTONIC */
    char name[96];     /* of a step that is over, or empty */
    char call[32];     /* the system call that it slept in, or empty */
    size_t dump_size;
    char dump[FL_SIGHT_DUMP + 1]; /* the stack as faulthandler writes it */
};

struct fl_lookout_settings {
    double limit_s;
    int dump_read_fd; /* of a pipe that does not block; both are the lookout's to close
                       */
    int dump_write_fd;
    int dump_signal; /* makes the thread that gets it write its stack there, or 0 */
    int tell_fd;     /* where to write what cannot wait for the GIL, or -1; likewise */
    int listen_fd;   /* a socket where other processes ask, or -1; likewise */
};

/* Starts it, and watches the loops that run. teller: called in a thread of its own when
 * there are sights, something is to be checked, or somebody asks: with the question, or
 * 0; answers with bytes. linter: fl_lookout_lint. 0, or -1 with an exception; then the
 * fds are still the caller's. */
int fl_lookout_start(
    struct fl_state *state, const struct fl_lookout_settings *settings,
    PyObject *teller, PyObject *linter
);

/* Ends it, with its threads, if there is one. Waits for the teller. */
void fl_lookout_stop(struct fl_state *state);

/* The child's copy has no threads: forgets it. */
void fl_lookout_after_fork(struct fl_state *state);

/* The oldest sight is taken; false if there is none. *loop: the one it is of, new, or
 * NULL if that run is over; *live: whether the step still goes on. */
bool fl_lookout_take(
    struct fl_lookout *self, struct fl_sight *sight, PyObject **loop, bool *live
);

/* A loop that runs, new, its thread, and the seconds of a step over the limit, or 0. */
struct fl_watched_now {
    struct LoopObject *loop;
    pid_t thread;
    double over_s;
};

/* Seconds since a task noted that moment (core/task/task_observe.h), exactly or at
 * least. */
double fl_lookout_since(
    struct fl_lookout *self, const struct LoopObject *loop, uint32_t moment, bool *exact
);

/* Those that run, up to so many. How many there are. */
size_t
fl_lookout_loops(struct fl_lookout *self, struct fl_watched_now *loops, size_t max);

/* A run of a loop begins, in this thread, and ends. Neither fails. */
void fl_lookout_enter(struct LoopObject *loop);
void fl_lookout_leave(struct LoopObject *loop);

/* A loop that slept goes on: calls the lookout if that rests. */
FL_APART void fl_lookout_call(struct fl_lookout *self);

/* Whether a step that long is of interest to whoever watches the loop, if anybody. */
bool fl_lookout_minds(const struct LoopObject *loop, int64_t ticks);

/* Such a step has ended, having begun at stamp. */
void fl_lookout_step_ended(
    struct LoopObject *loop, int64_t stamp, int64_t ticks, const char *name
);

/* linter(kind, op) is called: op is what is suspect. escapes. 0, or -1 with an
 * exception that leaves the loop. */
FL_SLOW int
fl_lookout_lint(const struct fl_state *state, const char *kind, PyObject *op);

/* Has the teller called in so many seconds, also if there is nothing to tell, unless it
 * is to be sooner. */
void fl_lookout_check_in(struct fl_lookout *self, double seconds);

/* The garbage collector begins and ends. */
void fl_lookout_gc(struct fl_lookout *self, bool begins);

#endif
