/* What a stream's writing has of its own: the system call, the end of file, and the
 * futures by which sendfile waits. net/transport/writer.c is the rest.
 */
#include "core/future/future.h"
#include "net/stream/stream.h"
#include "py/args/call.h"
#include "py/args/keywords.h"
#include "py/error.h"

#include <errno.h>
#include <sys/socket.h>

/* ---- sending ---- */

static ssize_t
send_pieces(int fd, struct iovec *vector, size_t n)
{
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (n == 1) {
        return send(fd, vector->iov_base, vector->iov_len, flags);
    }
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = n};
    return sendmsg(fd, &message, flags);
}

static int
stream_fd(TransportObject *base)
{
    return fl_transport_socket_fd(base);
}

/* ---- what follows ---- */

/* Calls set_result or set_exception of the empty_waiter, if there is one that is not
 * done. */
static int
settle_waiter(StreamObject *self, const char *method, PyObject *value)
{
    if (self->empty_waiter == NULL) {
        return 0;
    }
    PyObject *waiter = Py_NewRef(self->empty_waiter);
    PyObject *done = PyObject_CallMethod(waiter, "done", NULL);
    PyObject *result = done == Py_False
                           ? PyObject_CallMethod(waiter, method, "O", value)
                           : Py_XNewRef(done);
    Py_XDECREF(done);
    Py_DECREF(waiter);
    return fl_call_status(result);
}

static int
finish_waiter(StreamObject *self)
{
    return settle_waiter(self, "set_result", Py_None);
}

static int
shut_down(StreamObject *self)
{
    int fd = fl_transport_socket_fd(&self->base);
    if (fd < 0 || shutdown(fd, SHUT_WR) < 0) {
        fl_raise_errno(fd < 0 ? EBADF : errno);
        return -1;
    }
    return 0;
}

static int
stream_drained(TransportObject *base)
{
    StreamObject *self = (StreamObject *)base;
    if (finish_waiter(self) < 0) { /* escapes */
        return -1;
    }
    return self->eof && base->life == FL_LIVES ? shut_down(self) : 0;
}

static int
stream_failed(TransportObject *base, PyObject *exc)
{
    return settle_waiter((StreamObject *)base, "set_exception", exc); /* escapes */
}

const struct fl_writer_kind fl_stream_writer_kind = {
    .send_pieces = send_pieces,
    .fd = stream_fd,
    .drained = stream_drained,
    .failed = stream_failed,
    .error = "Fatal write error on socket transport",
};

int
fl_stream_fail_waiter_at_end(StreamObject *self)
{
    if (self->empty_waiter == NULL) {
        return 0;
    }
    PyObject *exc = PyObject_CallFunction(
        PyExc_ConnectionError, "s", "Connection is closed by peer"
    );
    int status = exc == NULL ? -1 : settle_waiter(self, "set_exception", exc);
    Py_XDECREF(exc);
    return status;
}

int
fl_stream_flush(StreamObject *self)
{
    return fl_writer_flush(&self->writer);
}

int
fl_stream_flush_source(struct fl_source *source)
{
    return fl_stream_flush(fl_stream_of_source(source));
}

static int
want_no_room(StreamObject *self)
{
    struct fl_source *source = &self->base.source;
    return fl_source_want(source, source->watch.events & ~FL_POLL_WRITE);
}

int
fl_stream_send_rest(StreamObject *self)
{
    if (self->room_waiter != NULL && self->base.life < FL_LOST) {
        return want_no_room(self) < 0 ? -1 : fl_stream_tell_room(self); /* escapes */
    }
    return fl_writer_send_rest(&self->writer); /* escapes */
}

