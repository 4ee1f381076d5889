/* Mirrors of asyncio's C structs: are they what this asyncio has?
 *
 * One real task and one real future of asyncio are made on a stand-in for a
 * loop, and looked at where the mirrors say. They are also asked how this patch
 * release behaves where releases differ.
 */
#include "py/mirror/mirror.h"

#include "py/error.h"

#include <stdlib.h>
#include <string.h>

/* What the probe holds; all owned, NULL until made. */
struct probe {
    PyObject *asyncio; /* the C module */
    PyObject *loop;
    PyObject *coro;
    PyObject *context;
    PyObject *name;
    PyObject *future;
    PyObject *task;
};

/* An object with the two methods a task calls on its loop when it is made:
 * get_debug() is bool(), and call_soon() takes whatever it gets. */
static PyObject *
make_stand_in(void)
{
    PyObject *types = PyImport_ImportModule("types");
    PyObject *text = types == NULL ? NULL : PyUnicode_FromString("");
    PyObject *call_soon = text == NULL ? NULL : PyObject_GetAttrString(text, "format");
    PyObject *loop = NULL;
    if (call_soon != NULL) {
        loop = PyObject_CallMethod(types, "SimpleNamespace", NULL);
    }
    if (loop != NULL &&
        (PyObject_SetAttrString(loop, "call_soon", call_soon) < 0 ||
         PyObject_SetAttrString(loop, "get_debug", (PyObject *)&PyBool_Type) < 0)) {
        Py_CLEAR(loop);
    }
    Py_XDECREF(types);
    Py_XDECREF(text);
    Py_XDECREF(call_soon);
    return loop;
}

static PyObject *
make_coroutine(void)
{
    PyObject *tasks = PyImport_ImportModule("asyncio.tasks");
    PyObject *coro = NULL;
    if (tasks != NULL) {
        coro = PyObject_CallMethod(tasks, "sleep", "i", 0);
        Py_DECREF(tasks);
    }
    return coro;
}

/* type(*args, loop=loop, name=..., context=...) */
static PyObject *
make_object(struct probe *probe, const char *type_name, bool is_task)
{
    PyObject *type = PyObject_GetAttrString(probe->asyncio, type_name);
    PyObject *keywords = type == NULL ? NULL : PyDict_New();
    PyObject *args = NULL, *result = NULL;
    if (keywords != NULL) {
        args = is_task ? PyTuple_Pack(1, probe->coro) : PyTuple_New(0);
    }
    if (args != NULL && PyDict_SetItemString(keywords, "loop", probe->loop) == 0 &&
        (!is_task ||
         (PyDict_SetItemString(keywords, "name", probe->name) == 0 &&
          PyDict_SetItemString(keywords, "context", probe->context) == 0))) {
        result = PyObject_Call(type, args, keywords);
    }
    Py_XDECREF(type);
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    return result;
}

static int
probe_make(struct probe *probe)
{
    probe->asyncio = PyImport_ImportModule("_asyncio");
    probe->loop = probe->asyncio == NULL ? NULL : make_stand_in();
    probe->coro = probe->loop == NULL ? NULL : make_coroutine();
    probe->context = probe->coro == NULL ? NULL : PyContext_New();
    probe->name =
        probe->context == NULL ? NULL : PyUnicode_FromString("fastloop-probe");
    if (probe->name == NULL) {
        return -1;
    }
    probe->future = make_object(probe, "Future", false);
    probe->task = probe->future == NULL ? NULL : make_object(probe, "Task", true);
    if (probe->task == NULL) {
        return -1;
    }
    return PyObject_SetAttrString(probe->task, "_log_destroy_pending", Py_False);
}

static void
probe_drop(struct probe *probe)
{
    if (probe->coro != NULL) {
        Py_XDECREF(PyObject_CallMethod(probe->coro, "close", NULL));
    }
    Py_XDECREF(probe->task);
    Py_XDECREF(probe->future);
    Py_XDECREF(probe->name);
    Py_XDECREF(probe->context);
    Py_XDECREF(probe->coro);
    Py_XDECREF(probe->loop);
    Py_XDECREF(probe->asyncio);
}

static bool
structs_match(const struct probe *probe)
{
    PyTypeObject *future_type = Py_TYPE(probe->future);
    PyTypeObject *task_type = Py_TYPE(probe->task);
    if (future_type->tp_basicsize != (Py_ssize_t)sizeof(struct fl_base_future) ||
        task_type->tp_basicsize != (Py_ssize_t)sizeof(struct fl_base_task)) {
        return false;
    }
    const struct fl_base_task *task = fl_base_task(probe->task);
#if defined(FL_HAVE_INLINE_DICT)
    if (future_type->tp_dictoffset != offsetof(struct fl_base_future, dict) ||
        future_type->tp_weaklistoffset != offsetof(struct fl_base_future, weakrefs)) {
        return false;
    }
#endif
#if defined(FL_HAVE_THREAD_TASKS)
    const struct fl_base_future *future = fl_base_future(probe->future);
    if (task->future.is_task != 1 || future->is_task != 0 ||
        future->awaited_by != NULL || task->node.next == NULL ||
        task->node.prev == NULL) {
        return false;
    }
#endif
    return task->future.loop == probe->loop && task->coro == probe->coro &&
           task->context == probe->context && task->name == probe->name;
}

