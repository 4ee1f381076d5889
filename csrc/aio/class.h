/* What the classes above the loop have in common.
 *
 * Each is a subclass of asyncio's class of that name, in Python's layout: asyncio's
 * attributes are members of a struct behind it, so that asyncio's own methods, called
 * on our objects, find and change the same state. That is the way out of everything
 * unusual: a method of ours that sees anything but the plain case - a method or an
 * attribute that a subclass, an instance or a patch has replaced, an odd value in an
 * attribute, odd arguments - calls asyncio's of the same name.
 */
#ifndef FASTLOOP_AIO_CLASS_H
#define FASTLOOP_AIO_CLASS_H

#include "core/task/task.h"
#include "py/state/tables.h"

/* What each object begins with. The collector goes by the types' tables of members,
 * as for a class with __slots__. */
typedef struct {
    PyObject_HEAD
#ifndef FL_HAVE_MANAGED_WEAKREF
    PyObject *weakrefs;
#endif
    PyObject *loop;         /* bound to; None before */
    struct fl_state *state; /* borrowed: the type keeps the module alive */
    uint8_t kind;           /* enum fl_aio_kind */
    bool replaced;          /* the instance has one of the names of its class */
} AioObject;

#define FL_AIO_MEMBER(name, type, field) \
    {name, T_OBJECT_EX, offsetof(type, field), 0, ""}

/* A member that is seen by a getter of another name: taken out of the type again. */
#define FL_AIO_HIDDEN "_hidden_"

/* What a class of ours is made of. */
struct fl_aio_class {
    enum fl_aio_kind kind;
    PyType_Spec *spec;
    PyTypeObject **type; /* in the state */
    PyObject *bases;     /* asyncio's class, or a tuple with it */
    PyObject *stock;     /* asyncio's class */

    /* its coroutine functions, by name; a NULL name ends them */
    const struct fl_aio_named {
        const char *name;
        const struct fl_aio_call *call;
    } *coroutines;
};

/* Makes the type and adds it to the module. 0 or -1. */
int fl_aio_add_class(
    PyObject *module, struct fl_state *state, const struct fl_aio_class *description
);

/* tp_new: not yet initialised, bound to no loop. */
PyObject *fl_aio_new(PyTypeObject *type, enum fl_aio_kind kind);

/* tp_setattro: notes whether a name of the class is replaced. */
int fl_aio_setattro(PyObject *op, PyObject *name, PyObject *value);

/* Looks at each name. */
FL_APART bool fl_aio_check_type(AioObject *self);

/* Whether nothing that its methods use is replaced: two compares and two loads. */
static inline bool
fl_aio_is_plain(AioObject *self)
{
    unsigned int version = Py_TYPE(self)->tp_version_tag;
    if (self->replaced) {
        return false;
    }
    return (version != 0 && version == self->state->aio.versions[self->kind]) ||
           fl_aio_check_type(self);
}

/* stock.name(self, *args, **keywords): asyncio's method. escapes. */
PyObject *fl_aio_stock(
    PyObject *stock, PyObject *name, PyObject *self, PyObject *const *args,
    Py_ssize_t n_args, PyObject *kwnames
);
/* The same without arguments. */
PyObject *fl_aio_stock_noargs(PyObject *stock, PyObject *name, PyObject *self);
/* The same for __init__: 0 or -1. */
int fl_aio_stock_init(PyObject *stock, PyObject *self, PyObject *args, PyObject *kwds);

/* As asyncio's own repr of an object of exactly our class, which is named as asyncio's
 * is: <asyncio.locks.Lock object at ... [extra, waiters:n]>. Steals extra; waiters may
 * be NULL. */
PyObject *fl_aio_repr(PyObject *op, PyObject *extra, PyObject *waiters);
/* The same by asyncio's __repr__, of an object of any class. escapes. */
PyObject *fl_aio_stock_repr(PyObject *stock, PyObject *op);

/* __getstate__(): (__dict__ or None, what asyncio's object would have there). */
PyObject *fl_aio_getstate(PyObject *op, PyObject *ignored);
extern const char fl_aio_getstate_doc[];

/* __reduce_ex__(protocol): object's of protocol 2 for the older ones too, which take
 * a type in C for one without a state. */
PyObject *fl_aio_reduce_ex(PyObject *op, PyObject *protocol);
extern const char fl_aio_reduce_ex_doc[];

#define FL_AIO_METHODS                                                   \
    {"__getstate__", fl_aio_getstate, METH_NOARGS, fl_aio_getstate_doc}, \
    {                                                                    \
        "__reduce_ex__", fl_aio_reduce_ex, METH_O, fl_aio_reduce_ex_doc  \
    }

#endif
