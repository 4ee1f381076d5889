/* A transport's life, its protocol, and when it reads. */
#include "net/transport/transport.h"

#include "py/args/call.h"
#include "py/args/keywords.h"
#include "py/error.h"

#include <unistd.h>

/* ---- beginning ---- */

TransportObject *
fl_transport_new(
    PyTypeObject *type, const struct fl_transport_kind *kind,
    const struct fl_transport_parts *parts
)
{
    bool own_context = parts->context != Py_None;
    PyObject *context =
        own_context ? Py_NewRef(parts->context) : PyContext_CopyCurrent();
    TransportObject *self =
        context == NULL ? NULL
                        : (TransportObject *)FL_SLOT_POINTER(type->tp_alloc(type, 0));
    if (self == NULL) {
        if (parts->file == NULL) {
            (void)close(parts->fd);
        }
        Py_XDECREF(context);
        return NULL;
    }
    fl_source_init(&self->source, &kind->source, (PyObject *)self, parts->fd);
    self->source.loop = (LoopObject *)Py_NewRef(parts->loop);
    self->source.context = context;
    self->own_context = (char)own_context;
    self->file = Py_XNewRef(parts->file);
    fl_transport_default_limits(self);
    return self;
}

int
fl_transport_enter_loop(TransportObject *self)
{
    fl_loop_drop_stale_watch(self->source.loop, self->source.watch.fd); /* escapes */
    return fl_source_own_fd(&self->source);
}

/* The Handle of callback(argument) in the transport's context: new, or NULL. */
static PyObject *
call_soon(TransportObject *self, PyObject *callback, PyObject *argument)
{
    LoopObject *loop = self->source.loop;
    PyObject *stack[4] = {(PyObject *)loop, callback, argument, self->source.context};
    PyObject *kwnames = self->own_context ? loop->state->kw_context : NULL;
    return fl_loop_overrides(loop) & FL_OVERRIDES_CALL_SOON
               ? PyObject_VectorcallMethod(
                     loop->state->str_call_soon, stack, 3, kwnames
                 ) /* escapes */
               : fl_loop_call_soon((PyObject *)loop, stack + 1, 2, kwnames);
}

int
fl_transport_call_soon(TransportObject *self, PyObject *callback, PyObject *argument)
{
    return fl_call_status(call_soon(self, callback, argument));
}

/* With an exception set, which stays: the handle's callback is not called. */
static void
cancel_handle(PyObject *handle)
{
    PyObject *exc = fl_error_take();
    PyObject *result = PyObject_CallMethod(handle, "cancel", NULL); /* escapes */
    if (result == NULL) {
        PyErr_WriteUnraisable(handle);
    }
    Py_XDECREF(result);
    fl_error_restore(exc);
}

int
fl_transport_schedule_start(TransportObject *self, PyObject *waiter)
{
    const struct fl_state *state = self->source.loop->state;
    PyObject *me = (PyObject *)self;
    PyObject *begin = PyObject_GetAttr(me, state->str__begin);
    PyObject *made = begin == NULL
                         ? NULL
                         : PyObject_GetAttr(self->protocol, state->str_connection_made);
    PyObject *first = made == NULL ? NULL : call_soon(self, made, me); /* escapes */
    int status = first == NULL ? -1 : fl_transport_call_soon(self, begin, waiter);
    if (first != NULL && status < 0) {
        cancel_handle(first); /* both or none */
    }
    Py_XDECREF(first);
    Py_XDECREF(made);
    Py_XDECREF(begin);
    return status;
}

static bool
is_reading(const TransportObject *self)
{
    return self->life == FL_LIVES && !self->paused;
}

/* Watches for reading unless it is paused or closing. 0 or -1. */
static int
start_reading(TransportObject *self)
{
    bool hears = self->life == FL_LIVES ||
                 (self->life == FL_CLOSING && fl_transport_kind(self)->hears_closing);
    if (!hears || self->paused) {
        return 0;
    }
    return fl_source_want(&self->source, self->source.watch.events | FL_POLL_READ);
}

/* A transport that can't be watched is of no use: the exception handler hears why, as
 * asyncio's does, and the protocol that it is lost. 0 or -1. */
static int
begin_failed(TransportObject *self)
{
    if (fl_error_is_exit()) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    int status =
        fl_transport_report(self, "Fatal read error on transport", exc); /* escapes */
    PyObject *closed =
        status < 0 ? NULL : fl_transport_force_close_now((PyObject *)self, exc);
    Py_DECREF(exc);
    return fl_call_status(closed);
}