/* The same of what is in the fields. */
static int
fields_match(struct probe *probe, bool *matches)
{
    PyObject *made[4] = {NULL, NULL, NULL, NULL};
    const struct fl_mirror_words words = {probe->name, probe->coro, probe->context};
    int status = 0;
    for (int i = 0; i < 4 && status == 0; i++) {
        made[i] = make_object(probe, i < 3 ? "Future" : "Task", i == 3);
        status = made[i] == NULL ? -1 : 0;
    }
    if (status == 0) {
        status = fl_mirror_fields_match(made, made[3], &words, matches);
    }
    for (int i = 0; i < 4; i++) {
        Py_XDECREF(made[i]);
    }
    return status;
}

#if defined(FL_HAVE_THREAD_TASKS)

/* How far behind the public part of a thread state to look, in bytes: it ends in
 * a far larger private part in every version with these fields. */
#define SEARCH_BYTES 640

static Py_ssize_t
find_word(const void *word)
{
    const char *thread = (const char *)PyThreadState_Get();
    for (size_t at = sizeof(PyThreadState); at < sizeof(PyThreadState) + SEARCH_BYTES;
         at += sizeof(void *)) {
        if (memcmp(thread + at, &word, sizeof(void *)) == 0) {
            return (Py_ssize_t)at;
        }
    }
    return 0;
}

/* The list's head is the one node that lies in the thread state. */
static Py_ssize_t
find_tasks_head(const struct fl_base_node *node)
{
    uintptr_t start = (uintptr_t)PyThreadState_Get() + sizeof(PyThreadState);
    for (const struct fl_base_node *at = node->next; at != node; at = at->next) {
        if (at == NULL) {
            return 0;
        }
        uintptr_t address = (uintptr_t)at;
        if (address >= start && address < start + SEARCH_BYTES) {
            return (Py_ssize_t)(address - start + sizeof(PyThreadState));
        }
    }
    return 0;
}

/* function(a[, b]) that undoes something, at the second try if need be: what stays
 * would be met by the next loop. 0, or -1 with the first exception. */
static int
undo(PyObject *function, PyObject *a, PyObject *b)
{
    PyObject *exc = fl_error_take();
    bool undone = false;
    for (int tries = 0; tries < 2 && !undone; tries++) {
        PyObject *result = PyObject_CallFunctionObjArgs(function, a, b, NULL);
        undone = result != NULL;
        Py_XDECREF(result);
        exc = fl_error_first(exc);
    }
    fl_error_restore(exc);
    return exc == NULL ? 0 : -1;
}

/* Looks for the probe's task while it is the current one. */
static int
find_running_task(struct fl_types_state *types, const struct probe *probe)
{
    PyObject *swap = PyObject_GetAttrString(probe->asyncio, "_swap_current_task");
    PyObject *outer =
        swap == NULL
            ? NULL
            : PyObject_CallFunctionObjArgs(swap, probe->loop, probe->task, NULL);
    int status = -1;
    if (outer != NULL) {
        types->running_task_offset = find_word(probe->task);
        status = undo(swap, probe->loop, outer);
        Py_DECREF(outer);
    }
    Py_XDECREF(swap);
    return status;
}

/* Makes the stand-in the running loop for the length of two searches. */
static int
find_thread_fields(struct fl_state *state, const struct probe *probe)
{
    struct fl_types_state *types = &state->types;
    PyObject *outer = PyObject_CallNoArgs(state->get_running_loop);
    if (outer == NULL) {
        return -1;
    }
    PyObject *result = PyObject_CallOneArg(state->set_running_loop, probe->loop);
    int status = -1;
    if (result != NULL) {
        Py_DECREF(result);
        types->running_loop_offset = find_word(probe->loop);
        status = find_running_task(types, probe);
        if (undo(state->set_running_loop, outer, NULL) < 0) {
            status = -1;
        }
    }
    types->tasks_head_offset = find_tasks_head(&fl_base_task(probe->task)->node);
    Py_DECREF(outer);
    return status;
}

