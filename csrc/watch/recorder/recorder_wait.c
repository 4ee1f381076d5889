/* What a task waits for: read from its coroutines, as they stand at a step's end.
 *
 * The innermost function of the program's says where; what it calls of asyncio's says
 * for what, by the innermost of those that has a public name: `async with lock` is
 * Lock.acquire. If it awaits a future itself that says what it is. So the way in only
 * finds the innermost; what they are is asked on the way out, to the first that is the
 * program's.
 */
#include "py/await/awaitable.h"
#include "watch/recorder/recorder_state.h"

#define DEEPEST 10000u /* of coroutines; nobody has a circle of them */
#define N_KEPT 32u     /* of the innermost; the library's own are few */

struct walk {
    struct fl_recorder *recorder;
    PyObject *code;  /* the program's innermost, else the outermost; or NULL */
    int instruction; /* where it stands */
    uint32_t outer;  /* name of the library's function that the program called */
    uint32_t public; /* of the innermost one that is public */
};

static void
pass_library(struct walk *self, uint32_t number, bool is_private)
{
    self->outer = number;
    self->public = self->public != 0 || is_private ? self->public : number;
}

/* A function on the way out. instruction: -1 if there is no frame. Whether it is the
 * program's. */
static bool
pass(struct walk *self, PyObject *code, int instruction)
{
    struct fl_recorder *recorder = self->recorder;
    uint32_t number = fl_record_name(recorder, code);
    if (number == 0) {
        return false;
    }
    const struct fl_recorded_name *name =
        FL_RECORDED(recorder->names, fl_recorded_name, number);
    if (!name->is_librarys || instruction >= 0) {
        self->code = code;
        self->instruction = instruction;
    }
    if (name->is_librarys) {
        pass_library(self, number, name->is_private);
    }
    return !name->is_librarys;
}

/* A coroutine in C of ours. As pass. */
static bool
pass_ours(struct walk *self, PyObject *op)
{
    struct fl_coroutine_look look = {NULL, NULL, NULL};
    fl_coroutine_look(op, &look);
    if (look.function != NULL) {
        return pass(self, PyFunction_GET_CODE(look.function), -1);
    }
    if (look.text != NULL) {
        pass_library(self, fl_record_text(self->recorder, look.text), false);
    }
    return false;
}

/* What it awaits: borrowed, or NULL. Whether it is suspended: else nothing is known. */
static bool
step_in(const struct fl_suspended *suspended, PyObject *op, PyObject **awaited)
{
    if (!PyCoro_CheckExact(op) && fl_is_coroutine(op)) {
        struct fl_coroutine_look look = {NULL, NULL, NULL};
        fl_coroutine_look(op, &look);
        *awaited = look.inner;
        return true;
    }
    return fl_suspended_step(suspended, op, awaited);
}

/* Whether it is the program's. */
static bool
ask_who(struct walk *self, PyObject *op)
{
    const struct fl_suspended *suspended = &self->recorder->suspended;
    if (fl_is_coroutine(op)) {
        return pass_ours(self, op);
    }
    PyObject *code = fl_suspended_code(suspended, op);
    return code != NULL &&
           pass(self, code, fl_suspended_instruction(suspended, op, code));
}

static void
walk_in(struct walk *self, PyObject *op)
{
    PyObject *kept[N_KEPT], *awaited;
    size_t depth = 0;
    while (op != NULL && depth < DEEPEST &&
           step_in(&self->recorder->suspended, op, &awaited)) {
        kept[depth++ % N_KEPT] = op;
        op = awaited;
    }
    size_t end = depth > N_KEPT ? depth - N_KEPT : 0;
    bool found = false;
    while (depth > end && !found) {
        found = ask_who(self, kept[--depth % N_KEPT]);
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
    struct walk found = {.recorder = self};
    PyObject *future = task->base.fut_waiter;
    if (task->base.coro != NULL) {
        walk_in(&found, task->base.coro);
    }
    struct fl_recorded_wait wait = {0, 0};
    if (found.code != NULL) {
        wait.place = fl_record_place(self, found.code, found.instruction);
    }
    if (future == NULL) {
        return wait; /* its turn comes again by itself */
    }
    wait.name = found.public != 0 ? found.public : found.outer;
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
