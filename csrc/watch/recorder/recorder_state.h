/* The recorder's own: what its rooms share. */
#ifndef FASTLOOP_WATCH_RECORDER_STATE_H
#define FASTLOOP_WATCH_RECORDER_STATE_H

#include "base/keys.h"
#include "core/task/task.h"
#include "py/await/suspended.h"
#include "watch/recorder/recorder.h"

#define FL_RECORD_ROOM_MAX 100000000
#define FL_RECORD_SPARE 512        /* room for the ends of what is under way */
#define FL_RECORD_NAMES_MAX 500000 /* of names, and of places */

struct fl_event {
    int64_t ticks;
    uint32_t subject;
    uint32_t other;
    uint32_t place;
    uint8_t kind;
};

enum fl_outcome { FL_OUTCOME_NONE, FL_RETURNED, FL_RAISED, FL_CANCELLED };

/* A name that becomes a text when it is all over. */
struct fl_recorded_name {
    PyObject *op; /* owned: a code object, a type or a str; or NULL */
    const char *text;
    uint32_t task;    /* whose name it is, or 0 */
    bool is_librarys; /* code of asyncio's or ours */
    bool is_private;  /* its last part begins with an underscore */
};

struct fl_recorded_place {
    PyObject *code; /* owned */
    int instruction;
};

struct fl_recorded_task {
    PyObject *name; /* owned: a str or an int; or NULL */
    uint32_t coroutine;
    uint32_t loop;
    uint32_t parent;
    uint32_t place;
    uint8_t outcome;
};

struct fl_recorded_loop {
    unsigned long thread;
    PyObject *name;   /* owned, its thread's; or NULL */
    PyObject *opened; /* owned: a weak reference to the task whose step was under way */
    uint32_t opened_task;
};

/* Numbered from 1. */
struct fl_recorded_list {
    void *items;
    size_t count;
    size_t room;
};

/* Names that are there from the beginning; 0 is none. */
enum { FL_NAME_TIMER = 1, FL_NAME_IO, FL_NAME_THREAD, FL_NAME_GATHER, FL_NAME_FUTURE };

struct fl_recorder {
    struct fl_state *state;
    uint64_t run; /* tells it from all others */
    struct fl_event *events;
    size_t count;
    size_t room;
    uint64_t n_lost;
    int64_t began_ticks;
    int64_t began_ns;

    struct fl_keys name_keys, place_keys, task_keys;
    struct fl_recorded_list names, places, tasks, loops;

    struct fl_suspended suspended;
    PyObject *folders; /* owned: a tuple of str */
    PyTypeObject *partial;
    PyObject *str_func;
    PyObject *name_of_thread;
};

/* ---- recorder.c ---- */

FL_INLINE void
fl_record_at(
    struct fl_recorder *self, int64_t ticks, enum fl_event_kind kind, uint32_t subject,
    uint32_t other, uint32_t place
)
{
    if (FL_UNLIKELY(self->count >= self->room)) {
        self->n_lost++;
        return;
    }
    self->events[self->count++] =
        (struct fl_event){ticks, subject, other, place, (uint8_t)kind};
}

FL_INLINE void
fl_record(
    struct fl_recorder *self, enum fl_event_kind kind, uint32_t subject, uint32_t other,
    uint32_t place
)
{
    fl_record_at(self, fl_clock_ticks(), kind, subject, other, place);
}

/* What is known of the loop, which is entered if it is new. NULL without memory. */
struct fl_recorded *fl_record_loop(struct fl_recorder *self, struct LoopObject *loop);

/* What was queued since is due to what is under way: tasks are woken by it. own: whose
 * wake-up is left out; whether there was one. */
bool fl_record_woken(
    struct fl_recorder *self, struct LoopObject *loop, struct fl_recorded *recorded,
    const PyObject *own
);

/* A ring of a loop's: its time is now, whoever is woken by what is queued next. */
void fl_record_push(struct fl_ring *ring);

/* A task's number, given now if it has none; 0 without memory. */
uint32_t fl_record_task(struct fl_recorder *self, PyObject *task);

/* The end of a task's step, at a time; it may be done. */
void fl_record_end(
    struct fl_recorder *self, struct LoopObject *loop, TaskObject *task,
    uint32_t number, int64_t ticks
);

/* Writes the end of a step that was under way when recording began, if it is over. */
void fl_record_settle(
    struct fl_recorder *self, struct LoopObject *loop, struct fl_recorded *recorded
);

/* ---- recorder_names.c ---- */

/* The number of a new item, zeroed, or 0 without memory. */
uint32_t fl_recorded_add(struct fl_recorded_list *list, size_t size);

static inline void *
fl_recorded_item(const struct fl_recorded_list *list, size_t size, uint32_t number)
{
    return (char *)list->items + (size_t)(number - 1) * size;
}

#define FL_RECORDED(list, type, number) \
    ((struct type *)fl_recorded_item(&(list), sizeof(struct type), number))

/* Numbers of names: of a code object or a type; of a text that stays; of a task. */
uint32_t fl_record_name(struct fl_recorder *self, PyObject *op);
uint32_t fl_record_text(struct fl_recorder *self, const char *text);
uint32_t fl_record_task_name(struct fl_recorder *self, uint32_t task);
/* Of a builtin method. */
uint32_t fl_record_method(struct fl_recorder *self, PyObject *method);
/* The number of a place: an instruction, or -1 for the code's first line. */
uint32_t fl_record_place(struct fl_recorder *self, PyObject *code, int instruction);

/* Whether it is the program's code, and not asyncio's or ours. */
bool fl_record_is_programs(struct fl_recorder *self, PyObject *code);
/* Whether a name is of asyncio's code or ours, and not public. */
bool fl_record_is_inner(const struct fl_recorder *self, uint32_t number);

/* ---- recorder_wait.c ---- */

/* The name of a coroutine object. */
uint32_t fl_record_coroutine(struct fl_recorder *self, PyObject *coro);

/* What a suspended task waits for, and where. */
struct fl_recorded_wait {
    uint32_t name;
    uint32_t place;
};
struct fl_recorded_wait fl_record_wait(
    struct fl_recorder *self, const struct fl_state *state, const TaskObject *task
);

#endif
