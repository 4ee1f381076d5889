/* The lookout's own: what its two threads, and the loops, share under its lock. */
#ifndef FASTLOOP_WATCH_LOOKOUT_STATE_H
#define FASTLOOP_WATCH_LOOKOUT_STATE_H

#include "watch/lookout.h"

#include <pthread.h>
#include <signal.h>

#define FL_N_SIGHTS 4
#define FL_N_COLLECTIONS 256

struct fl_collection {
    int64_t begin_ticks;
    int64_t end_ticks; /* 0 while it lasts */
};

#define FL_TOKENS_MAX 10.0
#define FL_HATCH_TEXT ((size_t)4 * FL_SIGHT_DUMP)

/* Where other processes ask. */
struct fl_hatch {
    int listen_fd; /* the settings' */
    ino_t inode;   /* of that, while it is open */
    bool opened;   /* there is a thread */
    pthread_t thread;
    char text[FL_HATCH_TEXT]; /* the thread's */

    pthread_cond_t answered; /* and the lookout's lock, for all below */
    char question;           /* that waits for the teller, or 0 */
    bool taken;              /* Python is at it */
    char *answer;            /* owned, or NULL */
    size_t size;
};

struct fl_lookout {
    struct fl_lookout_settings settings;
    PyInterpreterState *interpreter;
    PyObject *teller; /* owned, as is the next */
    PyObject *linter;
    pthread_t looking;
    pthread_t telling;
    sigset_t usual_signals; /* blocked by the thread that began it */
    void (*dumps)(int);     /* the handler of the settings' signal */
    /* how often the lookout was called, on which it waits: no file, which the program
     * could close */
    uint32_t n_calls;
    bool resting;  /* it waits for a call only; atomic */
    bool stop;     /* atomic */
    bool orphaned; /* stopped by its own teller, which is to free it */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t told;  /* a sight was taken */
    pthread_cond_t seen;  /* there is one, or stop */
    struct fl_list watched;
    struct fl_tick_rate rate;
    int64_t began_ticks;
    uint64_t n_runs;
    int64_t check_ns; /* when to ask Python to check (CLOCK_MONOTONIC), or 0 */
    bool check;       /* it is to be asked */
    struct fl_sight sights[FL_N_SIGHTS]; /* the oldest first */
    unsigned int n_sights;
    struct fl_sight draft; /* the lookout's */
    uint64_t n_seen;
    uint64_t n_taken; /* the number of the last that was */

    /* how often blocks may be told of */
    double tokens;
    int64_t tokens_ticks;
    unsigned int n_untold;

    /* the last collections of garbage, by number; written under the GIL */
    struct fl_collection collections[FL_N_COLLECTIONS];
    unsigned int n_collections;

    struct fl_hatch hatch;
};

/* lookout.c. Under the lock: what can be told of the step under way; whether it is over
 * the limit. */
void fl_lookout_describe(
    const struct fl_lookout *self, const struct fl_watched *watched, int64_t now,
    struct fl_sight *sight
);
bool fl_lookout_is_over(const struct fl_watched *watched);
/* The thread that looks; has it look at once; has it look at a run of a loop, which is
 * the thread's. */
void *fl_lookout_look(void *self);
void fl_lookout_wake(struct fl_lookout *self);
void fl_lookout_watch(
    struct fl_lookout *self, struct LoopObject *loop, PyThreadState *thread
);
/* So long from now. */
void fl_lookout_after(struct timespec *when, int64_t ns);
/* A moment's sleep, where what should wait cannot. */
void fl_lookout_pause(void);

/* hatch.c. Its thread begins, if there is a socket: 0 or an error's number; ends: false
 * if it cannot be had to, so that the lookout must stay. */
int fl_hatch_open(struct fl_lookout *self);
bool fl_hatch_end(struct fl_lookout *self);
/* Whether the program has closed its socket, and so all other files too. */
bool fl_hatch_is_lost(const struct fl_lookout *self);
/* The teller's, with the GIL: what is asked, now its to answer, or 0; the answer, of
 * which a copy is kept, or NULL. */
char fl_hatch_question(struct fl_lookout *self);
void fl_hatch_answer(struct fl_lookout *self, const char *text, size_t size);

/* sights.c. Under the lock: queues a copy; 0 if there is no room, else its number. */
uint64_t fl_sight_queue(struct fl_lookout *self, const struct fl_sight *sight);
/* Under the lock: the loop of a run that is not over, borrowed, or NULL. */
struct LoopObject *fl_sight_loop(const struct fl_lookout *self, uint64_t run);
/* The teller's thread. */
void *fl_sight_tell(void *lookout);
/* The share that garbage collection had of what lies between. */
double fl_sight_gc_share(const struct fl_lookout *self, int64_t begin, int64_t end);

/* lookout_life.c. Whether the signal is still what it was taken for: the program may
 * have found a use for it. */
bool fl_lookout_has_signal(const struct fl_lookout *self);

/* blind.c. Without the GIL: fills in what can be found out, and writes it. */
void fl_blind_look(
    const struct fl_lookout *self, struct fl_sight *sight, pid_t thread,
    PyThreadState *python_thread
);
void fl_blind_write(const struct fl_lookout *self, const struct fl_sight *sight);
/* Takes the signal's handler, faulthandler's, for what is to be sent. */
void fl_blind_take_handler(struct fl_lookout *self);

#endif
