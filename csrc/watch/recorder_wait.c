/* What a task waits for: read from its coroutines, as they stand at a step's end.
 *
 * The innermost function of the program's says where; what it calls of asyncio's says
 * for what, by the innermost of those that has a public name: `async with lock` is
 * Lock.acquire. If it awaits a future itself that says what it is.
 */
#include "py/awaitable.h"
#include "watch/recorder_state.h"

#define DEEPEST 10000 /* of coroutines; nobody has a circle of them */

struct walk {
    struct fl_recorder *recorder;
    PyObject *code;  /* the program's innermost, else the outermost; or NULL */
    int instruction; /* where it stands */
    uint32_t outer;  /* name of the library's function that the program called */
    uint32_t public; /* of the innermost one that is public */
};

/* A function on the way in. instruction: -1 if there is no frame. */
static void
pass(struct walk *self, PyObject *code, int instruction)
{
    struct fl_recorder *recorder = self->recorder;
    uint32_t number = fl_record_name(recorder, code);
    if (number == 0) {
        return;
    }
    const struct fl_recorded_name *name =
        FL_RECORDED(recorder->names, fl_recorded_name, number);
    if (!name->is_librarys) {
        self->outer = self->public = 0;
        self->code = code;
        self->instruction = instruction;
        return;
    }
    if (self->code == NULL && instruction >= 0) {
        self->code = code;
        self->instruction = instruction;
    }
    self->outer = self->outer == 0 ? number : self->outer;
    self->public = name->is_private ? self->public : number;
}

/* A coroutine in C of ours: what it awaits, borrowed, or NULL. */
static PyObject *
pass_ours(struct walk *self, PyObject *op)
{
    struct fl_coroutine_look look = {NULL, NULL, NULL};
    fl_coroutine_look(op, &look);
    if (look.function != NULL) {
        pass(self, PyFunction_GET_CODE(look.function), -1);
    }
    else if (look.text != NULL) {
        uint32_t number = fl_record_text(self->recorder, look.text);
        self->outer = self->outer == 0 ? number : self->outer;
        self->public = number;
    }
    return look.inner;
}

static void
walk_in(struct walk *self, PyObject *op)
{
    const struct fl_suspended *suspended = &self->recorder->suspended;
    for (int depth = 0; op != NULL && depth < DEEPEST; depth++) {
        if (fl_is_coroutine(op)) {
            op = pass_ours(self, op);
            continue;
        }
        const struct fl_suspended_kind *kind = fl_suspended_kind(suspended, op);
        if (kind == NULL) {
            return;
        }
        PyObject *code = fl_suspended_code(suspended, op);
        if (code != NULL) {
            pass(self, code, fl_suspended_instruction(suspended, op, code));
        }
        op = fl_suspended_awaits(kind, op);
    }
}

/* The name of a future itself. */
static uint32_t
name_of_future(struct fl_recorder *self, const struct fl_state *state, PyObject *future)
{
    if (PyObject_TypeCheck(future, state->task_type)) {
        return fl_record_task_name(self, fl_record_task(self, future));
    }
    if (Py_IS_TYPE(future, state->gathering_type) ||
        strcmp(fl_type_short_name(Py_TYPE(future)), "_GatheringFuture") == 0) {
        return FL_NAME_GATHER;
    }
    return Py_IS_TYPE(future, state->future_type)
               ? FL_NAME_FUTURE
               : fl_record_name(self, (PyObject *)Py_TYPE(future));
}

struct fl_recorded_wait
fl_record_wait(
    struct fl_recorder *self, const struct fl_state *state, const TaskObject *task
)
{
    struct walk walk = {.recorder = self};
    PyObject *future = task->base.fut_waiter;
    if (task->base.coro != NULL) {
        walk_in(&walk, task->base.coro);
    }
    struct fl_recorded_wait wait = {0, 0};
    if (walk.code != NULL) {
        wait.place = fl_record_place(self, walk.code, walk.instruction);
    }
    if (future == NULL) {
        return wait; /* its turn comes again by itself */
    }
    wait.name = walk.public != 0 ? walk.public : walk.outer;
    if (wait.name == 0) {
        wait.name = name_of_future(self, state, future);
    }
    return wait;
}

uint32_t
fl_record_coroutine(struct fl_recorder *self, PyObject *coro)
{
    if (fl_is_coroutine(coro)) {
        struct fl_coroutine_look look = {NULL, NULL, NULL};
        fl_coroutine_look(coro, &look);
        if (look.function != NULL) {
            return fl_record_name(self, PyFunction_GET_CODE(look.function));
        }
        if (look.text != NULL) {
            return fl_record_text(self, look.text);
        }
    }
    if (PyCoro_CheckExact(coro) || PyGen_CheckExact(coro)) {
        PyObject *code = fl_suspended_code(&self->suspended, coro);
        if (code != NULL) {
            return fl_record_name(self, code);
        }
    }
    return fl_record_name(self, (PyObject *)Py_TYPE(coro));
}
