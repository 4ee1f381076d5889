/* Task: the type; how tasks are made and die. */
#include "core/task/task.h"

#include "core/future/future_iter.h"
#include "core/future/task_wakeup.h"
#include "core/task/task_observe.h"
#include "core/task/task_registry.h"
#include "core/task/task_step.h"
#include "py/args/call.h"
#include "py/state/tables.h"

#define LINK offsetof(TaskObject, base.future.loop)

/* ---- making ---- */

/* asyncio.iscoroutine(coro), its answers kept by type as asyncio keeps them: 1, 0 or
 * -1. escapes unless it is a plain coroutine. */
static int
is_coroutine(struct fl_state *state, PyObject *coro)
{
    /* types, not objects: a program has few */
    enum { MAX_KEPT = 100 };

    if (PyCoro_CheckExact(coro)) {
        return 1;
    }
    if (state->types.coroutine_types == NULL) {
        state->types.coroutine_types = PySet_New(NULL);
        if (state->types.coroutine_types == NULL) {
            return -1;
        }
    }
    PyObject *type = (PyObject *)Py_TYPE(coro);
    int known = PySet_Contains(state->types.coroutine_types, type);
    if (known != 0) {
        return known;
    }
    int truth =
        fl_call_truth(PyObject_CallOneArg(state->iscoroutine, coro)); /* escapes */
    if (truth > 0 && PySet_GET_SIZE(state->types.coroutine_types) < MAX_KEPT &&
        PySet_Add(state->types.coroutine_types, type) < 0) {
        return -1;
    }
    return truth;
}

#if defined(FL_EAGER_TASK_NAMES)

static FL_APART void
write_name(struct fl_task_name *name, uint64_t number)
{
    static const char prefix[] = {'T', 'a', 's', 'k', '-'};
    size_t length = sizeof(prefix) + 1;
    for (uint64_t rest = number; rest >= 10; rest /= 10) {
        length++;
    }
    memcpy(name->text, prefix, sizeof(prefix));
    name->length = length;
    for (; length > sizeof(prefix); number /= 10) {
        name->text[--length] = (char)('0' + number % 10);
    }
}

/* Task-N. New, or NULL. */
static PyObject *
make_default_name(struct fl_state *state, uint64_t number)
{
    struct fl_task_name *last = &state->types.task_name;
    /* fast: only the last digit is another (a tenth of PyUnicode_FromFormat) */
    if (last->length != 0 && number == last->number + 1 && number % 10 != 0) {
        last->text[last->length - 1]++;
    }
    else {
        write_name(last, number);
    }
    last->number = number;
    PyObject *name = PyUnicode_New((Py_ssize_t)last->length, 'z');
    if (name != NULL) {
        memcpy(PyUnicode_1BYTE_DATA(name), last->text, last->length);
    }
    return name;
}

#else

static PyObject *
make_default_name(const struct fl_state *Py_UNUSED(state), uint64_t number)
{
    return PyLong_FromUnsignedLongLong(number); /* the text when it is asked for */
}

#endif

static PyObject *
make_name(struct fl_state *state, PyObject *name)
{
    if (name == NULL || name == Py_None) {
        return make_default_name(state, ++*state->types.task_names);
    }
    return PyUnicode_CheckExact(name) ? Py_NewRef(name) : PyObject_Str(name);
}

static PyObject *
make_context(const struct fl_state *state, TaskObject *self, PyObject *context)
{
    if (context == NULL || context == Py_None) {
        return PyContext_CopyCurrent();
    }
    if (state->types.checks_context && !PyContext_CheckExact(context)) {
        FL_TASK_FLAGS(&self->base)->log_destroy_pending = 0;
        PyErr_Format(
            PyExc_TypeError, "a contextvars.Context was expected, got " FL_CLASS,
            FL_CLASS_OF(context)
        );
        return NULL;
    }
    return Py_NewRef(context);
}

/* Whether the loop runs, as eager start wants it: 1, 0 or -1. */
static int
loop_is_running(const struct fl_state *state, TaskObject *self)
{
    const LoopObject *loop = fl_future_loop(fl_task_future(self));
    if (loop != NULL) {
        return loop->running != 0;
    }
    return fl_call_truth(
        PyObject_CallMethodNoArgs(self->base.future.loop, state->str_is_running)
    ); /* escapes */
}

