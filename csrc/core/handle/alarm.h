/* Alarms: what our own code above the loop has instead of TimerHandles.
 *
 * asyncio's sleep() and timeouts set a timer by loop.call_later(delay, function, ...)
 * and take it back by handle.cancel(). An alarm is the same without the handle: a timer
 * of the loop that does in C what function does. It runs where the handle would run,
 * and nothing tells them apart: on any other loop, in debug mode and where a method of
 * the loop is replaced the alarm is the handle that the loop's method returns, and it
 * becomes one when somebody looks (loop._scheduled, fl_alarm_handle).
 */
#ifndef FASTLOOP_CORE_ALARM_H
#define FASTLOOP_CORE_ALARM_H

#include "core/loop/loop.h"

struct fl_alarm;

/* Lies in the object that set the alarm; zeroed it holds none. */
struct fl_alarm_slot {
    struct fl_alarm *alarm;
    PyObject *handle; /* owned; instead of an alarm */
};

/* What a handle would call. */
struct fl_alarm_call {
    PyObject *callback; /* owned */
    PyObject *args[2];  /* borrowed */
    Py_ssize_t n_args;
};

struct fl_alarm_kind {
    const char *name; /* of what sets it, for people */
    /* Does what the callback does. context: a snapshot, to be copied before it is
     * entered, for what may run other code. escapes. 0, or -1 with an exception. */
    int (*ring)(LoopObject *loop, PyObject *target, PyObject *value, PyObject *context);
    /* 0, or -1 with an exception. */
    int (*call)(
        struct fl_state *state, PyObject *target, PyObject *value,
        struct fl_alarm_call *call
    );
    /* For a kind that needs it, or NULL: the same two for an alarm that a slot holds,
     * ... */
    int (*ring_of)(LoopObject *loop, struct fl_alarm_slot *slot, PyObject *context);
    int (*call_of)(
        struct fl_alarm_slot *slot, double when_s, struct fl_alarm_call *call
    );
    /* ... and what comes when the slot holds the handle that was made of it. */
    void (*shown)(struct fl_alarm_slot *slot);
};

/* What it is about: the references are its own while it waits. */
struct fl_alarm_about {
    const struct fl_alarm_kind *kind;
    PyObject *target;
    PyObject *value; /* or NULL */
    bool plain;      /* if not, it is a handle */
};

/* Has it ring at that time of a loop that fl_alarm_loop() answers, as one that is
 * plain. The slot is empty. 0, or -1 with MemoryError. */
int fl_alarm_set(
    struct fl_alarm_slot *slot, LoopObject *loop, double when_s,
    const struct fl_alarm_about *about
);

/* As loop.call_later(delay, ...), loop.call_at(when, ...) and loop.call_soon(...), of a
 * loop of any kind. The slot is empty. escapes. 0, or -1 with an exception. */
int fl_alarm_later(
    struct fl_alarm_slot *slot, struct fl_state *state, PyObject *loop, PyObject *delay,
    const struct fl_alarm_about *about
);
int fl_alarm_at(
    struct fl_alarm_slot *slot, struct fl_state *state, PyObject *loop, PyObject *when,
    const struct fl_alarm_about *about
);
int fl_alarm_soon(
    struct fl_alarm_slot *slot, struct fl_state *state, PyObject *loop,
    const struct fl_alarm_about *about
);

static inline bool
fl_alarm_is_set(const struct fl_alarm_slot *slot)
{
    return slot->alarm != NULL || slot->handle != NULL;
}

/* handle.cancel(), and empties the slot. escapes. 0, or -1 with an exception. */
int fl_alarm_cancel(struct fl_alarm_slot *slot);

/* Empties the slot; what it held goes on. escapes. */
void fl_alarm_forget(struct fl_alarm_slot *slot);

/* The handle, made now if there was an alarm: new, or NULL with an exception; None for
 * an empty slot. */
PyObject *fl_alarm_handle(struct fl_alarm_slot *slot);

/* what(target) in a copy of the snapshot that ring() was given. escapes. 0, or -1 with
 * an exception. */
int fl_alarm_in_context(
    PyObject *snapshot, int (*what)(PyObject *target), PyObject *target
);

/* Whether the loop, which may be any object, has nothing replaced that matters: then
 * its clock is CLOCK_MONOTONIC. Borrowed, or NULL. */
LoopObject *fl_alarm_loop(PyObject *loop);

/* ---- for the loop ---- */

/* The ready ring's word for the alarm of a timer that is due. */
uintptr_t fl_alarm_word(struct fl_timer *timer);
/* A queued turn. escapes. 0, or -1 with an exception that leaves the loop. */
int fl_alarm_run(LoopObject *loop, uintptr_t word);
uint64_t fl_alarm_sequence(uintptr_t word);
const char *fl_alarm_name(uintptr_t word);
int fl_alarm_traverse_word(uintptr_t word, visitproc visit, void *arg);
int fl_alarm_traverse(struct fl_timer *timer, visitproc visit, void *arg);
/* Whose loop is dying: nobody knows it any more. */
void fl_alarm_let_go(struct fl_timer *timer);
void fl_alarm_let_go_word(uintptr_t word);
/* Gives up what was taken out of the ring, or of the timers. escapes. */
void fl_alarm_drop_word(uintptr_t word);
void fl_alarm_drop(struct fl_timer *timer);
/* Has each of the loop's timers be a handle. 0, or -1 with an exception. */
int fl_alarm_show_all(LoopObject *loop);
void fl_alarm_free_list(LoopObject *loop, int max);

#endif