/* The callback after connection_made. */
PyObject *
fl_transport_begin(PyObject *op, PyObject *waiter)
{
    TransportObject *self = (TransportObject *)op;
    if (self->source.loop != NULL && start_reading(self) < 0) {
        (void)begin_failed(self); /* escapes */
    }
    PyObject *exc = fl_error_take();
    if (waiter != Py_None) {
        PyObject *done = PyObject_CallMethod(waiter, "cancelled", NULL); /* escapes */
        PyObject *result = done == Py_False
                               ? PyObject_CallMethod(waiter, "set_result", "O", Py_None)
                               : Py_XNewRef(done);
        Py_XDECREF(done);
        Py_XDECREF(result);
    }
    fl_error_restore(fl_error_first(exc));
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* ---- its file ---- */

PyObject *
fl_transport_file(TransportObject *self)
{
    for (;;) {
        bool open = self->life < FL_ENDED;
        PyObject *known = open ? self->file : self->closed_file;
        if (known != NULL) {
            return Py_NewRef(known);
        }
        PyObject *made = fl_transport_kind(self)->make_file(self); /* escapes */
        if (made == NULL) {
            return NULL;
        }
        PyObject **place = open ? &self->file : &self->closed_file;
        if ((self->life < FL_ENDED) == open && *place == NULL) { /* looked again */
            *place = made;
            return Py_NewRef(made);
        }
        fl_transport_kind(self)->disown_file(self, made);
        Py_DECREF(made); /* escapes */
    }
}

int
fl_transport_close_file(TransportObject *self)
{
    PyObject *file = self->file;
    (void)fl_transport_go_on(self, FL_ENDED);
    self->file = NULL;
    if (file == NULL) {
        int fd = self->source.watch.fd;
        PyThreadState *thread =
            PyEval_SaveThread(); /* it sleeps if the socket lingers */
        (void)close(fd);
        PyEval_RestoreThread(thread);
        return 0;
    }
    /* who asks from here on finds the one that is being closed */
    Py_XSETREF(self->closed_file, Py_NewRef(file));
    PyObject *closed = PyObject_CallMethodNoArgs(
        file, fl_state_of_type(Py_TYPE(self))->str_close
    );               /* escapes */
    Py_DECREF(file); /* escapes */
    return fl_call_status(closed);
}

/* ---- the end of the object ---- */

int
fl_transport_traverse(PyObject *op, visitproc visit, void *arg)
{
    TransportObject *self = (TransportObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->extra);
    Py_VISIT(self->high);
    Py_VISIT(self->slot_loop);
    Py_VISIT(self->low);
    Py_VISIT(self->slot_protocol_paused);
    Py_VISIT(self->dict);
    Py_VISIT(self->file);
    Py_VISIT(self->closed_file);
    Py_VISIT(self->protocol);
    Py_VISIT(self->source.loop);
    Py_VISIT(self->source.context);
    return 0;
}

int
fl_transport_clear(PyObject *op)
{
    TransportObject *self = (TransportObject *)op;
    if (self->source.loop != NULL) {
        fl_source_ignore(&self->source); /* escapes */
        fl_source_undefer(&self->source);
        fl_source_disown_fd(&self->source);
    }
    /* who still finds it finds it closed */
    (void)fl_transport_go_on(self, FL_ENDED);
    Py_CLEAR(self->extra);
    Py_CLEAR(self->high);
    Py_CLEAR(self->slot_loop);
    Py_CLEAR(self->low);
    Py_CLEAR(self->slot_protocol_paused);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->file);
    Py_CLEAR(self->closed_file);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->source.loop);
    return 0;
}

bool
fl_transport_dealloc_begins(PyObject *op)
{
    TransportObject *self = (TransportObject *)op;
    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return false;
    }
    PyObject_GC_UnTrack(op);
    if (self->source.loop != NULL) {
        fl_source_disown_fd(&self->source); /* who looks for its owner finds nobody */
    }
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op); /* escapes */
    }
    return true;
}