FL_INLINE int
start(struct fl_state *state, TaskObject *self, bool eager_start, bool observed)
{
    int eagerly = eager_start ? loop_is_running(state, self) : 0;
    if (eagerly < 0) {
        return -1;
    }
    if (eagerly) {
        return observed ? fl_observe_start(state, self) : fl_task_start_eagerly(self);
    }
    if (fl_task_step_soon(self, NULL) < 0) {
        return -1;
    }
    return fl_task_register(state, self);
}

/* All but the future's fields and the first step. */
FL_INLINE int
fill(struct fl_state *state, TaskObject *self, const struct fl_task_args *args)
{
    struct fl_base_task *base = &self->base;
    PyObject *context = make_context(state, self, args->context);
    if (context == NULL) {
        return -1;
    }
    Py_XSETREF(base->context, context);
    Py_CLEAR(base->fut_waiter);
    FL_TASK_FLAGS(base)->must_cancel = 0;
    FL_TASK_FLAGS(base)->log_destroy_pending = 1;
    base->num_cancels_requested = 0;
    Py_XSETREF(base->coro, Py_NewRef(args->coro));
    PyObject *name = make_name(state, args->name);
    if (name == NULL) {
        return -1;
    }
    Py_XSETREF(base->name, name);
    return 0;
}

/* Of a coroutine of another kind, or one that is observed. */
static FL_APART int
init_apart(struct fl_state *state, TaskObject *self, const struct fl_task_args *args)
{
    int good = PyCoro_CheckExact(args->coro) ? 1 : is_coroutine(state, args->coro);
    if (good <= 0) {
        FL_TASK_FLAGS(&self->base)->log_destroy_pending = 0;
        if (good == 0) {
            PyErr_Format(
                PyExc_TypeError, "a coroutine was expected, got %R", args->coro
            );
        }
        return -1;
    }
    if (fill(state, self, args) < 0) {
        return -1;
    }
    bool observed = state->types.plain_coroutine == NULL;
    self->base.stepped = fl_observe_moment(fl_clock_ticks());
    if (observed && (state->recorder != NULL || state->types.observe_created != NULL) &&
        fl_observe_created(state, self) < 0) { /* escapes */
        /* its maker hears of it: that it dies pending is no news */
        FL_TASK_FLAGS(&self->base)->log_destroy_pending = 0;
        return -1;
    }
    return start(state, self, args->eager_start, observed); /* escapes */
}

/* The part of __init__ behind Future's. */
static int
task_init(struct fl_state *state, TaskObject *self, const struct fl_task_args *args)
{
#if defined(FL_HAVE_THREAD_TASKS)
    self->base.future.is_task = 1;
#endif
    /* fast: nothing to look at; NULL is no type, so this also asks for observers */
    if (FL_UNLIKELY(Py_TYPE(args->coro) != state->types.plain_coroutine)) {
        /* fast: the lookout looks at the note alone (40 instructions a task) */
        if (Py_TYPE(args->coro) == state->types.noted_coroutine && !args->eager_start) {
            self->base.stepped = fl_observe_moment(fl_clock_ticks());
        }
        else {
            return init_apart(state, self, args); /* escapes */
        }
    }
    return fill(state, self, args) < 0 ? -1
                                       : start(state, self, args->eager_start, false);
}

static PyObject *
task_alloc(struct fl_state *state, PyTypeObject *type)
{
    struct fl_freelist *list =
        type == state->task_type ? &state->types.free_tasks : NULL;
    bool fresh;
    PyObject *op = fl_freelist_alloc(list, type, LINK, &fresh);
    if (op == NULL) {
        return NULL;
    }
#if defined(FL_HAVE_TASK_SETS)
    if (fresh) {
        fl_list_init(&fl_task(op)->pending);
    }
#endif
    state->counts.tasks++;
    return op;
}

PyObject *
fl_task_new(LoopObject *loop, const struct fl_task_args *args)
{
    PyObject *op = task_alloc(loop->state, loop->state->task_type);
    if (op != NULL && (fl_future_init_fresh(fl_future(op), loop) < 0 ||
                       task_init(loop->state, fl_task(op), args) < 0)) {
        Py_CLEAR(op);
    }
    return op;
}

