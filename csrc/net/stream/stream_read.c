/* From the kernel to the protocol: one recv per event, as asyncio.
 *
 * A Protocol is given bytes, which net/transport/receive.h makes. A BufferedProtocol's
 * own buffer is received into directly; one written in C (net/transport/protocol.h)
 * sees the loop's.
 */
#include "net/stream/stream.h"
#include "net/transport/protocol.h"
#include "py/error.h"

#include <errno.h>
#include <sys/socket.h>

static const struct fl_receive_sizes sizes = {
    .is_short = (size_t)8 * 1024, .least = (size_t)16 * 1024, .most = FL_RECEIVE_MAX
};

static const char read_error[] = "Fatal read error on socket transport";
static const char data_error[] = "Fatal error: protocol.data_received() call failed.";

/* ---- receiving ---- */

/* The count, 0 at the end, -EAGAIN if there is nothing, or -errno. */
static ssize_t
receive(StreamObject *self, void *buffer, size_t size)
{
    int fd = fl_transport_socket_fd(&self->base);
    if (fd < 0) {
        return -EBADF;
    }
    ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);
    if (n >= 0) {
        return n;
    }
    return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

/* At most max bytes. *n as receive has it, or -ENOMEM; new, or NULL with or without an
 * exception. */
static PyObject *
receive_bytes(StreamObject *self, size_t max, ssize_t *n)
{
    struct fl_room room;
    LoopObject *loop = self->base.source.loop;
    *n = fl_room_open(&room, loop, &self->memory, &sizes, max)
             ? receive(self, room.start, room.size)
             : -ENOMEM;
    if (fl_room_is_full(&room, *n, max) &&
        fl_room_widen(&room, fl_transport_socket_fd(&self->base), max)) {
        ssize_t more = receive(self, room.start + *n, room.size - (size_t)*n);
        *n += more > 0 ? more : 0;
    }
    return fl_room_take(&room, *n);
}

/* ---- the protocol ---- */

static int
read_eof(StreamObject *self)
{
    if (fl_transport_debug(&self->base, "%r received EOF", Py_None) < 0) { /* escapes */
        return -1;
    }
    PyObject *protocol = Py_XNewRef(self->base.protocol);
    if (protocol == NULL) {
        return 0;
    }
    PyObject *keep_open = PyObject_CallMethodNoArgs(
        protocol, self->base.source.loop->state->str_eof_received
    ); /* escapes */
    Py_DECREF(protocol);
    if (keep_open == NULL) {
        return fl_transport_fatal_error(
            &self->base, "Fatal error: protocol.eof_received() call failed."
        );
    }
    int truth = PyObject_IsTrue(keep_open); /* escapes */
    Py_DECREF(keep_open);
    if (truth > 0 && self->base.source.loop != NULL) {
        uint32_t rest = self->base.source.watch.events & ~FL_POLL_READ;
        return fl_source_want(&self->base.source, rest);
    }
    PyObject *closed = truth < 0 ? NULL : fl_transport_close((PyObject *)self, NULL);
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
    return fl_transport_fatal_error(&self->base, read_error);
}

/* No object came of a receive that said n. */
static int
read_no_bytes(StreamObject *self, ssize_t n)
{
    return PyErr_Occurred() /* no such size, or no memory for it */
               ? fl_transport_fatal_error(&self->base, read_error)
               : read_nothing(self, n);
}

/* protocol.data_received(data), stolen. */
static int
hand_over(StreamObject *self, PyObject *data)
{
    PyObject *stack[2] = {self->base.protocol, data};
    Py_INCREF(stack[0]);
    PyObject *result = PyObject_VectorcallMethod(
        self->base.source.loop->state->str_data_received, stack,
        2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL
    ); /* escapes */
    Py_DECREF(stack[0]);
    Py_DECREF(data);
    if (result == NULL) {
        return fl_transport_fatal_error(&self->base, data_error);
    }
    Py_DECREF(result);
    return 0;
}

/* fast: into the object that a StreamReader's read() returns, without a copy (16 % of
 * a GB). */
static int
read_wanted(StreamObject *self, const struct fl_net_state *net, size_t max)
{
    struct fl_state *state = self->base.source.loop->state;
    ssize_t n = -ENOMEM;
    PyObject *data = receive_bytes(self, max, &n);
    if (data == NULL) {
        return read_no_bytes(self, n);
    }
    PyObject *protocol = Py_NewRef(self->base.protocol);
    int fed = net->give(state, protocol, data); /* escapes */
    Py_DECREF(protocol);
    if (fed == 0) {
        return hand_over(self, data);
    }
    Py_DECREF(data);
    return fed > 0 ? 0 : fl_transport_fatal_error(&self->base, data_error);
}

/* fast: from the loop's buffer into that of a StreamReader, without an object or a call
 * in between. */
