/* Looking at coroutines that are suspended, without making objects or running code. */
#include "py/await/suspended.h"

#define TAGS ((uintptr_t)7) /* a frame may keep bits of its own in a reference */

/* ---- beginning ---- */

static getter
find_getter(const PyTypeObject *type, const char *name)
{
    for (const PyGetSetDef *def = type->tp_getset; def != NULL && def->name != NULL;
         def++) {
        if (strcmp(def->name, name) == 0) {
            return def->get;
        }
    }
    return NULL;
}

static void
find_kinds(struct fl_suspended *self)
{
    static const struct {
        PyTypeObject *type;
        const char *is_suspended, *awaited;
    } known[FL_N_SUSPENDED_KINDS] = {
        {&PyCoro_Type, "cr_suspended", "cr_await"},
        {&PyGen_Type, "gi_suspended", "gi_yieldfrom"},
        {&PyAsyncGen_Type, "ag_suspended", "ag_await"},
    };

    for (size_t i = 0; i < FL_N_SUSPENDED_KINDS; i++) {
        self->kinds[i] = (struct fl_suspended_kind){
            known[i].type, find_getter(known[i].type, known[i].is_suspended),
            find_getter(known[i].type, known[i].awaited)
        };
    }
}

static uintptr_t
word_of(PyObject *op, Py_ssize_t at)
{
    uintptr_t word;
    memcpy(&word, (const char *)op + at * (Py_ssize_t)sizeof(word), sizeof(word));
    return word;
}

static uintptr_t
first_instruction(PyObject *code)
{
    return (uintptr_t)((PyCodeObject *)(void *)code)->co_code_adaptive;
}

/* A coroutine of which all is known. */
struct probe {
    PyObject *op;
    PyObject *code; /* new */
    long instruction;
    Py_ssize_t n_words;
};

static int
read_probe(PyObject *op, struct probe *probe)
{
    PyObject *frame = PyObject_GetAttrString(op, "cr_frame");
    PyObject *last = frame == NULL ? NULL : PyObject_GetAttrString(frame, "f_lasti");
    Py_XDECREF(frame);
    probe->op = op;
    probe->instruction = last == NULL ? -1 : PyLong_AsLong(last);
    Py_XDECREF(last);
    probe->code = probe->instruction < 0 ? NULL : PyObject_GetAttrString(op, "cr_code");
    probe->n_words = Py_TYPE(op)->tp_basicsize / (Py_ssize_t)sizeof(uintptr_t);
    return probe->code == NULL ? -1 : 0;
}

static bool
has_code_at(const struct probe *probe, Py_ssize_t at)
{
    return (word_of(probe->op, at) & ~TAGS) == (uintptr_t)probe->code;
}

static bool
has_instruction_at(const struct probe *probe, Py_ssize_t at)
{
    return word_of(probe->op, at) ==
           first_instruction(probe->code) + (uintptr_t)probe->instruction;
}

/* The first word that is so in both, or 0. */
static Py_ssize_t
find_word(const struct probe probes[2], bool (*is_at)(const struct probe *, Py_ssize_t))
{
    for (Py_ssize_t at = 1; at < probes[0].n_words; at++) {
        if (is_at(&probes[0], at) && is_at(&probes[1], at)) {
            return at;
        }
    }
    return 0;
}

