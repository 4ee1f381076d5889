/* From the kernel to the protocol: one recv per event, as asyncio.
 *
 * Short reads go through one aligned buffer of the loop and become a bytes object of
 * their size. A transport that has seen a large read receives into a bytes object of
 * the expected size instead, until the reads are short again (64 KiB: 21 to 26 us
 * instead of 40 to 46 through a buffer). A BufferedProtocol's own buffer is received
 * into directly.
 */
#include "net/stream.h"
#include "py/error.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PAGE_BYTES 4096
/* Reads above this size go straight into a bytes object. */
#define SHORT_READ ((size_t)8 * 1024)

static const char read_error[] = "Fatal read error on socket transport";

/* ---- receiving ---- */

/* The count, 0 at the end, -EAGAIN if there is nothing, or -errno. */
static ssize_t
receive(StreamObject *self, void *buffer, size_t size)
{
    int fd = fl_stream_fd(self);
    if (fd < 0) {
        return -EBADF;
    }
    ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);
    if (n >= 0) {
        return n;
    }
    return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

/* What the next read will probably bring, after one that brought n. */
static uint32_t
expect(const StreamObject *self, size_t n)
{
    if (n <= SHORT_READ) {
        return 0;
    }
    size_t expected = SHORT_READ * 2;
    while (expected < n || (expected == n && expected == self->receive_bytes)) {
        expected *= 2;
    }
    return (uint32_t)(expected < FL_STREAM_RECEIVE_MAX ? expected
                                                       : FL_STREAM_RECEIVE_MAX);
}

/* Bytes through the loop's buffer. *n as receive has it; new, or NULL. */
static PyObject *
receive_short(StreamObject *self, ssize_t *n)
{
    LoopObject *loop = self->source.loop;
    if (loop->receive_buffer == NULL &&
        posix_memalign(&loop->receive_buffer, PAGE_BYTES, FL_STREAM_RECEIVE_MAX) != 0) {
        loop->receive_buffer = NULL;
        *n = -ENOMEM;
        return NULL;
    }
    *n = receive(self, loop->receive_buffer, FL_STREAM_RECEIVE_MAX);
    if (*n <= 0) {
        return NULL;
    }
    return PyBytes_FromStringAndSize(loop->receive_buffer, *n);
}

/* Bytes received in place. */
static PyObject *
receive_large(StreamObject *self, ssize_t *n)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->receive_bytes);
    if (data == NULL) {
        *n = -ENOMEM;
        return NULL;
    }
    *n = receive(self, PyBytes_AS_STRING(data), self->receive_bytes);
    if (*n <= 0) {
        Py_DECREF(data);
        return NULL;
    }
    if ((size_t)*n < self->receive_bytes) {
        _PyBytes_Resize(&data, *n);
    }
    return data;
}

/* ---- the protocol ---- */

static int
read_eof(StreamObject *self)
{
    if (fl_stream_debug(self, "%r received EOF", Py_None) < 0) { /* escapes */
        return -1;
    }
    PyObject *protocol = Py_XNewRef(self->protocol);
    if (protocol == NULL) {
        return 0;
    }
    PyObject *keep_open = PyObject_CallMethodNoArgs(
        protocol, self->source.loop->state->str_eof_received
    ); /* escapes */
    Py_DECREF(protocol);
    if (keep_open == NULL) {
        return fl_stream_fatal_error(
            self, "Fatal error: protocol.eof_received() call failed."
        );
    }
    int truth = PyObject_IsTrue(keep_open); /* escapes */
    Py_DECREF(keep_open);
    if (truth > 0 && self->source.loop != NULL) {
        uint32_t rest = self->source.watch.events & ~FL_POLL_READ;
        return fl_source_want(&self->source, rest);
    }
    PyObject *closed = truth < 0 ? NULL : fl_stream_close((PyObject *)self, NULL);
    Py_XDECREF(closed);
    return closed == NULL ? -1 : 0;
}

/* n <= 0: the end, nothing, or an error. */
static int
read_nothing(StreamObject *self, ssize_t n)
{
    if (n == 0) {
        return read_eof(self);
    }
    if (n == -EAGAIN) {
        return 0;
    }
    fl_raise_errno((int)n);
    return fl_stream_fatal_error(self, read_error);
}

static int
read_data(StreamObject *self)
{
    ssize_t n;
    PyObject *data =
        self->receive_bytes == 0 ? receive_short(self, &n) : receive_large(self, &n);
    if (n <= 0) {
        PyErr_Clear(); /* no memory for the bytes object */
        return read_nothing(self, n);
    }
    if (data == NULL) {
        return fl_stream_fatal_error(self, read_error);
    }
    self->receive_bytes = expect(self, (size_t)n);
    PyObject *stack[2] = {self->protocol, data};
    Py_INCREF(stack[0]);
    PyObject *result = PyObject_VectorcallMethod(
        self->source.loop->state->str_data_received, stack,
        2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL
    ); /* escapes */
    Py_DECREF(stack[0]);
    Py_DECREF(data);
    if (result == NULL) {
        return fl_stream_fatal_error(
            self, "Fatal error: protocol.data_received() call failed."
        );
    }
    Py_DECREF(result);
    return 0;
}

