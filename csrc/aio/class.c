/* What the classes above the loop have in common: their types, and whether an object
 * is plain. */
#include "aio/class.h"

#include "aio/call.h"
#include "py/error.h"

#include <string.h>

/* ---- making a type ---- */

/* Appends (name, what type has there) for the name of that length. 0 or -1. */
static int
append_member(PyObject *pairs, PyTypeObject *type, const char *text, size_t length)
{
    PyObject *name = PyUnicode_FromStringAndSize(text, (Py_ssize_t)length);
    if (name == NULL) {
        return -1;
    }
    PyUnicode_InternInPlace(&name);
    PyObject *value = _PyType_Lookup(type, name);
    int status = 0;
    if (value != NULL) { /* 3.11 has no Condition._notify */
        status =
            PyList_Append(pairs, name) < 0 || PyList_Append(pairs, value) < 0 ? -1 : 0;
    }
    Py_DECREF(name);
    return status;
}

static const char *const member_names[FL_AIO_N_KINDS] = {
#define FL_AIO_MEMBER_NAMES(kind, names) names,
    FL_AIO_CLASSES(FL_AIO_MEMBER_NAMES)
#undef FL_AIO_MEMBER_NAMES
};

/* Fills state->aio.members[kind]. 0 or -1. */
static int
note_members(struct fl_state *state, enum fl_aio_kind kind, PyTypeObject *type)
{
    PyObject *pairs = PyList_New(0);
    if (pairs == NULL) {
        return -1;
    }
    int status = append_member(pairs, type, "__getattribute__", 16);
    if (status == 0) {
        status = append_member(pairs, type, "__setattr__", 11);
    }
    const char *rest = member_names[kind];
    while (status == 0 && *rest != '\0') {
        size_t length = strcspn(rest, " ");
        status = append_member(pairs, type, rest, length);
        rest += length + (rest[length] == ' ');
    }
    if (status == 0) {
        state->aio.members[kind] = pairs;
        return 0;
    }
    Py_DECREF(pairs);
    return -1;
}

static int
add_coroutines(struct fl_state *state, const struct fl_aio_class *description)
{
    const struct fl_aio_named *each = description->coroutines;
    int status = 0;
    for (; status == 0 && each->name != NULL; each++) {
        PyObject *stock = PyObject_GetAttrString(description->stock, each->name);
        PyObject *function =
            stock == NULL ? NULL : fl_aio_function_new(state, each->call, stock);
        status = function == NULL
                     ? -1
                     : PyObject_SetAttrString(
                           (PyObject *)*description->type, each->name, function
                       );
        Py_XDECREF(stock);
        Py_XDECREF(function);
    }
    return status;
}

