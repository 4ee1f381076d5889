/* An fd that an object of an upper floor watches, and its turns in the loop.
 *
 * The object embeds a struct fl_source. Its fd's readiness queues the source in the
 * ready ring; when the ring reaches it, kind->run is called in the source's context
 * with those events that are still wanted. While it is watched, queued or deferred
 * the loop owns references to the object.
 *
 * What an object puts off in a step, such as sending, it defers: kind->flush is
 * called when the step ends, before the next one and before any poll, also if the step
 * raises. One object at a time does so: who would be the second flushes the first.
 */
#ifndef FASTLOOP_CORE_SOURCE_H
#define FASTLOOP_CORE_SOURCE_H

#include "core/loop/loop.h"

struct fl_source;

struct fl_source_kind {
    /* One turn. escapes. 0, or -1 with an exception. */
    int (*run)(struct fl_source *self, uint32_t events);
    /* The end of a step that deferred. escapes. 0, or -1 with an exception. */
    int (*flush)(struct fl_source *self);
    /* Methods of the object that do the same: debug mode's handles call them. */
    const char *read_method;
    const char *write_method;
};

struct fl_source {
    struct fl_watch watch;
    uint32_t fired;      /* while queued: events to run for */
    bool queued;         /* in the ready ring */
    bool owns_fd;        /* see fl_source_own_fd */
    bool listed;         /* in loop._transports, whose word counts from then on */
    struct fl_list link; /* in loop->sources while watched */
    PyObject *owner;     /* borrowed: the object that embeds this */
    LoopObject *loop;    /* the object's reference, or NULL: it has no turns */
    PyObject *context;   /* the object's reference */
    PyObject
        *handles[2]; /* while watched, owned: debug mode's, for reading and writing */
    const struct fl_source_kind *kind;
    bool gives_way; /* to who adds a reader: a listener does */
};

void fl_source_init(
    struct fl_source *self, const struct fl_source_kind *kind, PyObject *owner, int fd
);

/* Watches for these events alone; events that fired and are not among them are
 * forgotten. May give up the loop's reference to the object, so hold another. 0, or
 * -1 with an exception, and then nothing has changed. */
int fl_source_want(struct fl_source *self, uint32_t events);

/* The same for no events at all; cannot fail. */
void fl_source_ignore(struct fl_source *self);

/* The fd is the source's: users may not watch it, and loop._transports names its
 * object. Until the fd is disowned. 0, or -1 with MemoryError. */
int fl_source_own_fd(struct fl_source *self);
void fl_source_disown_fd(struct fl_source *self);

/* What loop._remove_reader does to an fd that is a source's: true if it was watched for
 * any of the events. escapes. */
bool fl_source_remove(LoopObject *loop, int fd, uint32_t events);
/* The same, if it gives way. */
bool fl_source_yield(LoopObject *loop, int fd, uint32_t events);

/* A queued turn; the ring's reference is the caller's. escapes. 0, or -1 with an
 * exception that leaves the loop. */
int fl_source_run(struct fl_source *self);

/* Asks for a flush at the step's end; nothing else may be deferred. */
static inline void
fl_source_defer(struct fl_source *self)
{
    if (self->loop->deferred == NULL) {
        Py_INCREF(self->owner);
        self->loop->deferred = self;
    }
}

/* Takes back what was asked for. Hold a reference to the object. */
static inline void
fl_source_undefer(struct fl_source *self)
{
    if (self->loop->deferred == self) {
        self->loop->deferred = NULL;
        Py_DECREF(self->owner);
    }
}

/* For the loop: */
/* The source that owns the fd, or NULL. */
struct fl_source *fl_source_of_fd(const LoopObject *self, int fd);
/* Puts the objects that are not there yet into loop._transports. escapes. 0 or -1. */
int fl_source_list_owners(LoopObject *self);
void fl_loop_drop_sources(LoopObject *self);
int fl_loop_traverse_sources(LoopObject *self, visitproc visit, void *arg);

/* The owner of a ready word of kind FL_ENTRY_SOURCE. */
static inline PyObject *
fl_source_owner(uintptr_t word)
{
    return ((struct fl_source *)(word & ~FL_ENTRY_KIND_MASK))->owner;
}

/* Its Context; borrowed, or NULL. */
static inline PyObject *
fl_source_context(uintptr_t word)
{
    return ((struct fl_source *)(word & ~FL_ENTRY_KIND_MASK))->context;
}

/* Gives up such a word. escapes. */
void fl_source_forget_queued(uintptr_t word);

#endif