int
fl_suspended_learn(struct fl_suspended *self, PyObject *probes)
{
    find_kinds(self);
    self->code_at = self->instruction_at = 0;
    if (!PyTuple_Check(probes) || PyTuple_GET_SIZE(probes) != 2 ||
        fl_suspended_kind(self, PyTuple_GET_ITEM(probes, 0)) == NULL ||
        fl_suspended_kind(self, PyTuple_GET_ITEM(probes, 1)) == NULL) {
        PyErr_SetString(PyExc_TypeError, "two suspended coroutines were expected");
        return -1;
    }
    struct probe found[2] = {{0}, {0}};
    int status = 0;
    for (Py_ssize_t i = 0; i < 2 && status == 0; i++) {
        status = read_probe(PyTuple_GET_ITEM(probes, i), &found[i]);
    }
    if (status == 0 && found[0].instruction != found[1].instruction) {
        Py_ssize_t code_at = find_word(found, has_code_at);
        Py_ssize_t instruction_at = find_word(found, has_instruction_at);
        if (code_at != 0 && instruction_at != 0) {
            self->code_at = code_at;
            self->instruction_at = instruction_at;
        }
    }
    Py_XDECREF(found[0].code);
    Py_XDECREF(found[1].code);
    return status;
}

/* ---- looking ---- */

static const struct fl_suspended_kind *
kind_of(const struct fl_suspended *self, PyObject *op)
{
    for (size_t i = 0; i < FL_N_SUSPENDED_KINDS; i++) {
        if (Py_IS_TYPE(op, self->kinds[i].type)) {
            return &self->kinds[i];
        }
    }
    return NULL;
}

const struct fl_suspended_kind *
fl_suspended_kind(const struct fl_suspended *self, PyObject *op)
{
    const struct fl_suspended_kind *kind = kind_of(self, op);
    if (kind == NULL || kind->is_suspended == NULL) {
        return NULL;
    }
    PyObject *truth = kind->is_suspended(op, NULL);
    Py_XDECREF(truth); /* True or False */
    return truth == Py_True ? kind : NULL;
}

static int
find_generator(PyObject *op, void *found)
{
    if (PyCoro_CheckExact(op) || PyGen_CheckExact(op) || PyAsyncGen_CheckExact(op)) {
        *(PyObject **)found = op;
        return 1;
    }
    return 0;
}

/* What one of Python's own steps is of, else op. Borrowed from op. */
static PyObject *
behind_step(PyObject *op)
{
    static const char *const steps[] = {
        "async_generator_asend", "async_generator_athrow", "coroutine_wrapper"
    };
    const PyTypeObject *type = Py_TYPE(op);
    if (PyCoro_CheckExact(op) || PyGen_CheckExact(op) ||
        (type->tp_flags & Py_TPFLAGS_HEAPTYPE) || type->tp_traverse == NULL) {
        return op;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(steps); i++) {
        if (strcmp(type->tp_name, steps[i]) == 0) {
            (void)type->tp_traverse(op, find_generator, &op);
            break;
        }
    }
    return op;
}

/* Borrowed, or NULL. */
static PyObject *
awaited_by(const struct fl_suspended_kind *kind, PyObject *op)
{
    PyObject *awaited = kind->awaited == NULL ? NULL : kind->awaited(op, NULL);
    if (awaited == NULL || awaited == Py_None) {
        Py_XDECREF(awaited);
        return NULL;
    }
    Py_DECREF(awaited); /* it has it, while it is suspended */
    return behind_step(awaited);
}

bool
fl_suspended_step(const struct fl_suspended *self, PyObject *op, PyObject **awaited)
{
#if FL_ASKS_WHAT_IS_AWAITED
    /* fast: whoever awaits something is suspended; before, this may not be asked */
    const struct fl_suspended_kind *any = kind_of(self, op);
    *awaited = any == NULL ? NULL : awaited_by(any, op);
    if (*awaited != NULL) {
        return true;
    }
#endif
    const struct fl_suspended_kind *kind = fl_suspended_kind(self, op);
    *awaited = kind == NULL ? NULL : awaited_by(kind, op);
    return kind != NULL;
}

PyObject *
fl_suspended_code(const struct fl_suspended *self, PyObject *op)
{
    return self->code_at == 0 ? NULL : (PyObject *)(word_of(op, self->code_at) & ~TAGS);
}

int
fl_suspended_instruction(const struct fl_suspended *self, PyObject *op, PyObject *code)
{
    return (int)(word_of(op, self->instruction_at) - first_instruction(code));
}
