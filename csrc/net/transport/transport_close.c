/* The end of a transport: close, abort, errors.
 *
 * connection_lost is called once, from a callback of its own or, when the last byte
 * has gone after close(), in the turn that sent it. The transport is FL_LOST from the
 * moment that it is due.
 */
#include "net/transport/transport.h"
#include "py/args/call.h"
#include "py/error.h"

/* asyncio.constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES */
#define LATE_WRITES_BEFORE_LOG 5

/* ---- reports ---- */

int
fl_transport_report(TransportObject *self, const char *message, PyObject *exc)
{
    struct fl_handling handling;
    fl_handling_begin(&handling, exc);
    PyObject *protocol = self->protocol != NULL ? self->protocol : Py_None;
    PyObject *context = Py_BuildValue(
        "{s:s,s:O,s:O,s:O}", "message", message, "exception", exc, "transport", self,
        "protocol", protocol
    );
    PyObject *result =
        context == NULL
            ? NULL
            : PyObject_CallMethodOneArg(
                  (PyObject *)self->source.loop,
                  self->source.loop->state->str_call_exception_handler, context
              ); /* escapes */
    Py_XDECREF(context);
    fl_handling_end(&handling);
    return fl_call_status(result);
}

int
fl_transport_debug(TransportObject *self, const char *format, PyObject *exc_info)
{
    LoopObject *loop = self->source.loop;
    if (loop == NULL || !loop->debug) {
        return 0;
    }
    PyObject *method = PyObject_GetAttrString(loop->state->logger, "debug");
    PyObject *args = method == NULL ? NULL : Py_BuildValue("(sO)", format, self);
    PyObject *keywords =
        args == NULL ? NULL : Py_BuildValue("{s:O}", "exc_info", exc_info);
    PyObject *result = NULL;
    if (keywords != NULL) {
        result = PyObject_Call(method, args, keywords); /* escapes */
    }
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return fl_call_status(result);
}

void
fl_transport_count_late(TransportObject *self, uint32_t so_far, const char *warning)
{
    self->late_writes += self->late_writes < UINT32_MAX - 1;
    if (so_far >= LATE_WRITES_BEFORE_LOG) {
        const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
        PyObject *result =
            PyObject_CallMethod(state->logger, "warning", "s", warning); /* escapes */
        Py_XDECREF(result);
    }
}

bool
fl_transport_is_lost(TransportObject *self, const char *warning)
{
    if (self->life < FL_LOST) {
        return false;
    }
    /* asyncio counts the loss itself */
    fl_transport_count_late(self, self->late_writes + 1, warning); /* escapes */
    return true;
}

PyObject *
fl_transport_refuse(TransportObject *self)
{
    PyObject *exc = fl_error_take();
    (void)fl_transport_flush(self); /* escapes */
    fl_error_restore(fl_error_first(exc));
    return NULL;
}

/* ---- its life ---- */

/* Who may go where, and by what. */
static const bool may_go[4][4] = {
    /* close() with bytes unsent; close(), abort() or an error; finalizer, file taken */
    [FL_LIVES] = {[FL_CLOSING] = true, [FL_LOST] = true, [FL_ENDED] = true},
    /* the last byte was sent, abort() or an error; finalizer */
    [FL_CLOSING] = {[FL_LOST] = true, [FL_ENDED] = true},
    /* connection_lost() was called */
    [FL_LOST] = {[FL_ENDED] = true},
};

bool
fl_transport_go_on(TransportObject *self, enum fl_life to)
{
    if (!may_go[self->life][to]) {
        return false;
    }
    self->life = to;
    return true;
}

/* ---- the end ---- */

/* Gives up file, protocol, loop and the rest, in asyncio's order. An exception that
 * is set, or else the first one met, is set afterwards. */