PyObject *
fl_stream_write_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (fl_transport_waits_for_room(&self->base) && fl_stream_send_rest(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- write, writelines ---- */

static bool
is_lost(StreamObject *self)
{
    return fl_transport_is_lost(&self->base, "socket.send() raised exception.");
}

static int
check_may_write(StreamObject *self, const char *method, const char *doing)
{
    if (self->eof) {
        PyErr_Format(PyExc_RuntimeError, "Cannot call %s() after write_eof()", method);
        return -1;
    }
    if (self->empty_waiter != NULL) {
        PyErr_Format(
            PyExc_RuntimeError, "unable to %s; sendfile is in progress", doing
        );
        return -1;
    }
    return 0;
}

/* The argument that write() and writelines() have: borrowed, or NULL. */
static PyObject *
only_argument(
    const char *method, PyObject *name, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    const struct fl_keywords expected = {method, 1, 1, 1, {name}};
    PyObject *value = NULL;
    return fl_keywords_parse(&expected, args, n_args, kwnames, &value) < 0 ? NULL
                                                                           : value;
}

/* Of anything. escapes. 0, or -1 with an exception. */
static int
write_data(StreamObject *self, PyObject *data)
{
    bool plain = PyBytes_CheckExact(data);
    if (!plain && !PyBytes_Check(data) && !PyByteArray_Check(data) &&
        !PyMemoryView_Check(data)) {
        PyErr_Format(
            PyExc_TypeError, "data argument must be " FL_WRITE_WANTS ", not '%s'",
            fl_type_short_name(Py_TYPE(data))
        );
        return -1;
    }
    if (check_may_write(self, "write", "write") < 0) {
        return -1;
    }
    int any = plain ? PyBytes_GET_SIZE(data) > 0 : PyObject_IsTrue(data); /* escapes */
    if (any <= 0) {
        return any;
    }
    if (!is_lost(self)) {
        return fl_writer_write(&self->writer, data); /* escapes */
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *
write_done(StreamObject *self, int status)
{
    return status < 0 ? fl_transport_refuse(&self->base) /* escapes */
                      : Py_NewRef(Py_None);
}

PyObject *
fl_stream_write(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamObject *self = (StreamObject *)op;
    PyObject *data = n_args == 1 && kwnames == NULL
                         ? args[0]
                         : only_argument(
                               "write", fl_state_of_type(Py_TYPE(op))->str_data, args,
                               n_args, kwnames
                           );
    return write_done(self, data == NULL ? -1 : write_data(self, data)); /* escapes */
}

int
fl_stream_write_copy(StreamObject *self, const char *data, size_t size)
{
    int status = check_may_write(self, "write", "write");
    if (status == 0 && is_lost(self)) { /* escapes */
        status = PyErr_Occurred() ? -1 : 0;
    }
    else if (status == 0) {
        status = fl_writer_write_copy(&self->writer, data, size); /* escapes */
    }
    return status == 0 ? 0
                       : fl_call_status(fl_transport_refuse(&self->base)); /* escapes */
}

/* Code of the program's that looks for the pieces may look at the peer, too. escapes.
 * 0 or -1. */
static int
before_iterating(StreamObject *self, PyObject *pieces)
{
    return PyList_CheckExact(pieces) || PyTuple_CheckExact(pieces)
               ? 0
               : fl_stream_flush(self);
}

#if FL_WRITELINES_JOINS

static int
write_lines(StreamObject *self, PyObject *pieces)
{
    if (before_iterating(self, pieces) < 0) { /* escapes */
        return -1;
    }
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *joined =
        empty == NULL ? NULL
                      : PyObject_CallMethod(empty, "join", "(O)", pieces); /* escapes */
    int status = joined == NULL ? -1 : write_data(self, joined);           /* escapes */
    Py_XDECREF(joined);
    Py_XDECREF(empty);
    return status;
}

#else

/* One more piece; what may change by copy. escapes. 0, -1, or 1 with the exception that
 * sending it would end with. */
static int
add_piece(struct fl_write_queue *queue, PyObject *piece)
{
    PyObject *view = PyMemoryView_FromObject(piece); /* escapes */
    if (view == NULL) {
        return -1;
    }
    const Py_buffer *buffer = PyMemoryView_GET_BUFFER(view);
    if (!PyBuffer_IsContiguous(buffer, 'C')) {
        Py_DECREF(view); /* escapes */
        PyErr_SetString(
            PyExc_BufferError, "memoryview: underlying buffer is not C-contiguous"
        );
        return 1;
    }
    PyObject *owner = fl_writer_bytes_behind(view);
    owner = owner != NULL ? Py_NewRef(owner) : PyBytes_FromObject(view);
    int status = owner == NULL ? -1 : 0;
    bool copied = owner != NULL && owner != buffer->obj;
    const char *data = buffer->buf;
    size_t size = (size_t)buffer->len;
    if (copied) {
        data = PyBytes_AS_STRING(owner);
        size = (size_t)PyBytes_GET_SIZE(owner);
    }
    if (status == 0 && size > 0) {
        status = fl_write_queue_add(queue, owner, data, size);
    }
    Py_XDECREF(owner);
    Py_DECREF(view); /* escapes */
    return status;
}

/* Notes what asyncio's own does. escapes. 0 or -1. */
static int
try_writelines(struct fl_state *state)
{
    PyObject *module = PyImport_ImportModule("fastloop._sockets");
    PyObject *drops =
        module == NULL
            ? NULL
            : PyObject_CallMethod(module, "writelines_drops_false", NULL); /* escapes */
    Py_XDECREF(module);
    if (drops == NULL) {
        return -1;
    }
    state->net.writelines_drops_false = drops == Py_True;
    state->net.writelines_tried = true;
    Py_DECREF(drops);
    return 0;
}

/* Whether the running asyncio takes the piece for none. escapes. 1, 0 or -1. */
static int
is_left_out(StreamObject *self, PyObject *piece)
{
    if (PyBytes_CheckExact(piece) || PyByteArray_CheckExact(piece) ||
        PyMemoryView_Check(piece)) {
        return 0; /* if it is empty it makes no difference */
    }
    struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    if (!state->net.writelines_tried && try_writelines(state) < 0) { /* escapes */
        return -1;
    }
    int is_true = state->net.writelines_drops_false ? PyObject_IsTrue(piece) : 1;
    return is_true < 0 ? -1 : !is_true; /* escapes */
}

static int
write_list(StreamObject *self, PyObject *list)
{
    struct fl_write_queue queue = {0};
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *piece = Py_NewRef(PyList_GET_ITEM(list, i));
        int left_out = is_left_out(self, piece); /* escapes */
        if (left_out == 0) {
            status = add_piece(&queue, piece); /* escapes */
        }
        else if (left_out < 0) {
            status = -1;
        }
        Py_DECREF(piece);
    }
    if (status > 0) {
        status = fl_transport_fatal_error(&self->base, fl_stream_writer_kind.error);
    }
    else if (status == 0 && self->base.life < FL_LOST) {
        status = fl_writer_write_pieces(&self->writer, &queue); /* escapes */
    }
    fl_write_queue_clear(&queue);
    return status;
}

static int
write_lines(StreamObject *self, PyObject *pieces)
{
    if (before_iterating(self, pieces) < 0 || /* escapes */
        check_may_write(self, "writelines", "writelines") < 0) {
        return -1;
    }
    int any = PyObject_IsTrue(pieces); /* escapes */
    if (any <= 0) {
        return any;
    }
    if (is_lost(self)) { /* escapes */
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *list = PySequence_List(pieces);                /* escapes */
    int status = list == NULL ? -1 : write_list(self, list); /* escapes */
    Py_XDECREF(list);
    return status;
}

#endif

PyObject *
fl_stream_writelines(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamObject *self = (StreamObject *)op;
    PyObject *name = fl_state_of_type(Py_TYPE(op))->str_list_of_data;
    PyObject *pieces = only_argument("writelines", name, args, n_args, kwnames);
    return write_done(self, pieces == NULL ? -1 : write_lines(self, pieces));
}

PyObject *
fl_stream_write_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->base.life > FL_LIVES || self->eof) {
        Py_RETURN_NONE;
    }
    if (fl_loop_flush(self->base.source.loop) < 0 || /* escapes */
        fl_stream_flush(self) < 0) {                 /* escapes */
        return NULL;
    }
    if (self->base.life > FL_LIVES || self->eof) {
        Py_RETURN_NONE;
    }
    self->eof = 1;
    if (self->writer.queue.count == 0 && shut_down(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- sendfile ---- */

static PyObject *
refuse_second_waiter(void)
{
    PyErr_SetString(PyExc_RuntimeError, "Empty waiter is already set");
    return NULL;
}

PyObject *
fl_stream_make_empty_waiter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->empty_waiter != NULL) {
        return refuse_second_waiter();
    }
    if (fl_stream_flush(self) < 0) { /* escapes */
        return NULL;
    }
    if (self->base.source.loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Transport is closed");
        return NULL;
    }
    PyObject *waiter = PyObject_CallMethod(
        (PyObject *)self->base.source.loop, "create_future", NULL
    ); /* escapes */
    if (waiter == NULL) {
        return NULL;
    }
    if (self->empty_waiter != NULL) { /* looked again */
        Py_DECREF(waiter);
        return refuse_second_waiter();
    }
    self->empty_waiter = Py_NewRef(waiter);
    if (self->writer.queue.count == 0 && finish_waiter(self) < 0) {
        Py_CLEAR(waiter);
    }
    return waiter;
}

PyObject *
fl_stream_reset_empty_waiter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    Py_CLEAR(self->empty_waiter);
    if (self->room_waiter != NULL) { /* it was cancelled */
        Py_CLEAR(self->room_waiter);
        if (self->base.source.loop != NULL && want_no_room(self) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

int
fl_stream_wait_for_room(StreamObject *self, PyObject *future)
{
    struct fl_source *source = &self->base.source;
    if (self->empty_waiter == NULL || source->loop == NULL ||
        self->base.life > FL_LIVES) {
        return 0;
    }
    if (fl_source_want(source, source->watch.events | FL_POLL_WRITE) < 0) {
        return -1;
    }
    Py_XSETREF(self->room_waiter, Py_NewRef(future));
    return 1;
}

int
fl_stream_tell_room(StreamObject *self)
{
    PyObject *future = self->room_waiter;
    self->room_waiter = NULL;
    int status = 0;
    if (future != NULL && fl_future(future)->status == FL_FUTURE_PENDING) {
        status = fl_future_set_result(fl_future(future), Py_None);
    }
    Py_XDECREF(future);
    return status;
}