static PyObject *
task_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    struct fl_state *state = fl_state_of_type(type);
    PyObject *op = state == NULL ? NULL : task_alloc(state, type);
    if (op != NULL) {
        /* until __init__, which a subclass may skip: asyncio's getters, called
         * unbound, do not expect NULL */
        fl_task(op)->base.coro = Py_NewRef(Py_None);
        fl_task(op)->base.context = Py_NewRef(Py_None);
    }
    return op;
}

static int
task_tp_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    struct fl_task_args parsed = {NULL, NULL, NULL, NULL, false};
#if defined(FL_HAVE_EAGER_START)
    static char *names[] = {"coro", "loop", "name", "context", "eager_start", NULL};
    int eager_start = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwds, "O|$OOOp:Task", names, &parsed.coro, &parsed.loop, &parsed.name,
            &parsed.context, &eager_start
        )) {
        return -1;
    }
    parsed.eager_start = eager_start != 0;
#else
    static char *names[] = {"coro", "loop", "name", "context", NULL};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwds, "O|$OOO:Task", names, &parsed.coro, &parsed.loop, &parsed.name,
            &parsed.context
        )) {
        return -1;
    }
#endif
    struct fl_state *state = fl_state_of_type(Py_TYPE(op));
    if (state == NULL || fl_future_init(fl_future(op), parsed.loop) < 0) {
        return -1;
    }
    return task_init(state, fl_task(op), &parsed);
}

/* ---- dying ---- */

static int
task_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct fl_base_task *base = &fl_task(op)->base;
    Py_VISIT(base->context);
    Py_VISIT(base->coro);
    Py_VISIT(base->name);
    Py_VISIT(base->fut_waiter);
    return fl_future_traverse_base(op, visit, arg);
}

/* All that it holds; escapes. It is in no list of tasks any more: what is cleared is
 * shown to nobody. */
static inline void
clear_references(PyObject *op)
{
    struct fl_base_task *base = &fl_task(op)->base;
    fl_future_clear_base(op);
    Py_CLEAR(base->context);
    Py_CLEAR(base->coro);
    Py_CLEAR(base->name);
    Py_CLEAR(base->fut_waiter);
}

static int
task_clear(PyObject *op)
{
    fl_task_unregister(fl_task(op));
    clear_references(op); /* escapes */
    return 0;
}

static bool
dies_pending(const TaskObject *self)
{
    return self->base.future.status == FL_FUTURE_PENDING &&
           FL_TASK_FLAGS(&self->base)->log_destroy_pending &&
           self->base.future.loop != NULL;
}

static void
task_finalize(PyObject *op)
{
    TaskObject *self = fl_task(op);
    if (dies_pending(self)) {
        fl_task_unregister_collected(self);
        PyObject *outer = fl_error_take();
        const struct fl_state *state = fl_future_dying_state(fl_future(op));
        if (state != NULL && state->lookout != NULL &&
            fl_lookout_lint(state, "lost", op) < 0) { /* escapes */
            PyErr_WriteUnraisable(op);
        }
        if (state != NULL) {
            PyObject *message =
                PyUnicode_FromString("Task was destroyed but it is pending!");
            fl_future_report(
                fl_future(op), state, message, state->str_task, NULL
            ); /* escapes */
        }
        fl_error_restore(outer);
    }
    fl_future_report_unretrieved(fl_future(op)); /* escapes */
}

static void
reset(TaskObject *self)
{
    fl_future_reset(fl_task_future(self));
    FL_TASK_FLAGS(&self->base)->must_cancel = 0;
    FL_TASK_FLAGS(&self->base)->log_destroy_pending = 0;
    self->base.num_cancels_requested = 0;
    self->base.stepped = 0;
}

static void
task_dealloc(PyObject *op)
{
    TaskObject *self = fl_task(op);
    if ((dies_pending(self) || self->base.future.log_tb) &&
        PyObject_CallFinalizerFromDealloc(op) < 0) {
        return; /* resurrected */
    }
    PyTypeObject *type = Py_TYPE(op);
    fl_task_unregister(self);
    PyObject_GC_UnTrack(op);
    PyObject_ClearWeakRefs(op);
    struct fl_state *state = fl_future_dying_state(fl_future(op));
    clear_references(op); /* escapes */
    reset(self);
    if (state != NULL) {
        state->counts.tasks--;
    }
    if (state == NULL || type != state->task_type ||
        !fl_freelist_keep(&state->types.free_tasks, op, LINK)) {
        type->tp_free(op);
    }
    Py_DECREF(type);
}