static int
awaited_by_matches(const struct probe *probe, bool *matches)
{
    const struct fl_base_future *future = fl_base_future(probe->future);
    PyObject *result = PyObject_CallMethod(
        probe->asyncio, "future_add_to_awaited_by", "OO", probe->future, probe->task
    );
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    *matches = future->awaited_by == probe->task && future->awaited_by_is_set == 0;
    result = PyObject_CallMethod(
        probe->asyncio, "future_discard_from_awaited_by", "OO", probe->future,
        probe->task
    );
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
layout_matches(struct fl_state *state, const struct probe *probe, bool *matches)
{
    *matches = structs_match(probe);
    if (*matches && (find_thread_fields(state, probe) < 0 ||
                     awaited_by_matches(probe, matches) < 0)) {
        return -1;
    }
    *matches = *matches && state->types.running_loop_offset != 0 &&
               state->types.running_task_offset != 0 &&
               state->types.tasks_head_offset != 0;
    return 0;
}

#else

static int
layout_matches(struct fl_state *state, const struct probe *probe, bool *matches)
{
    *matches = structs_match(probe);
    PyObject *tasks = PyImport_ImportModule("asyncio.tasks");
    if (tasks == NULL) {
        return -1;
    }
    state->types.current_tasks = PyObject_GetAttrString(tasks, "_current_tasks");
    Py_DECREF(tasks);
    if (state->types.current_tasks == NULL) {
        return -1;
    }
    *matches = *matches && PyDict_CheckExact(state->types.current_tasks);
    return 0;
}

#endif

/* Calls a method that may raise; true if it returned. */
static bool
succeeds(PyObject *object, const char *method, PyObject *argument)
{
    PyObject *result = argument == NULL
                           ? PyObject_CallMethod(object, method, NULL)
                           : PyObject_CallMethod(object, method, "O", argument);
    if (result == NULL) {
        PyErr_Clear(); /* the answer is no */
        return false;
    }
    Py_DECREF(result);
    return true;
}

/* Task(coro, context=what is no context): refused since 3.15. */
static bool
refuses_bad_context(struct probe *probe)
{
    PyObject *context = probe->context;
    probe->context = probe->name;
    PyObject *task = make_object(probe, "Task", true);
    probe->context = context;
    if (task == NULL) {
        PyErr_Clear(); /* the answer is yes */
        return true;
    }
    if (PyObject_SetAttrString(task, "_log_destroy_pending", Py_False) < 0) {
        PyErr_Clear(); /* a line too many in the log is all it costs */
    }
    Py_DECREF(task);
    return false;
}

static void
learn_behaviour(struct fl_state *state, struct probe *probe)
{
    struct fl_types_state *types = &state->types;
    types->checks_context = refuses_bad_context(probe);
    PyObject *must_cancel = NULL;
    if (succeeds(probe->task, "cancel", NULL) &&
        succeeds(probe->task, "uncancel", NULL)) {
        must_cancel = PyObject_GetAttrString(probe->task, "_must_cancel");
    }
    PyErr_Clear(); /* the answer is no */
    types->uncancel_resets_must_cancel = must_cancel == Py_False;
    Py_XDECREF(must_cancel);
    types->stop_iteration_becomes_runtime_error =
        succeeds(probe->future, "set_exception", PyExc_StopIteration);
    succeeds(probe->future, "exception", NULL); /* mark it retrieved */
    PyObject *init = PyObject_GetAttrString(probe->future, "__init__");
    PyObject *again = init == NULL
                          ? NULL
                          : PyObject_Vectorcall(init, &probe->loop, 0, state->kw_loop);
    types->refuses_init_again = again == NULL;
    PyErr_Clear(); /* the answer is yes */
    Py_XDECREF(again);
    Py_XDECREF(init);
}

static void
tell_stock_types(struct fl_state *state)
{
    PyObject *debug = PyObject_CallNoArgs(state->is_debug_mode);
    if (debug == Py_True) {
        Py_XDECREF(PyObject_CallMethod(
            state->logger, "warning", "s",
            "fastloop does not know this asyncio's Task and Future: "
            "tasks and futures are asyncio's own."
        ));
    }
    Py_XDECREF(debug);
    PyErr_Clear(); /* only a hint; nothing depends on it */
}

int
fl_mirror_probe(struct fl_state *state)
{
    struct probe probe = {NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    bool matches = false;
    int status = probe_make(&probe);
    if (status == 0) {
        status = layout_matches(state, &probe, &matches);
    }
    if (status == 0 && matches) {
        status = fields_match(&probe, &matches);
    }
    if (status == 0 && matches) {
        learn_behaviour(state, &probe);
        status = fl_mirror_find_names(state, probe.asyncio, probe.loop, probe.coro);
    }
    PyObject *exc = fl_error_take();
    probe_drop(&probe);
    fl_error_restore(exc);
    if (status < 0) {
        return -1;
    }
    const char *forced = getenv("FASTLOOP_STOCK_TYPES");
    if (forced != NULL && strcmp(forced, "1") == 0) {
        matches = false;
    }
    state->types.own = matches;
    if (!matches) {
        tell_stock_types(state);
    }
    return 0;
}

PyObject *
fl_base_type(const char *name)
{
    PyObject *module = PyImport_ImportModule("_asyncio");
    PyObject *type = NULL;
    if (module != NULL) {
        type = PyObject_GetAttrString(module, name);
        Py_DECREF(module);
    }
    return type;
}

int
fl_mirror_traverse_dict(PyObject *op, visitproc visit, void *arg)
{
#if defined(FL_HAVE_INLINE_DICT)
    Py_VISIT(fl_base_future(op)->dict);
    return 0;
#else
    return PyObject_VisitManagedDict(op, visit, arg);
#endif
}

void
fl_mirror_clear_dict(PyObject *op)
{
#if defined(FL_HAVE_INLINE_DICT)
    Py_CLEAR(fl_base_future(op)->dict);
#else
    PyObject_ClearManagedDict(op);
#endif
}
