/* Handle: a callback to run once, in its context.
 *
 * A subclass of asyncio.Handle that keeps in its inherited slots what may be any
 * object; what must be what we take it for lies behind. asyncio's own descriptors
 * write into the slots (asyncio.Handle._context.__set__(handle, None)): whoever reads
 * one asks what it is, and holds a reference while others run. Both handle types share
 * one struct: in a plain Handle the two slots of asyncio.TimerHandle are spare.
 *
 * Up to three arguments are kept inline, with a spare word in front of them for
 * the vectorcall of a bound method.
 *
 * Who owns a handle, and what it owns, by its state:
 *
 *   state     owned by             its loop  GC   begins with            ends
 *   queued    ring or timers, and  borrowed  no   fl_handle_alloc        settled,
 *             others perhaps                                             recycled,
 *                                                                        orphaned
 *   settled   others               owned     yes  fl_handle_settle       recycled
 *   orphaned  others               NULL      yes  fl_handle_forget_loop
 *                                            then fl_handle_orphan
 *   recycled  a freelist of its    NULL      no   handle_recycle,        queued
 *             loop, nobody else                   fl_handle_dealloc
 *
 * In each it may be freed, by its last owner.
 *
 * Queued (`queued` is not 0) is one from its making to the end of its run. The garbage
 * collector does not track it, or it would walk every pending timer again and again
 * (call_soon of 100,000: 326 ns each instead of 200): the loop traverses what it holds
 * in its stead. So a pending handle does not keep a loop alive that nobody else holds;
 * such a loop closes itself with a ResourceWarning, and its handles are orphans: each
 * forgets the loop, cancelled for good, before the first of them lets others run.
 *
 * Settled is one that left its queue while somebody else holds it, or that is to be
 * shown or kept before: an ordinary object. It may be put into the ring once more
 * (_add_callback), which then owns a reference as anybody does.
 *
 * Recycled is an emptied one with that one reference: nobody else knows it, and it
 * knows nothing. Its queue was its last owner, or it died settled on an open loop.
 * Its callback's slot leads to the next; a sanitized build poisons it.
 */
#ifndef FASTLOOP_CORE_HANDLE_H
#define FASTLOOP_CORE_HANDLE_H

#include "base/timers.h"
#include "core/loop/loop.h"

#define FL_HANDLE_N_INLINE 3

/* handle->queued of one that call_soon_threadsafe queued. */
#define FL_HANDLE_FROM_THREAD 2

typedef struct {
    PyObject_HEAD
    /* the slots of asyncio.Handle, in its layout (sorted by name) */
    PyObject *args;     /* tuple, or NULL if the arguments are inline */
    PyObject *callback; /* NULL once cancelled */
    PyObject *slot_cancelled;
    PyObject *context;
    PyObject *slot_loop;
    PyObject *repr;             /* NULL: made on demand */
    PyObject *source_traceback; /* NULL outside debug mode */
#ifndef FL_HAVE_MANAGED_WEAKREF
    PyObject *weakrefs;
#endif
    /* the slots of asyncio.TimerHandle */
    PyObject *slot_scheduled;
    PyObject *when; /* what call_at was given, if it was not a float */
    /* ours */
    LoopObject *loop; /* borrowed while queued; NULL if it died before */
    PyObject *vector[1 + FL_HANDLE_N_INLINE];
    uint8_t n_inline;
    char cancelled;
    char running;
    char queued;         /* 0, 1, or FL_HANDLE_FROM_THREAD */
    char threadsafe;     /* is a ThreadSafeHandleObject */
    char context_shared; /* context is a snapshot: py/context.h */
    char context_made;   /* it was one, and nobody was given it */
} HandleObject;

/* The names of the first of them, in order. */
#define FL_HANDLE_SLOTS \
    "_args _callback _cancelled _context _loop _repr _source_traceback __weakref__"

typedef struct {
    HandleObject base;
    struct fl_timer timer;
} TimerHandleObject;

int fl_handle_add_type(PyObject *module, struct fl_state *state);

/* A new Handle of loop, to be queued; its context is a snapshot of the current
 * one if context is NULL. args: borrowed. New reference or NULL. */
HandleObject *fl_handle_new(
    LoopObject *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n_args,
    PyObject *context
);

/* Makes a handle that is not, or no longer, queued an ordinary object. */
void fl_handle_settle(HandleObject *self);

/* Gives up the reference of a queue that the handle has left. escapes. */
void fl_handle_release(HandleObject *self);

/* The same where the loop is dying, in two passes, for whoever holds a handle must not
 * reach what has no references left: first each forgets the loop and is cancelled for
 * good, then the queue gives up its references. Only the second escapes. */
void fl_handle_forget_loop(HandleObject *self);
void fl_handle_orphan(HandleObject *self);

/* Visits what the loop owns in one queue entry. */
int fl_handle_traverse_queued(HandleObject *self, visitproc visit, void *arg);

/* Tell a thread-safe handle that its callback runs, and has ended. */
void fl_handle_run_begins(HandleObject *self);
void fl_handle_run_ended(HandleObject *self);

/* Gives up callback and arguments. escapes. */
FL_APART void fl_handle_drop_args(HandleObject *self);

FL_INLINE void
fl_handle_drop_call(HandleObject *self)
{
    Py_CLEAR(self->callback); /* escapes */
    if (self->args != NULL || self->n_inline != 0) {
        fl_handle_drop_args(self); /* escapes */
    }
}

/* Leaves a loop's freelists what a quiet one needs. escapes. Whether there was more. */
bool fl_handle_trim_lists(LoopObject *loop);

/* Frees what a loop's freelists hold. */
void fl_handle_free_lists(LoopObject *loop);

/* For the other types of handle: */
int fl_handle_fill(
    HandleObject *self, LoopObject *loop, PyObject *callback, PyObject *const *args,
    Py_ssize_t n_args, PyObject *context
);
HandleObject *
fl_handle_alloc(PyTypeObject *type, LoopObject *loop, struct fl_handle_freelist *list);
int fl_handle_traverse(PyObject *op, visitproc visit, void *arg);
int fl_handle_clear(PyObject *op);
void fl_handle_dealloc(PyObject *op);

/* ---- handle_run.c ---- */

/* Runs the callback in its context; its exception goes to the loop's exception
 * handler. escapes. 0, or -1 if SystemExit or KeyboardInterrupt was raised, or
 * if the handler itself raised. */
int fl_handle_run(HandleObject *self);

/* Tells the loop's exception handler of exc, as if the callback of made had raised it:
 * for what has no handle unless it fails. Steals exc and made, a new handle, or NULL
 * with an exception set. escapes. 0, or -1 with an exception. */
int fl_handle_report_as(HandleObject *made, LoopObject *loop, PyObject *exc);

/* Makes the handle's context one that nobody else has and that may be handed out. 0, or
 * -1 with an exception. */
int fl_handle_own_context(HandleObject *self);

/* As handle.cancel() on a Handle that waits for nothing but its turn. -1 if the
 * repr kept in debug mode raised. */
int fl_handle_cancel(HandleObject *self);

/* Whether a Handle, of any class, was cancelled: 0 or 1, or -1 with an exception.
 * escapes. */
int fl_handle_is_cancelled(const LoopObject *loop, PyObject *handle);

/* handle_methods.c */
extern PyGetSetDef fl_handle_getset[];
extern PyMethodDef fl_handle_methods[];
/* Adds to a type whose base derives from asyncio.Handle, and so not from ours,
 * what ours has and the type has not. */
int fl_handle_add_inherited(PyTypeObject *type);

#endif