static int
count_kept(const struct fl_types_state *types)
{
    return types->free_tasks.count + types->free_futures.count +
           types->free_iters.count + types->wakeups.count;
}

bool
fl_task_trim(struct fl_state *state, int max)
{
    const struct fl_types_state *types = &state->types;
    /* fast: none is above max, if that is a power of two less than what all have */
    if ((types->free_tasks.count | types->free_futures.count | types->free_iters.count |
         types->wakeups.count) <= max) {
        return false;
    }
    int before = count_kept(types);
    fl_freelist_trim(&state->types.free_tasks, max, LINK);
    fl_future_trim(state, max);
    fl_future_iter_trim(state, max);
    fl_task_wakeup_trim(state, max);
    return count_kept(types) != before;
}

static PyObject *
task_repr(PyObject *op)
{
    if (fl_future_check_alive(fl_future(op)) < 0) {
        return NULL;
    }
    const struct fl_state *state = fl_future_state(fl_future(op));
    return state == NULL ? NULL
                         : PyObject_CallOneArg(state->task_repr, op); /* escapes */
}

static PyObject *
task_iter(PyObject *op)
{
    return fl_future_iter_new(op);
}

/* ---- the type ---- */

#if defined(FL_HAVE_EAGER_START)
#define TASK_SIGNATURE \
    "Task(coro, *, loop=None, name=None, context=None, eager_start=False)\n--\n\n"
#else
#define TASK_SIGNATURE "Task(coro, *, loop=None, name=None, context=None)\n--\n\n"
#endif

PyDoc_STRVAR(
    task_doc, TASK_SIGNATURE
    "A coroutine driven by an event loop: asyncio.Task, which it derives from, in "
    "C.\n\n"
    "loop: the event loop; by default the current one. name: str() of it is the name.\n"
    "context: the contextvars.Context to run in; by default a copy of the current "
    "one.\n"
    "eager_start (3.12+): run up to the first suspension at once, if the loop runs.\n"
    "Raises: TypeError if coro is no coroutine."
);

static PyType_Slot task_slots[] = {
    {Py_tp_doc, (void *)task_doc},
    {Py_tp_new, task_tp_new},
    {Py_tp_init, task_tp_init},
    {Py_tp_traverse, task_traverse},
    {Py_tp_clear, task_clear},
    {Py_tp_finalize, task_finalize},
    {Py_tp_dealloc, task_dealloc},
    {Py_tp_repr, task_repr},
    {Py_tp_iter, task_iter},
    {Py_am_await, task_iter},
    {Py_tp_methods, fl_task_methods},
    {Py_tp_getset, fl_task_getset},
    {0, NULL},
};

static PyType_Spec task_spec = {
    .name = "fastloop.Task",
    .basicsize = sizeof(TaskObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = task_slots,
};

#if defined(FL_HAVE_EAGER_START)
/* asyncio.eager_task_factory makes asyncio's Task; on a loop of ours the factory
 * that makes ours takes its place. */
static int
add_eager_factory(struct fl_state *state)
{
    PyObject *tasks = PyImport_ImportModule("asyncio.tasks");
    if (tasks == NULL) {
        return -1;
    }
    state->types.eager_factory = PyObject_GetAttrString(tasks, "eager_task_factory");
    if (state->types.eager_factory != NULL) {
        state->types.own_eager_factory = PyObject_CallMethod(
            tasks, "create_eager_task_factory", "O", state->task_type
        );
    }
    Py_DECREF(tasks);
    return state->types.own_eager_factory == NULL ? -1 : 0;
}
#else
static int
add_eager_factory(struct fl_state *Py_UNUSED(state))
{
    return 0;
}
#endif

int
fl_task_add_type(PyObject *module, struct fl_state *state)
{
    state->types.plain_coroutine = &PyCoro_Type;
    if (!state->types.own) {
        return PyModule_AddObjectRef(module, "Task", state->asyncio_Task);
    }
    if (fl_task_callable_add_types(module, state) < 0) {
        return -1;
    }
    PyObject *base = fl_base_type("Task");
    if (base == NULL) {
        return -1;
    }
    int status = fl_make_type(&state->task_type, module, &task_spec, base);
    Py_DECREF(base);
    if (status < 0 || fl_add_methods(state->task_type, fl_future_methods) < 0 ||
        add_eager_factory(state) < 0) {
        return -1;
    }
    return PyModule_AddType(module, state->task_type);
}