static int
read_fed(StreamObject *self, const struct fl_net_state *net)
{
    struct fl_state *state = self->base.source.loop->state;
    if (self->memory.expected > 0) { /* much comes */
        Py_ssize_t wanted = net->wanted(state, self->base.protocol);
        if (wanted > 0) {
            return read_wanted(self, net, Py_MIN((size_t)wanted, FL_RECEIVE_MAX));
        }
    }
    void *buffer = fl_receive_buffer(self->base.source.loop);
    ssize_t n = buffer == NULL ? -ENOMEM : receive(self, buffer, FL_RECEIVE_MAX);
    if (n <= 0) {
        return read_nothing(self, n);
    }
    fl_receive_note(&self->memory, &sizes, (size_t)n);
    PyObject *protocol = Py_NewRef(self->base.protocol);
    int fed = net->feed(state, protocol, buffer, n); /* escapes */
    Py_DECREF(protocol);
    if (fed > 0) {
        return 0;
    }
    PyObject *data = fed < 0 ? NULL : PyBytes_FromStringAndSize(buffer, n);
    return data == NULL ? fl_transport_fatal_error(&self->base, data_error)
                        : hand_over(self, data);
}

static int
read_data(StreamObject *self)
{
    Py_ssize_t max;
    int status =
        fl_transport_max_size(&self->base, FL_SIZED_STREAM, &max); /* escapes */
    if (self->base.source.loop == NULL) {
        return status;
    }
    if (status == 0 && max < 0) {
        PyErr_SetString(PyExc_ValueError, "negative buffersize in recv");
        status = -1;
    }
    const struct fl_state *state = self->base.source.loop->state;
    if (status == 0 && max >= (Py_ssize_t)FL_RECEIVE_MAX &&
        fl_protocol_is_fed(state, self->base.protocol)) {
        return read_fed(self, &state->net);
    }
    ssize_t n = -ENOMEM;
    PyObject *data = status < 0 ? NULL : receive_bytes(self, (size_t)max, &n);
    return data == NULL ? read_no_bytes(self, n) : hand_over(self, data);
}

/* protocol.get_buffer(-1): new, not empty; or NULL with an exception. */
static PyObject *
get_buffer(StreamObject *self, PyObject *protocol)
{
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *buffer =
        hint == NULL ? NULL
                     : PyObject_CallMethodOneArg(
                           protocol, self->base.source.loop->state->str_get_buffer, hint
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

/* Says of what get_buffer() gave, and cannot be filled, what socket.recv_into() does.
 */
static FL_SLOW int
refuse_buffer(StreamObject *self, PyObject *buffer)
{
    if (PyErr_ExceptionMatches(PyExc_BufferError) ||
        PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Format(
            PyExc_TypeError,
            "recv_into() argument 1 must be read-write bytes-like object, not %.50s",
            buffer == Py_None ? "None" : Py_TYPE(buffer)->tp_name
        );
    }
    return fl_transport_fatal_error(&self->base, read_error); /* escapes */
}

static int
read_into(StreamObject *self, PyObject *protocol, PyObject *buffer)
{
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) { /* escapes */
        return refuse_buffer(self, buffer);
    }
    ssize_t n = receive(self, view.buf, (size_t)view.len);
    PyBuffer_Release(&view); /* escapes */
    if (self->base.source.loop == NULL) {
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
                  protocol, self->base.source.loop->state->str_buffer_updated, count
              ); /* escapes */
    Py_XDECREF(count);
    if (result == NULL) {
        return fl_transport_fatal_error(
            &self->base, "Fatal error: protocol.buffer_updated() call failed."
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
    PyObject *protocol = Py_NewRef(self->base.protocol);
    PyObject *buffer = get_buffer(self, protocol); /* escapes */
    int status;
    if (buffer == NULL) {
        status = fl_transport_fatal_error(
            &self->base, "Fatal error: protocol.get_buffer() call failed."
        );
    }
    else {
        status = self->base.source.loop == NULL ? 0 : read_into(self, protocol, buffer);
        Py_DECREF(buffer);
    }
    Py_DECREF(protocol);
    return status;
}

/* A protocol in C sees the loop's buffer. */
static int
read_seen(StreamObject *self, const struct fl_protocol_calls *calls)
{
    void *buffer = fl_receive_buffer(self->base.source.loop);
    ssize_t n = buffer == NULL ? -ENOMEM : receive(self, buffer, FL_RECEIVE_MAX);
    if (n <= 0) {
        return read_nothing(self, n);
    }
    PyObject *protocol = Py_NewRef(self->base.protocol);
    int status = calls->received(protocol, buffer, (size_t)n); /* escapes */
    Py_DECREF(protocol);
    return status == 0
               ? 0
               : fl_transport_fatal_error(
                     &self->base, "Fatal error: protocol.buffer_updated() call failed."
                 );
}

int
fl_stream_read(StreamObject *self)
{
    if (self->base.life >= FL_LOST || self->base.source.loop == NULL) {
        return 0;
    }
    if (!self->buffered) {
        return read_data(self);
    }
    const struct fl_protocol_calls *calls =
        fl_protocol_calls(self->base.source.loop->state, self->base.protocol);
    return calls != NULL ? read_seen(self, calls) : read_buffered(self);
}

/* Debug mode's turn: whoever paused since it was queued is not read. */
PyObject *
fl_stream_read_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->base.source.watch.events & FL_POLL_READ && fl_stream_read(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