/* Takes those out of the type that getters show; the collector knows them still. */
static int
hide_members(PyTypeObject *type, const PyType_Spec *spec)
{
    const PyType_Slot *slot = spec->slots;
    while (slot->slot != Py_tp_members) {
        slot++;
    }
    const PyMemberDef *member = slot->pfunc;
    for (; member->name != NULL; member++) {
        bool hidden = strncmp(member->name, FL_AIO_HIDDEN, strlen(FL_AIO_HIDDEN)) == 0;
        if (hidden &&
            PyObject_SetAttrString((PyObject *)type, member->name, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What a queue's items go by stands in its own dictionary, as in asyncio's: patches of
 * Queue are not to reach those of its subclasses. 0 or -1. */
static int
copy_item_methods(const struct fl_state *state, PyTypeObject *type, PyObject *stock)
{
    PyObject *const names[] = {state->str__init, state->str__put, state->str__get};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        PyObject *own = ((PyTypeObject *)(void *)stock)->tp_dict;
        PyObject *method = PyDict_GetItemWithError(own, names[i]);
        if (method == NULL ? PyErr_Occurred() != NULL
                           : PyObject_SetAttr((PyObject *)type, names[i], method) < 0) {
            return -1;
        }
    }
    return 0;
}

static const getter generic_get_dict = PyObject_GenericGetDict;
static const setter generic_set_dict = PyObject_GenericSetDict;

/* Who has the dictionary may put there what is then to be called. */
static PyObject *
get_dict(PyObject *op, void *Py_UNUSED(closure))
{
    ((AioObject *)op)->replaced = true;
    return FL_SLOT_POINTER(generic_get_dict(op, NULL));
}

static int
set_dict(PyObject *op, PyObject *dict, void *Py_UNUSED(closure))
{
    ((AioObject *)op)->replaced = true;
    return generic_set_dict(op, dict, NULL);
}

/* Not by an attribute of the type, which `__dict__` is itself. 0 or -1. */
static int
add_dict(PyTypeObject *type)
{
    static PyGetSetDef dict_getset = {"__dict__", get_dict, set_dict, NULL, NULL};
    PyObject *descriptor = PyDescr_NewGetSet(type, &dict_getset);
    int status = descriptor == NULL
                     ? -1
                     : PyDict_SetItemString(type->tp_dict, "__dict__", descriptor);
    Py_XDECREF(descriptor);
    PyType_Modified(type);
    return status;
}

int
fl_aio_add_class(
    PyObject *module, struct fl_state *state, const struct fl_aio_class *description
)
{
    PyTypeObject **type = description->type;
    if (fl_make_type(type, module, description->spec, description->bases) < 0 ||
        add_coroutines(state, description) < 0 || add_dict(*type) < 0 ||
        copy_item_methods(state, *type, description->stock) < 0) {
        return -1;
    }
    /* for messages: as a class in Python, without its module */
    (*type)->tp_name = fl_type_short_name(*type);
    return hide_members(*type, description->spec) < 0 ||
                   note_members(state, description->kind, *type) < 0
               ? -1
               : PyModule_AddType(module, *type);
}

/* ---- an object ---- */

PyObject *
fl_aio_new(PyTypeObject *type, enum fl_aio_kind kind)
{
    struct fl_state *state = fl_state_of_type(type);
    if (state == NULL || fl_refuse_abstract(type) < 0) {
        return NULL;
    }
    PyObject *op = FL_SLOT_POINTER(type->tp_alloc(type, 0));
    if (op != NULL) {
        AioObject *self = (AioObject *)op;
        self->loop = Py_NewRef(Py_None);
        self->state = state;
        self->kind = (uint8_t)kind;
    }
    return op;
}

static bool
is_name_of_class(const AioObject *self, PyObject *name)
{
    const PyObject *pairs = self->state->aio.members[self->kind];
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i += 2) {
        PyObject *known = PyList_GET_ITEM(pairs, i);
        if (known == name || PyUnicode_Compare(known, name) == 0) {
            return true;
        }
    }
    return false;
}

int
fl_aio_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    AioObject *self = (AioObject *)op;
    if (PyObject_GenericSetAttr(op, name, value) < 0) { /* escapes */
        return -1;
    }
    PyObject *there = _PyType_Lookup(Py_TYPE(op), name);
    bool is_data = there != NULL && Py_TYPE(there)->tp_descr_set != NULL;
    if (!is_data && is_name_of_class(self, name)) {
        self->replaced = true;
    }
    return 0;
}

/* Whether it is one of what subclasses of a queue are made to replace. */
static bool
is_about_items(const struct fl_state *state, PyObject *name)
{
    return name == state->str__put || name == state->str__get ||
           name == state->str__init;
}

bool
fl_aio_check_type(AioObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct fl_state *state = self->state;
    const PyObject *pairs = state->aio.members[self->kind];
    bool own_items = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i += 2) {
        PyObject *name = PyList_GET_ITEM(pairs, i);
        if (_PyType_Lookup(type, name) == PyList_GET_ITEM(pairs, i + 1)) {
            continue;
        }
        if (!is_about_items(state, name)) {
            return false;
        }
        own_items = true;
    }
    if (own_items) {
        state->aio.own_items_version = type->tp_version_tag;
    }
    else {
        state->aio.versions[self->kind] = type->tp_version_tag;
    }
    return !own_items;
}

/* ---- asyncio's own methods ---- */

PyObject *
fl_aio_stock(
    PyObject *stock, PyObject *name, PyObject *self, PyObject *const *args,
    Py_ssize_t n_args, PyObject *kwnames
)
{
    enum { MAX = 8 };

    Py_ssize_t n = n_args + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *stack[1 + MAX] = {self};
    if (n > MAX) {
        PyErr_Format(PyExc_TypeError, "%U() got too many arguments", name);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        stack[1 + i] = args[i];
    }
    PyObject *function = PyObject_GetAttr(stock, name);
    if (function == NULL) {
        return NULL;
    }
    PyObject *result =
        PyObject_Vectorcall(function, stack, 1 + (size_t)n_args, kwnames); /* escapes */
    Py_DECREF(function);
    return result;
}

PyObject *
fl_aio_stock_noargs(PyObject *stock, PyObject *name, PyObject *self)
{
    return fl_aio_stock(stock, name, self, NULL, 0, NULL);
}

