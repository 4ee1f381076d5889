/* The end of a stream transport: close, abort, errors.
 *
 * connection_lost is called once, from a callback of its own or, when the last byte
 * has gone after close(), in the turn that sent it. conn_lost is 1 from the moment
 * that it is due.
 */
#include "net/stream.h"
#include "py/error.h"

/* ---- reports ---- */

int
fl_stream_report(StreamObject *self, const char *message, PyObject *exc)
{
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
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
fl_stream_debug(StreamObject *self, const char *format, PyObject *exc_info)
{
    LoopObject *loop = self->source.loop;
    if (loop == NULL || !loop->debug) {
        return 0;
    }
    PyObject *method = PyObject_GetAttrString(loop->state->logger, "debug");
    PyObject *args = Py_BuildValue("(sO)", format, self);
    PyObject *keywords = Py_BuildValue("{s:O}", "exc_info", exc_info);
    PyObject *result = NULL;
    if (method != NULL && args != NULL && keywords != NULL) {
        result = PyObject_Call(method, args, keywords); /* escapes */
    }
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* ---- the end ---- */

int
fl_stream_detach(PyObject *server, PyObject *transport)
{
    PyObject *result = FL_SERVER_KNOWS_CLIENTS
                           ? PyObject_CallMethod(server, "_detach", "O", transport)
                           : PyObject_CallMethod(server, "_detach", NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Gives up socket, protocol, loop and server, in asyncio's order. */
static int
give_up(StreamObject *self)
{
    int status = 0;
    fl_write_queue_clear(&self->queue);
    fl_source_ignore(&self->source);
    fl_source_undefer(&self->source);
    PyObject *sock = self->sock;
    PyObject *server = self->server;
    LoopObject *loop = self->source.loop;
    self->sock = NULL;
    self->server = NULL;
    self->source.loop = NULL;
    if (sock != NULL) {
        PyObject *closed =
            PyObject_CallMethodNoArgs(sock, loop->state->str_close); /* escapes */
        status = closed == NULL ? -1 : 0;
        Py_XDECREF(closed);
        Py_XSETREF(self->closed_sock, sock);
    }
    Py_CLEAR(self->protocol); /* escapes */
    if (server != NULL) {
        PyObject *exc = fl_error_take();
        status |= fl_stream_detach(server, (PyObject *)self); /* escapes */
        if (exc != NULL) {
            fl_error_restore(exc);
        }
        Py_DECREF(server);
    }
    Py_XDECREF(loop);
    return status;
}

int
fl_stream_fail_waiter(StreamObject *self, PyObject *exc)
{
    if (self->empty_waiter == NULL) {
        return 0;
    }
    PyObject *waiter = Py_NewRef(self->empty_waiter);
    PyObject *done = PyObject_CallMethod(waiter, "done", NULL);
    PyObject *result = done == Py_False
                           ? PyObject_CallMethod(waiter, "set_exception", "O", exc)
                           : Py_XNewRef(done);
    Py_XDECREF(done);
    Py_DECREF(waiter);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
fail_waiter_at_end(StreamObject *self)
{
    PyObject *exc = PyObject_CallFunction(
        PyExc_ConnectionError, "s", "Connection is closed by peer"
    );
    int status = exc == NULL ? -1 : fl_stream_fail_waiter(self, exc);
    Py_XDECREF(exc);
    return status;
}

int
fl_stream_lose(StreamObject *self, PyObject *exc)
{
    if (self->sock == NULL) {
        return 0;
    }
    self->closing = 1;
    self->conn_lost += self->conn_lost == 0;
    struct fl_state *state = self->source.loop->state;
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *result = PyObject_CallMethodOneArg(
        protocol, state->str_connection_lost, exc
    ); /* escapes */
    Py_DECREF(protocol);
    PyObject *raised = fl_error_take();
    int status = give_up(self); /* escapes */
    if (self->empty_waiter != NULL && fail_waiter_at_end(self) < 0) {
        status = -1;
    }
    if (raised != NULL) {
        fl_error_restore(raised);
    }
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return status;
}

PyObject *
fl_stream_call_connection_lost(PyObject *op, PyObject *exc)
{
    return fl_stream_lose((StreamObject *)op, exc) < 0 ? NULL : Py_NewRef(Py_None);
}

int
fl_stream_lose_soon(StreamObject *self, PyObject *exc)
{
    PyObject *callback = PyObject_GetAttr(
        (PyObject *)self, self->source.loop->state->str__call_connection_lost
    );
    int status = callback == NULL ? -1 : fl_stream_call_soon(self, callback, exc);
    Py_XDECREF(callback);
    return status;
}

/* ---- closing ---- */

static int
force_close(StreamObject *self, PyObject *exc)
{
    if (self->conn_lost > 0) {
        return 0;
    }
    fl_write_queue_clear(&self->queue);
    self->closing = 1;
    self->conn_lost = 1;
    fl_source_ignore(&self->source); /* escapes */
    return fl_stream_lose_soon(self, exc);
}

int
fl_stream_fatal_error(StreamObject *self, const char *message)
{
    if (fl_error_is_exit()) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    int status = 0;
    if (self->source.loop == NULL || fl_stream_flush(self) < 0) { /* escapes */
        status = PyErr_Occurred() ? -1 : 0;
    }
    else if (!PyErr_GivenExceptionMatches(exc, PyExc_OSError)) {
        status = fl_stream_report(self, message, exc); /* escapes */
    }
    else if (self->source.loop->debug) {
        PyObject *format = PyUnicode_FromFormat("%%r: %s", message);
        status =
            format == NULL
                ? -1
                : fl_stream_debug(self, PyUnicode_AsUTF8(format), exc); /* escapes */
        Py_XDECREF(format);
    }
    if (status == 0) {
        status = force_close(self, exc);
    }
    Py_DECREF(exc);
    return status;
}

PyObject *
fl_stream_force_close(PyObject *op, PyObject *exc)
{
    StreamObject *self = (StreamObject *)op;
    if (fl_stream_flush(self) < 0 || force_close(self, exc) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
fl_stream_abort(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_stream_force_close(op, Py_None);
}

PyObject *
fl_stream_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->closing) {
        Py_RETURN_NONE;
    }
    if (fl_stream_flush(self) < 0) { /* escapes */
        return NULL;
    }
    if (self->closing) {
        Py_RETURN_NONE;
    }
    self->closing = 1;
    if (self->queue.count > 0) {
        uint32_t rest = self->source.watch.events & FL_POLL_WRITE;
        return fl_source_want(&self->source, rest) < 0 ? NULL : Py_NewRef(Py_None);
    }
    fl_source_ignore(&self->source); /* escapes */
    self->conn_lost++;
    return fl_stream_lose_soon(self, Py_None) < 0 ? NULL : Py_NewRef(Py_None);
}