/* protocol.get_buffer(-1): new, not empty; or NULL with an exception. */
static PyObject *
get_buffer(StreamObject *self, PyObject *protocol)
{
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *buffer =
        hint == NULL ? NULL
                     : PyObject_CallMethodOneArg(
                           protocol, self->source.loop->state->str_get_buffer, hint
                       ); /* escapes */
    Py_XDECREF(hint);
    Py_ssize_t size = buffer == NULL ? -1 : PyObject_Size(buffer); /* escapes */
    if (size > 0) {
        return buffer;
    }
    if (size == 0) {
        PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
    }
    Py_XDECREF(buffer);
    return NULL;
}

static int
read_into(StreamObject *self, PyObject *protocol, PyObject *buffer)
{
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) {
        return fl_stream_fatal_error(self, read_error);
    }
    ssize_t n = receive(self, view.buf, (size_t)view.len);
    PyBuffer_Release(&view); /* escapes */
    if (self->source.loop == NULL) {
        return 0;
    }
    if (n <= 0) {
        return read_nothing(self, n);
    }
    PyObject *count = PyLong_FromSsize_t(n);
    PyObject *result =
        count == NULL
            ? NULL
            : PyObject_CallMethodOneArg(
                  protocol, self->source.loop->state->str_buffer_updated, count
              ); /* escapes */
    Py_XDECREF(count);
    if (result == NULL) {
        return fl_stream_fatal_error(
            self, "Fatal error: protocol.buffer_updated() call failed."
        );
    }
    Py_DECREF(result);
    return 0;
}

/* The protocol that gave the buffer is told what is in it, also if it has been
 * replaced meanwhile. */
static int
read_buffered(StreamObject *self)
{
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *buffer = get_buffer(self, protocol); /* escapes */
    int status;
    if (buffer == NULL) {
        status = fl_stream_fatal_error(
            self, "Fatal error: protocol.get_buffer() call failed."
        );
    }
    else {
        status = self->source.loop == NULL ? 0 : read_into(self, protocol, buffer);
        Py_DECREF(buffer);
    }
    Py_DECREF(protocol);
    return status;
}

int
fl_stream_read(StreamObject *self)
{
    if (self->conn_lost > 0 || self->source.loop == NULL) {
        return 0;
    }
    return self->buffered ? read_buffered(self) : read_data(self);
}

/* ---- when to read ---- */

static bool
is_reading(const StreamObject *self)
{
    return !self->closing && !self->paused;
}

int
fl_stream_start_reading(StreamObject *self)
{
    if (!is_reading(self)) {
        return 0;
    }
    return fl_source_want(&self->source, self->source.watch.events | FL_POLL_READ);
}

/* The callback after connection_made: reading begins, and whoever waits for the
 * connection is told, None if nobody does. */
PyObject *
fl_stream_begin(PyObject *op, PyObject *waiter)
{
    StreamObject *self = (StreamObject *)op;
    int status = self->source.loop == NULL ? 0 : fl_stream_start_reading(self);
    PyObject *exc = status < 0 ? fl_error_take() : NULL;
    if (waiter != Py_None) {
        PyObject *done = PyObject_CallMethod(waiter, "cancelled", NULL); /* escapes */
        PyObject *result = done == Py_False
                               ? PyObject_CallMethod(waiter, "set_result", "O", Py_None)
                               : Py_XNewRef(done);
        Py_XDECREF(done);
        Py_XDECREF(result);
        status |= result == NULL ? -1 : 0;
    }
    if (exc != NULL) {
        fl_error_restore(exc);
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* Debug mode's turn: whoever paused since it was queued is not read. */
PyObject *
fl_stream_read_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->source.watch.events & FL_POLL_READ && fl_stream_read(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
fl_stream_is_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(is_reading((StreamObject *)op));
}

PyObject *
fl_stream_pause_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (!is_reading(self)) {
        Py_RETURN_NONE;
    }
    self->paused = 1;
    uint32_t rest = self->source.watch.events & ~FL_POLL_READ;
    if (fl_source_want(&self->source, rest) < 0 ||
        fl_stream_debug(self, "%r pauses reading", Py_None) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
fl_stream_resume_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->closing || !self->paused) {
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
    if (fl_stream_start_reading(self) < 0 ||
        fl_stream_debug(self, "%r resumes reading", Py_None) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}
