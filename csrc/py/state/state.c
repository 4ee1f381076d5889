/* Everything the module holds: types, names, and what it took from asyncio. */
#include "py/state/state.h"

#include "py/error.h"

static PyObject *
import_attribute(const char *module_name, const char *attribute)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_GetAttrString(module, attribute);
    Py_DECREF(module);
    return value;
}

/* 3.14 made it create_task(coro, **kwargs); earlier ones refuse what they do not
 * name, and late patch releases of 3.13 already pass it on. */
static int
create_task_takes_kwargs(struct fl_state *state)
{
    PyObject *function = PyObject_GetAttr(state->BaseEventLoop, state->str_create_task);
    if (function == NULL) {
        return -1;
    }
    PyObject *code = PyObject_GetAttrString(function, "__code__");
    Py_DECREF(function);
    if (code == NULL) {
        return -1;
    }
    state->create_task_takes_kwargs =
        (((PyCodeObject *)code)->co_flags & CO_VARKEYWORDS) != 0;
    Py_DECREF(code);
    return 0;
}

int
fl_state_init(struct fl_state *state)
{
    fl_tick_rate_init(&state->tick_rate);
#define FL_INTERN(field, text)                       \
    state->field = PyUnicode_InternFromString(text); \
    ok = ok && state->field != NULL;
#define FL_IMPORT(field, module, attribute)                         \
    state->field = ok ? import_attribute(module, attribute) : NULL; \
    ok = ok && state->field != NULL;
    fl_list_init(&state->loops);
    fl_list_init(&state->types.pending);
    bool ok = true;
    FL_STATE_NAMES(FL_INTERN)
    FL_STATE_IMPORTS(FL_IMPORT)
#undef FL_INTERN
#undef FL_IMPORT
    if (!ok) {
        return -1;
    }
    state->kw_context = PyTuple_Pack(1, state->str_context);
    state->kw_loop = PyTuple_Pack(1, state->str_loop);
    state->kw_msg = PyTuple_Pack(1, state->str_msg);
    state->kw_wait = PyTuple_Pack(2, state->str_timeout, state->str_return_when);
    state->kw_hooks = PyTuple_Pack(2, state->str_firstiter, state->str_finalizer);
    state->kw_warn_on_full_buffer = PyTuple_Pack(1, state->str_warn_on_full_buffer);
    if (state->kw_context == NULL || state->kw_loop == NULL || state->kw_msg == NULL ||
        state->kw_hooks == NULL || state->kw_wait == NULL ||
        state->kw_warn_on_full_buffer == NULL) {
        return -1;
    }
    return create_task_takes_kwargs(state);
}

/* The lists' references stand first in the struct, one behind the other: they are
 * walked, for a statement each would make functions of a thousand. */
static PyObject **
listed_references(struct fl_state *state, size_t *n)
{
    *n = offsetof(struct fl_state, loops) / sizeof(PyObject *);
    return (PyObject **)(void *)state;
}

int
fl_state_traverse(struct fl_state *state, visitproc visit, void *arg)
{
    size_t n;
    PyObject **listed = listed_references(state, &n);
    for (size_t i = 0; i < n; i++) {
        Py_VISIT(listed[i]);
    }
#define FL_VISIT_TYPES(field) Py_VISIT(state->types.field);
#define FL_VISIT_NET(field) Py_VISIT(state->net.field);
#define FL_VISIT_TLS(field) Py_VISIT(state->tls.field);
#define FL_VISIT_AIO(field) Py_VISIT(state->aio.field);
    FL_TYPES_STATE_OBJECTS(FL_VISIT_TYPES)
    FL_NET_STATE_OBJECTS(FL_VISIT_NET)
    FL_TLS_STATE_OBJECTS(FL_VISIT_TLS)
    FL_AIO_STATE_OBJECTS(FL_VISIT_AIO)
#undef FL_VISIT_TYPES
#undef FL_VISIT_NET
#undef FL_VISIT_TLS
#undef FL_VISIT_AIO
    for (size_t i = 0; i < FL_AIO_N_KINDS; i++) {
        Py_VISIT(state->aio.members[i]);
    }
    return 0;
}

void
fl_state_clear(struct fl_state *state)
{
    size_t n;
    PyObject **listed = listed_references(state, &n);
    for (size_t i = 0; i < n; i++) {
        Py_CLEAR(listed[i]);
    }
#define FL_CLEAR_TYPES(field) Py_CLEAR(state->types.field);
#define FL_CLEAR_NET(field) Py_CLEAR(state->net.field);
#define FL_CLEAR_TLS(field) Py_CLEAR(state->tls.field);
#define FL_CLEAR_AIO(field) Py_CLEAR(state->aio.field);
    FL_TYPES_STATE_OBJECTS(FL_CLEAR_TYPES)
    FL_NET_STATE_OBJECTS(FL_CLEAR_NET)
    FL_TLS_STATE_OBJECTS(FL_CLEAR_TLS)
    FL_AIO_STATE_OBJECTS(FL_CLEAR_AIO)
#undef FL_CLEAR_TYPES
#undef FL_CLEAR_NET
#undef FL_CLEAR_TLS
#undef FL_CLEAR_AIO
    state->types.stop_by = NULL;
    Py_CLEAR(state->types.stop);
    for (size_t i = 0; i < FL_AIO_N_KINDS; i++) {
        Py_CLEAR(state->aio.members[i]);
    }
}

struct fl_state *
fl_state_of_type(PyTypeObject *type)
{
    /* A class of the program's that the collector takes with its objects may have lost
     * the order in which its bases are looked into before they die. */
    while (type->tp_mro == NULL && type->tp_base != NULL) {
        type = type->tp_base;
    }
    PyObject *module = PyType_GetModuleByDef(type, &fl_module_def);
    return module == NULL ? NULL : fl_state_of_module(module);
}

struct fl_state *
fl_state_of_dying(PyTypeObject *type)
{
    PyObject *exc = fl_error_take();
    struct fl_state *state = fl_state_of_type(type);
    fl_error_restore(exc);
    return state;
}