int
fl_aio_stock_init(PyObject *stock, PyObject *self, PyObject *args, PyObject *kwds)
{
    PyObject *function =
        PyObject_GetAttr(stock, ((AioObject *)self)->state->str___init__);
    PyObject *first = function == NULL ? NULL : PyTuple_Pack(1, self);
    PyObject *all = first == NULL ? NULL : PySequence_Concat(first, args);
    PyObject *result =
        all == NULL ? NULL : PyObject_Call(function, all, kwds); /* escapes */
    Py_XDECREF(function);
    Py_XDECREF(first);
    Py_XDECREF(all);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* ---- looking at an object ---- */

PyObject *
fl_aio_repr(PyObject *op, PyObject *extra, PyObject *waiters)
{
    Py_ssize_t n = 0;
    if (waiters != NULL && waiters != Py_None) {
        n = PyObject_Size(waiters);
    }
    PyObject *repr = NULL;
    const char *name = fl_type_short_name(Py_TYPE(op));
    if (extra != NULL && n == 0) {
        repr = PyUnicode_FromFormat(
            "<asyncio.locks.%s object at %p [%U]>", name, op, extra
        );
    }
    else if (extra != NULL && n > 0) {
        repr = PyUnicode_FromFormat(
            "<asyncio.locks.%s object at %p [%U, waiters:%zd]>", name, op, extra, n
        );
    }
    Py_XDECREF(extra);
    return repr;
}

PyObject *
fl_aio_stock_repr(PyObject *stock, PyObject *op)
{
    static const char ours[] = "<fastloop.aio.";
    PyObject *name = ((AioObject *)op)->state->str___repr__;
    PyObject *repr = fl_aio_stock_noargs(stock, name, op);
    if (repr == NULL || !PyUnicode_Check(repr)) {
        return repr;
    }
    const char *text = PyUnicode_AsUTF8(repr);
    if (text == NULL) {
        Py_CLEAR(repr);
    }
    else if (strncmp(text, ours, sizeof ours - 1) == 0) {
        const char *rest = text + sizeof ours - 1;
        Py_SETREF(repr, PyUnicode_FromFormat("<asyncio.locks.%s", rest));
    }
    return repr;
}

const char fl_aio_getstate_doc[] =
    "__getstate__($self, /)\n--\n\n"
    "Return what copy and pickle are to take along: what asyncio's object has.";

/* A method of a lock of ours, stolen, as one in Python would be: copy.deepcopy() takes
 * a built-in one for no part of its object. */
static PyObject *
as_python_method(const struct fl_state *state, PyObject *value)
{
    if (!PyCFunction_Check(value) || PyCFunction_GET_SELF(value) == NULL ||
        !PyObject_TypeCheck(PyCFunction_GET_SELF(value), state->lock_type)) {
        return value;
    }
    const PyMethodDef *method = ((PyCFunctionObject *)(void *)value)->m_ml;
    PyObject *function =
        PyObject_GetAttrString((PyObject *)state->lock_type, method->ml_name);
    PyObject *bound =
        function == NULL ? NULL : PyMethod_New(function, PyCFunction_GET_SELF(value));
    Py_XDECREF(function);
    Py_DECREF(value);
    return bound;
}

/* Puts the attribute into the dictionary, unless it has none. 0 or -1. */
static int
note_attribute(PyObject *op, PyObject *name, PyObject *values)
{
    PyObject *value;
    if (fl_optional_attribute(op, name, &value) < 0) { /* escapes */
        return -1;
    }
    const struct fl_state *state = ((AioObject *)op)->state;
    int status = 0;
    if (value != NULL && !(value == Py_None && name == state->str__loop)) {
        value = as_python_method(state, value);
        status = value == NULL ? -1 : PyDict_SetItem(values, name, value);
    }
    Py_XDECREF(value);
    return status;
}

PyObject *
fl_aio_getstate(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const AioObject *self = (AioObject *)op;
    const PyObject *pairs = self->state->aio.members[self->kind];
    PyObject *values = PyDict_New();
    int status = values == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(pairs); i += 2) {
        PyTypeObject *type = Py_TYPE(PyList_GET_ITEM(pairs, i + 1));
        if (type->tp_descr_set != NULL && type != &PyProperty_Type) {
            status = note_attribute(op, PyList_GET_ITEM(pairs, i), values);
        }
    }
    PyObject *dict = status < 0 ? NULL : FL_SLOT_POINTER(generic_get_dict(op, NULL));
    PyObject *state = NULL;
    if (dict != NULL) {
        bool empty = PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 0;
        state = PyTuple_Pack(2, empty ? Py_None : dict, values);
    }
    Py_XDECREF(dict);
    Py_XDECREF(values);
    return state;
}

const char fl_aio_reduce_ex_doc[] =
    "__reduce_ex__($self, protocol, /)\n--\n\n"
    "Return how copy and pickle are to make the object anew.";

PyObject *
fl_aio_reduce_ex(PyObject *op, PyObject *protocol)
{
    long number = PyLong_AsLong(protocol); /* escapes */
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyObject_CallMethod(
        (PyObject *)&PyBaseObject_Type, "__reduce_ex__", "Ol", op,
        number < 2 ? 2 : number
    ); /* escapes */
}
