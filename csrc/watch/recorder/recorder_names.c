/* The recorder's names and places: kept as what they are of, and made text at the end.
 */
#include "py/await/awaitable.h"
#include "watch/recorder/recorder_state.h"

#include <stdlib.h>

uint32_t
fl_recorded_add(struct fl_recorded_list *list, size_t size)
{
    if (list->count >= list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        void *items = realloc(list->items, room * size);
        if (items == NULL) {
            return 0;
        }
        list->items = items;
        list->room = room;
    }
    memset((char *)list->items + list->count * size, 0, size);
    return (uint32_t)++list->count;
}

/* A new name under a key, zeroed but for what follows; 0 if there is no room. */
static FL_SLOW uint32_t
add_name(struct fl_recorder *self, uintptr_t word, uint32_t more)
{
    if (self->names.count >= FL_RECORD_NAMES_MAX) {
        return 0;
    }
    uint32_t number = fl_recorded_add(&self->names, sizeof(struct fl_recorded_name));
    if (number != 0 && fl_keys_put(&self->name_keys, word, more, number) < 0) {
        self->names.count--;
        return 0;
    }
    return number;
}

static struct fl_recorded_name *
name_of(const struct fl_recorder *self, uint32_t number)
{
    return FL_RECORDED(self->names, fl_recorded_name, number);
}

static bool
is_librarys(const struct fl_recorder *self, PyObject *filename)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->folders); i++) {
        PyObject *folder = PyTuple_GET_ITEM(self->folders, i);
        Py_ssize_t length = PyUnicode_GET_LENGTH(folder);
        if (PyUnicode_Tailmatch(filename, folder, 0, length, -1) > 0) {
            return true;
        }
    }
    return false;
}

/* Whether the last part of a qualified name is no public one. */
static bool
is_private(PyObject *qualname)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(qualname);
    Py_ssize_t dot = PyUnicode_FindChar(qualname, '.', 0, length, -1);
    return dot + 1 < length && PyUnicode_READ_CHAR(qualname, dot + 1) == '_';
}

uint32_t
fl_record_name(struct fl_recorder *self, PyObject *op)
{
    uint32_t number = fl_keys_find(&self->name_keys, (uintptr_t)op, 0);
    if (FL_LIKELY(number != 0)) {
        return number;
    }
    number = add_name(self, (uintptr_t)op, 0);
    if (number != 0) {
        struct fl_recorded_name *name = name_of(self, number);
        name->op = Py_NewRef(op);
        if (PyCode_Check(op)) {
            const PyCodeObject *code = (PyCodeObject *)(void *)op;
            name->is_librarys = is_librarys(self, code->co_filename);
            name->is_private = is_private(code->co_qualname);
        }
    }
    return number;
}

uint32_t
fl_record_text(struct fl_recorder *self, const char *text)
{
    uint32_t number = fl_keys_find(&self->name_keys, (uintptr_t)text, 0);
    if (number == 0) {
        number = add_name(self, (uintptr_t)text, 0);
        if (number != 0) {
            name_of(self, number)->text = text;
        }
    }
    return number;
}

uint32_t
fl_record_task_name(struct fl_recorder *self, uint32_t task)
{
    uint32_t number = fl_keys_find(&self->name_keys, 0, task);
    if (number == 0 && task != 0) {
        number = add_name(self, 0, task);
        if (number != 0) {
            name_of(self, number)->task = task;
        }
    }
    return number;
}

uint32_t
fl_record_method(struct fl_recorder *self, PyObject *method)
{
    const PyCFunctionObject *function = (PyCFunctionObject *)(void *)method;
    const char *last = function->m_ml->ml_name;
    uint32_t number = fl_keys_find(&self->name_keys, (uintptr_t)function->m_ml, 1);
    if (number != 0 || last == NULL) {
        return number != 0 ? number : fl_record_name(self, (PyObject *)Py_TYPE(method));
    }
    PyObject *of = function->m_self;
    bool of_module = of == NULL || PyModule_Check(of);
    PyObject *text =
        of_module
            ? PyUnicode_FromString(last)
            : PyUnicode_FromFormat("%s.%s", fl_type_short_name(Py_TYPE(of)), last);
    number = text == NULL ? 0 : add_name(self, (uintptr_t)function->m_ml, 1);
    if (number == 0) {
        PyErr_Clear(); /* of memory */
        Py_XDECREF(text);
        return 0;
    }
    name_of(self, number)->op = text;
    return number;
}

bool
fl_record_is_programs(struct fl_recorder *self, PyObject *code)
{
    uint32_t number = fl_record_name(self, code);
    return number != 0 && !name_of(self, number)->is_librarys;
}

bool
fl_record_is_inner(const struct fl_recorder *self, uint32_t number)
{
    const struct fl_recorded_name *name = number == 0 ? NULL : name_of(self, number);
    return name != NULL && name->is_librarys && name->is_private;
}

uint32_t
fl_record_place(struct fl_recorder *self, PyObject *code, int instruction)
{
    uint32_t more = (uint32_t)instruction;
    uint32_t number = fl_keys_find(&self->place_keys, (uintptr_t)code, more);
    if (FL_LIKELY(number != 0) || self->places.count >= FL_RECORD_NAMES_MAX) {
        return number;
    }
    number = fl_recorded_add(&self->places, sizeof(struct fl_recorded_place));
    if (number == 0 ||
        fl_keys_put(&self->place_keys, (uintptr_t)code, more, number) < 0) {
        self->places.count -= number != 0;
        return 0;
    }
    *FL_RECORDED(self->places, fl_recorded_place, number) =
        (struct fl_recorded_place){Py_NewRef(code), instruction};
    return number;
}