void
fl_transport_dealloc_ends(PyObject *op)
{
    TransportObject *self = (TransportObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    fl_transport_kind(self)->discard(self);
    Py_CLEAR(self->source.context);
    type->tp_free(op);
    Py_DECREF(type);
}

/* Closes the fd but keeps its object, closed, in file: who resurrects the transport can
 * still end it, and its protocol is told. escapes. 0 or -1. */
static int
close_unclosed(TransportObject *self)
{
    PyObject *file = fl_transport_file(self); /* escapes */
    if (file == NULL) {
        PyObject *exc = fl_error_take();
        int status = self->life < FL_ENDED ? fl_transport_close_file(self) : 0;
        fl_error_restore(fl_error_first(exc));
        return status;
    }
    PyObject *closed = PyObject_CallMethodNoArgs(
        file, fl_state_of_type(Py_TYPE(self))->str_close
    ); /* escapes */
    Py_DECREF(file);
    return fl_call_status(closed);
}

void
fl_transport_finalize(PyObject *op)
{
    TransportObject *self = (TransportObject *)op;
    if (self->life == FL_ENDED) {
        return;
    }
    PyObject *exc = fl_error_take();
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) { /* escapes */
        PyErr_WriteUnraisable(op);
    }
    if (self->source.loop != NULL) { /* the fd's number is free from now on */
        fl_source_ignore(&self->source);
        fl_source_undefer(&self->source);
        fl_source_disown_fd(&self->source);
    }
    if (self->life < FL_ENDED && close_unclosed(self) < 0) { /* escapes */
        PyErr_WriteUnraisable(op);
    }
    int (*ended)(TransportObject *) = fl_transport_kind(self)->ended;
    if (ended != NULL && ended(self) < 0) { /* escapes */
        PyErr_WriteUnraisable(op);
    }
    fl_error_restore(exc);
}

/* ---- the protocol ---- */

int
fl_transport_use_protocol(TransportObject *self, PyObject *protocol)
{
    int (*use)(TransportObject *, PyObject *) = fl_transport_kind(self)->use_protocol;
    if (use != NULL && use(self, protocol) < 0) { /* escapes */
        return -1;
    }
    Py_XSETREF(self->protocol, Py_NewRef(protocol)); /* escapes */
    return 0;
}

const char fl_transport_set_protocol_doc[] =
    "set_protocol($self, /, protocol)\n--\n\n"
    "Give the next events to another protocol.";

PyObject *
fl_transport_set_protocol(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    TransportObject *self = (TransportObject *)op;
    const struct fl_keywords expected = {
        "set_protocol", 1, 1, 1, {fl_state_of_type(Py_TYPE(op))->str_protocol}
    };
    PyObject *protocol;
    if (fl_keywords_parse(&expected, args, n_args, kwnames, &protocol) < 0) {
        return fl_transport_refuse(self); /* escapes */
    }
    return fl_transport_use_protocol(self, protocol) < 0 ? NULL : Py_NewRef(Py_None);
}

const char fl_transport_get_protocol_doc[] =
    "get_protocol($self, /)\n--\n\nReturn the protocol in use.";

PyObject *
fl_transport_get_protocol(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return fl_or_none(self->protocol);
}

/* ---- reading ---- */

const char fl_transport_is_reading_doc[] =
    "is_reading($self, /)\n--\n\n"
    "Return True unless reading is paused or the transport closes.";

PyObject *
fl_transport_is_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return PyBool_FromLong(is_reading(self));
}

const char fl_transport_pause_reading_doc[] =
    "pause_reading($self, /)\n--\n\n"
    "Give the protocol nothing until resume_reading().";

PyObject *
fl_transport_pause_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    if (!is_reading(self)) {
        Py_RETURN_NONE;
    }
    self->paused = 1;
    uint32_t rest = self->source.watch.events & ~FL_POLL_READ;
    if (fl_source_want(&self->source, rest) < 0 ||
        fl_transport_debug(self, "%r pauses reading", Py_None) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

const char fl_transport_resume_reading_doc[] = "resume_reading($self, /)\n--\n\n"
                                               "Go on reading after pause_reading().";

PyObject *
fl_transport_resume_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    if (self->life > FL_LIVES || !self->paused) {
        Py_RETURN_NONE;
    }
    if (!self->own_context) {
        PyObject *context = PyContext_CopyCurrent();
        if (context == NULL) {
            return NULL;
        }
        Py_XSETREF(self->source.context, context);
    }
    self->paused = 0;
    if (start_reading(self) < 0) {
        self->paused = 1;
        return NULL;
    }
    if (fl_transport_debug(self, "%r resumes reading", Py_None) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}