static void
give_up(TransportObject *self)
{
    PyObject *exc = fl_error_take();
    fl_transport_kind(self)->discard(self);
    fl_source_ignore(&self->source);
    fl_source_undefer(&self->source);
    fl_source_disown_fd(&self->source);
    LoopObject *loop = self->source.loop;
    self->source.loop = NULL;
    if (self->life < FL_ENDED) {
        (void)fl_transport_close_file(self); /* escapes */
    }
    exc = fl_error_first(exc);
    Py_CLEAR(self->protocol); /* escapes */
    int (*ended)(TransportObject *) = fl_transport_kind(self)->ended;
    if (ended != NULL) {
        (void)ended(self); /* escapes */
    }
    Py_XDECREF(loop);
    fl_error_restore(fl_error_first(exc));
}

int
fl_transport_lose(TransportObject *self, PyObject *exc)
{
    if (self->life == FL_ENDED) {
        return 0;
    }
    (void)fl_transport_go_on(self, FL_LOST);
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *result = PyObject_CallMethodOneArg(
        protocol, self->source.loop->state->str_connection_lost, exc
    ); /* escapes */
    Py_DECREF(protocol);
    Py_XDECREF(result);
    give_up(self); /* escapes */
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *
fl_transport_call_connection_lost(PyObject *op, PyObject *exc)
{
    return fl_transport_lose((TransportObject *)op, exc) < 0 ? NULL
                                                             : Py_NewRef(Py_None);
}

int
fl_transport_lose_soon(TransportObject *self, PyObject *exc)
{
    PyObject *callback = PyObject_GetAttr(
        (PyObject *)self, self->source.loop->state->str__call_connection_lost
    );
    int status = callback == NULL ? -1 : fl_transport_call_soon(self, callback, exc);
    Py_XDECREF(callback);
    return status;
}

/* ---- closing ---- */

int
fl_transport_force_close(TransportObject *self, PyObject *exc)
{
    if (!fl_transport_go_on(self, FL_LOST)) {
        return 0;
    }
    fl_transport_kind(self)->discard(self);
    fl_source_ignore(&self->source); /* escapes */
    return fl_transport_lose_soon(self, exc);
}

int
fl_transport_fatal_error(TransportObject *self, const char *message)
{
    if (fl_error_is_exit()) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    struct fl_handling handling;
    fl_handling_begin(&handling, exc);
    int status = 0;
    if (self->source.loop == NULL || fl_transport_flush(self) < 0) { /* escapes */
        status = PyErr_Occurred() ? -1 : 0;
    }
    else if (!PyErr_GivenExceptionMatches(exc, PyExc_OSError)) {
        status = fl_transport_report(self, message, exc); /* escapes */
    }
    else if (self->source.loop->debug) {
        PyObject *format = PyUnicode_FromFormat("%%r: %s", message);
        const char *text = format == NULL ? NULL : PyUnicode_AsUTF8(format);
        status = text == NULL ? -1 : fl_transport_debug(self, text, exc); /* escapes */
        Py_XDECREF(format);
    }
    if (status == 0) {
        status = fl_transport_force_close(self, exc);
    }
    fl_handling_end(&handling);
    Py_DECREF(exc);
    return status;
}

PyObject *
fl_transport_force_close_now(PyObject *op, PyObject *exc)
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0 || /* escapes */
        fl_transport_force_close(self, exc) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

const char fl_transport_abort_doc[] =
    "abort($self, /)\n--\n\n"
    "Close the connection; what the kernel has not taken is lost.";

PyObject *
fl_transport_abort(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_transport_force_close_now(op, Py_None);
}

const char fl_transport_close_doc[] =
    "close($self, /)\n--\n\n"
    "Stop reading, send what was written, then close the connection.";

PyObject *
fl_transport_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TransportObject *self = (TransportObject *)op;
    if (self->life > FL_LIVES) {
        Py_RETURN_NONE;
    }
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    bool drained = fl_transport_kind(self)->unsent(self) == 0;
    if (self->life > FL_LIVES ||
        !fl_transport_go_on(self, drained ? FL_LOST : FL_CLOSING)) {
        Py_RETURN_NONE;
    }
    if (!drained) {
        uint32_t rest = self->source.watch.events & FL_POLL_WRITE;
        return fl_source_want(&self->source, rest) < 0 ? NULL : Py_NewRef(Py_None);
    }
    fl_source_ignore(&self->source); /* escapes */
    return fl_transport_lose_soon(self, Py_None) < 0 ? NULL : Py_NewRef(Py_None);
}
