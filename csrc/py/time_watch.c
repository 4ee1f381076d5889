/* Whether time.monotonic, as asyncio's loop.time() finds it, is the clock we read, and
 * current_task the function that we know. */
#include "py/time_watch.h"

#include <string.h>

/* Borrowed, or NULL. */
static PyObject *
find(PyObject *dict, PyObject *name)
{
    PyObject *value = PyDict_GetItemWithError(dict, name);
    if (value == NULL) {
        PyErr_Clear(); /* no memory, or no such name: nothing of ours either way */
    }
    return value;
}

static bool
is_module_of(PyObject *module, PyObject *dict)
{
    return module != NULL && PyModule_Check(module) && PyModule_GetDict(module) == dict;
}

static bool
is_plain(const struct fl_state *state)
{
    if (!is_module_of(
            find(state->base_events_dict, state->str_time), state->time_dict
        )) {
        return false;
    }
    PyObject *function = find(state->time_dict, state->str_monotonic);
    if (function == NULL || !PyCFunction_CheckExact(function)) {
        return false;
    }
    const PyCFunctionObject *builtin = (PyCFunctionObject *)(void *)function;
    return strcmp(builtin->m_ml->ml_name, "monotonic") == 0 &&
           is_module_of(builtin->m_self, state->time_dict);
}

static bool
is_current_task_replaced(const struct fl_state *state)
{
    PyObject *tasks = state->asyncio_tasks;
    return PyModule_Check(tasks) &&
           find(PyModule_GetDict(tasks), state->str_current_task) !=
               state->current_task;
}

PyObject *
fl_time_call(const struct fl_state *state)
{
    PyObject *module = Py_XNewRef(find(state->base_events_dict, state->str_time));
    if (module == NULL) {
        PyErr_SetString(PyExc_NameError, "name 'time' is not defined");
        return NULL;
    }
    PyObject *now =
        PyObject_CallMethodNoArgs(module, state->str_monotonic); /* escapes */
    Py_DECREF(module);
    return now;
}

#ifdef FL_HAVE_DICT_WATCHERS

static const char capsule_name[] = "fastloop._core.time_watch";

/* Called before a change of one of the dictionaries, or of any that has our number. */
static int
on_change(
    PyDict_WatchEvent Py_UNUSED(event), PyObject *Py_UNUSED(dict),
    PyObject *Py_UNUSED(key), PyObject *Py_UNUSED(value)
)
{
    PyObject *all = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *key, *capsule;
    Py_ssize_t at = 0;
    while (all != NULL && PyDict_Next(all, &at, &key, &capsule)) {
        if (PyCapsule_IsValid(capsule, capsule_name)) {
            struct fl_time_watch *watch = PyCapsule_GetPointer(capsule, capsule_name);
            watch->suspect = true;
            watch->tasks_suspect = true;
            if (watch->on_suspect != NULL) {
                watch->on_suspect(FL_CONTAINER_OF(watch, struct fl_state, time_watch));
            }
        }
    }
    return 0;
}

/* Puts a pointer to the watch where on_change finds it. */
static int
enlist(struct fl_time_watch *watch)
{
    PyObject *all = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *key = all == NULL ? NULL : PyLong_FromVoidPtr(watch);
    PyObject *capsule = key == NULL ? NULL : PyCapsule_New(watch, capsule_name, NULL);
    int status = capsule == NULL ? -1 : PyDict_SetItem(all, key, capsule);
    Py_XDECREF(key);
    Py_XDECREF(capsule);
    return status;
}

static void
delist(struct fl_time_watch *watch)
{
    PyObject *exc = fl_error_take();
    PyObject *all = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *key = all == NULL ? NULL : PyLong_FromVoidPtr(watch);
    if (key == NULL || PyDict_DelItem(all, key) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(key);
    fl_error_restore(exc);
}

static int
watch_tasks(const struct fl_state *state)
{
    PyObject *tasks = state->asyncio_tasks;
    return PyModule_Check(tasks)
               ? PyDict_Watch(state->time_watch.id, PyModule_GetDict(tasks))
               : 0;
}

int
fl_time_watch_begin(struct fl_state *state)
{
    struct fl_time_watch *watch = &state->time_watch;
    watch->suspect = true;
    watch->tasks_suspect = true;
    watch->id = -1;
    if (enlist(watch) < 0) {
        return -1;
    }
    watch->enlisted = true;
    watch->id = PyDict_AddWatcher(on_change);
    if (watch->id < 0 || PyDict_Watch(watch->id, state->time_dict) < 0 ||
        PyDict_Watch(watch->id, state->base_events_dict) < 0 ||
        watch_tasks(state) < 0) {
        PyErr_Clear(); /* an interpreter has eight watchers: we look each time */
        fl_time_watch_end(state);
        watch->suspect = true;
        watch->tasks_suspect = true;
    }
    return 0;
}

void
fl_time_watch_end(struct fl_state *state)
{
    struct fl_time_watch *watch = &state->time_watch;
    if (!watch->enlisted) {
        return;
    }
    watch->enlisted = false;
    delist(watch);
    if (watch->id >= 0 && PyDict_ClearWatcher(watch->id) < 0) {
        PyErr_Clear();
    }
    watch->id = -1;
    watch->suspect = false; /* there may be no dictionary to look into any more */
    watch->tasks_suspect = false;
}

bool
fl_time_look(struct fl_state *state)
{
    bool replaced = !is_plain(state);
    state->time_watch.suspect = replaced || state->time_watch.id < 0;
    return replaced;
}

bool
fl_current_task_look(struct fl_state *state)
{
    bool replaced = is_current_task_replaced(state);
    state->time_watch.tasks_suspect = replaced || state->time_watch.id < 0;
    return replaced;
}

#else

int
fl_time_watch_begin(struct fl_state *state)
{
    state->time_watch.suspect = true;
    state->time_watch.tasks_suspect = true;
    return 0;
}

void
fl_time_watch_end(struct fl_state *Py_UNUSED(state))
{
}

bool
fl_time_look(struct fl_state *state)
{
    struct fl_time_watch *watch = &state->time_watch;
    watch->time_version = fl_dict_version(state->time_dict);
    watch->base_events_version = fl_dict_version(state->base_events_dict);
    watch->suspect = !is_plain(state);
    return watch->suspect;
}

bool
fl_current_task_look(struct fl_state *state)
{
    return is_current_task_replaced(state);
}

#endif
