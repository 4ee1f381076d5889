/* What can be asked of a coroutine object of ours that has no frame. */
#include "aio/call_look.h"

#include "aio/call.h"

static AioCallObject *
call_of(PyObject *op)
{
    return (AioCallObject *)(void *)op;
}

/* `async with lock` awaits its acquire(), which ours has no object for. */
static const char *
entered(const AioCallObject *self)
{
    const struct fl_aio_call *call = self->function->call;
    const PyCodeObject *code =
        (PyCodeObject *)(void *)PyFunction_GET_CODE(self->function->stock);
    if (call->after == NULL ||
        PyUnicode_CompareWithASCIIString(code->co_name, "__aenter__") != 0) {
        return NULL;
    }
    return call->type == offsetof(struct fl_state, semaphore_type) ? "Semaphore.acquire"
                                                                   : "Lock.acquire";
}

void
fl_aio_call_look(PyObject *op, struct fl_coroutine_look *look)
{
    const AioCallObject *self = call_of(op);
    if (PyFunction_Check(self->function->stock)) { /* not when that has been cleared */
        look->text = entered(self);
        look->function = look->text == NULL ? self->function->stock : NULL;
    }
    look->inner = self->iterator;
}

/* Where it is: what fastloop._stand_ins calls a place. */
enum { AT_START, AT_FIRST_AWAIT, AT_LAST_AWAIT };

static int
place_of(const AioCallObject *self)
{
    if (self->base.phase == FL_COROUTINE_NEW) {
        return AT_START;
    }
    bool bare = self->future == NULL && self->iterator == NULL;
    return bare || self->reached < 0 ? AT_FIRST_AWAIT : AT_LAST_AWAIT;
}

/* A coroutine that stands where it is, or None: new, or NULL. escapes. */
static PyObject *
make_stand_in(const AioCallObject *self, int place)
{
    const AioFunctionObject *function = self->function;
    PyObject *subject = function->call->type != 0 ? self->args[0] : Py_None;
    PyObject *module = PyImport_ImportModule("fastloop._stand_ins");
    PyObject *made = module == NULL ? NULL
                                    : PyObject_CallMethod(
                                          module, "stand_in", "OOin", function->stock,
                                          subject, place, self->reached
                                      );
    Py_XDECREF(module);
    return made;
}

/* The coroutine whose frame is its frame: new, None if there is none, or NULL. escapes.
 */
static PyObject *
shown(AioCallObject *self)
{
    struct fl_coroutine *base = &self->base;
    if (base->phase == FL_COROUTINE_ENDED) {
        return Py_NewRef(Py_None);
    }
    if (base->phase == FL_COROUTINE_DELEGATED) {
        return Py_NewRef(base->delegate);
    }
    int place = place_of(self);
    int where = 1 + place + 3 * (int)self->reached;
    if (base->delegate != NULL && base->shown == where) {
        return Py_NewRef(base->delegate);
    }
    char phase = base->phase;
    PyObject *made = make_stand_in(self, place); /* escapes */
    if (made != NULL && base->phase == phase) {
        base->shown = where;
        Py_XSETREF(base->delegate, Py_NewRef(made)); /* escapes */
    }
    return made;
}

/* That coroutine's attribute; None if there is none. escapes. */
static PyObject *
get_shown(PyObject *op, const char *name)
{
    PyObject *coro = shown(call_of(op));
    if (coro == NULL || coro == Py_None) {
        return coro;
    }
    PyObject *value = PyObject_GetAttrString(coro, name);
    Py_DECREF(coro);
    return value;
}

static PyObject *
get_frame(PyObject *op, void *Py_UNUSED(closure))
{
    return get_shown(op, "cr_frame");
}

static PyObject *
get_code(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *stock = Py_NewRef(call_of(op)->function->stock);
    PyObject *code = PyObject_GetAttrString(stock, "__code__"); /* escapes */
    Py_DECREF(stock);
    return code;
}

/* What it waits for itself: what `await` iterates over. */
static PyObject *
awaited_by_itself(const AioCallObject *self)
{
    if (self->iterator != NULL) {
        return Py_NewRef(self->iterator);
    }
    if (self->future == NULL) {
        return Py_NewRef(Py_None);
    }
    return FL_SLOT_POINTER(Py_TYPE(self->future)->tp_as_async->am_await(self->future));
}

static PyObject *
get_await(PyObject *op, void *Py_UNUSED(closure))
{
    AioCallObject *self = call_of(op);
    bool waits = self->base.phase == FL_COROUTINE_WAITING;
    bool for_coroutine = self->iterator != NULL && self->iterator == self->future;
    if (self->base.phase == FL_COROUTINE_NEW || (waits && for_coroutine)) {
        return awaited_by_itself(self);
    }
    PyObject *awaited = get_shown(op, "cr_await"); /* escapes */
    if (awaited == NULL || PyCoro_CheckExact(awaited) ||
        self->base.phase != FL_COROUTINE_WAITING) {
        return awaited;
    }
    Py_DECREF(awaited); /* escapes */
    return awaited_by_itself(self);
}

static PyObject *
get_suspended(PyObject *op, void *Py_UNUSED(closure))
{
    const struct fl_coroutine *self = &call_of(op)->base;
    bool waits =
        self->phase == FL_COROUTINE_WAITING || self->phase == FL_COROUTINE_DELEGATED;
    return PyBool_FromLong(waits && !self->running);
}

PyGetSetDef fl_aio_call_getset[] = {
    FL_COROUTINE_GETSET,
    {"cr_await", get_await, NULL, "What it awaits, or None.", NULL},
    {"cr_code", get_code, NULL, "The code of asyncio's function.", NULL},
    {"cr_frame", get_frame, NULL, "A frame like that which asyncio's has, or None.",
     NULL},
    {"cr_suspended", get_suspended, NULL, "Whether it waits.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
