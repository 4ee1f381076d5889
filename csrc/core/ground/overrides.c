/* What the rest of core/ needs of a loop: whether an object is one, which of its
 * methods are replaced, and to fail where its queue is full.
 *
 * Methods may be replaced in a subclass, on the class or on the instance: setattr on
 * the instance is seen here, the rest by the type's version tag.
 */
#include "core/loop/loop.h"

int
fl_loop_is_gc(PyObject *Py_UNUSED(op))
{
    return 1;
}

int
fl_loop_push_failed(void)
{
    PyErr_NoMemory();
    return -1;
}

/* In the order of the FL_OVERRIDES_ bits. */
static PyObject *
override_name(const struct fl_state *state, int bit)
{
    PyObject *const names[FL_N_OVERRIDES] = {
        state->str_time,           state->str_call_at,        state->str_call_soon,
        state->str_call_later,     state->str_create_task,    state->str__run_once,
        state->str__add_reader,    state->str__remove_reader, state->str__add_writer,
        state->str__remove_writer, state->str_create_future,
    };
    return names[bit];
}

/* Whether a method, or NULL, is loop._virtual_time(). */
static bool
is_virtual_time(const struct fl_state *state, const PyObject *method)
{
    PyObject *ours =
        PyDict_GetItemWithError(state->loop_type->tp_dict, state->str__virtual_time);
    if (ours == NULL) {
        PyErr_Clear(); /* no memory: it counts as replaced */
        return false;
    }
    return ours == method;
}

uint32_t
fl_loop_read_overrides(LoopObject *self)
{
    uint32_t found = 0;
    for (int bit = 0; bit < FL_N_OVERRIDES; bit++) {
        PyObject *name = override_name(self->state, bit);
        /* both borrowed; the look-up gives the type a version tag */
        PyObject *ours = PyDict_GetItemWithError(self->state->loop_type->tp_dict, name);
        if (ours == NULL) {
            PyErr_Clear(); /* no memory: the method is called by its name this time */
            return (1u << FL_N_OVERRIDES) - 1;
        }
        PyObject *theirs = _PyType_Lookup(Py_TYPE(self), name);
        if (theirs != ours && !is_virtual_time(self->state, theirs)) {
            found |= 1u << bit;
        }
    }
    self->type_overrides = found;
    if (found & FL_OVERRIDES_TIME) {
        self->skips_freely = 0;
    }
    unsigned int version = Py_TYPE(self)->tp_version_tag;
    self->type_version = version != 0 ? version : FL_NO_TYPE_VERSION;
    return found | self->instance_overrides;
}

int
fl_loop_show_patches(struct fl_state *state)
{
    PyTypeObject *base = (PyTypeObject *)(void *)state->SelectorEventLoop;
    if (base->tp_version_tag != 0 && base->tp_version_tag == state->base_version) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("fastloop._patched");
    PyObject *result =
        module == NULL
            ? NULL
            : PyObject_CallMethod(module, "show_patches", NULL); /* escapes */
    Py_XDECREF(module);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    (void)_PyType_Lookup(base, state->str_time); /* gives it a version tag */
    state->base_version = base->tp_version_tag;
    return 0;
}

/* asyncio's own run_forever, up to 3.12, says by this attribute that the loop runs. */
static void
note_thread_id(LoopObject *self, PyObject *value)
{
    self->running = (char)(value != NULL && value != Py_None);
    self->thread_id = self->running ? PyThread_get_thread_ident() : 0;
}

int
fl_loop_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    LoopObject *self = (LoopObject *)op;
    if (PyObject_GenericSetAttr(op, name, value) < 0) {
        return -1;
    }
    self->skips_freely = 0; /* look again */
    if (name == self->state->str__thread_id) {
        note_thread_id(self, value);
        return 0;
    }
    for (int bit = 0; bit < FL_N_OVERRIDES; bit++) {
        if (PyUnicode_Compare(name, override_name(self->state, bit)) != 0) {
            continue;
        }
        if (value != NULL) {
            self->instance_overrides |= 1u << bit;
        }
        else {
            self->instance_overrides &= ~(1u << bit);
        }
    }
    return 0;
}

double
fl_loop_ask_time(LoopObject *self)
{
    PyObject *now = PyObject_CallMethodNoArgs((PyObject *)self, self->state->str_time);
    if (now == NULL) {
        return -1.0;
    }
    double now_s = PyFloat_AsDouble(now);
    Py_DECREF(now);
    return now_s;
}
