/* From write() to the kernel.
 *
 * write() queues a reference to what cannot change (bytes, or a memoryview of
 * them) and defers to the end of the step, where one sendmsg sends what the step
 * wrote: two writes for one answer cost one system call (7.4 us a request instead
 * of 12.4 at 100 connections). Anything mutable is sent inside write(), with
 * what is queued, and its rest copied, so that what is sent is what was there.
 *
 * Once the kernel has taken less than it was given, the fd is watched for room,
 * and until there is some everything only queues. Passing the high-water mark
 * sends first, so the protocol is paused only for what the kernel refused.
 */
#include "core/future.h"
#include "net/stream.h"
#include "py/call.h"
#include "py/error.h"

#include <errno.h>
#include <sys/socket.h>

static const char write_error[] = "Fatal write error on socket transport";

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

/* The queue and then the tail: as fl_write_queue_send. */
static ssize_t
send_all(StreamObject *self, const char *tail, size_t tail_size)
{
    int fd = fl_transport_socket_fd(&self->base);
    return fl_write_queue_send(&self->queue, fd, send_pieces, tail, tail_size);
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

/* Nothing is left to send: what waited for that. at_once: connection_lost may be
 * called here. */
static int
drained(StreamObject *self, bool at_once)
{
    if (finish_waiter(self) < 0) { /* escapes */
        return -1;
    }
    if (self->base.closing) {
        if (self->base.conn_lost > 0) {
            return 0;
        }
        self->base.conn_lost = 1;
        return at_once ? fl_transport_lose(&self->base, Py_None) /* escapes */
                       : fl_transport_lose_soon(&self->base, Py_None);
    }
    return self->eof ? shut_down(self) : 0;
}

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

/* A send failed with -errno. */
static int
send_failed(StreamObject *self, ssize_t err)
{
    fl_write_queue_clear(&self->queue);
    fl_raise_errno((int)err);
    PyObject *exc = fl_error_take();
    fl_error_restore(Py_NewRef(exc));
    int status = fl_transport_fatal_error(&self->base, write_error); /* escapes */
    if (status == 0) {
        status = settle_waiter(self, "set_exception", exc); /* escapes */
    }
    Py_DECREF(exc);
    return status;
}

/* The kernel has not taken all of it. */
static int
wait_for_room(StreamObject *self)
{
    if (fl_source_want(
            &self->base.source, self->base.source.watch.events | FL_POLL_WRITE
        ) < 0) {
        fl_write_queue_clear(&self->queue);
        return fl_transport_fatal_error(&self->base, write_error);
    }
    return 0;
}

int
fl_stream_flush(StreamObject *self)
{
    if (self->queue.count == 0 || fl_transport_waits_for_room(&self->base) ||
        !self->base.open) {
        return 0;
    }
    ssize_t n = send_all(self, "", 0);
    if (n < 0) {
        return send_failed(self, n);
    }
    return self->queue.count > 0 ? wait_for_room(self) : drained(self, false);
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
    if (self->base.conn_lost > 0 || self->base.source.loop == NULL) {
        return 0;
    }
    if (self->room_waiter != NULL) {
        return want_no_room(self) < 0 ? -1 : fl_stream_tell_room(self); /* escapes */
    }
    ssize_t n = send_all(self, "", 0);
    if (n < 0) {
        return send_failed(self, n);
    }
    bool empty = self->queue.count == 0;
    if (empty && want_no_room(self) < 0) {
        return -1;
    }
    size_t unsent = self->queue.size_bytes;
    int status = fl_transport_maybe_resume(&self->base, unsent); /* escapes */
    if (!empty || self->queue.count > 0) {
        return status;
    }
    if (status == 0) {
        return drained(self, true); /* escapes */
    }
    /* the exception leaves the loop, which may run on: the rest is due all the same */
    PyObject *exit = fl_error_take();
    if (drained(self, false) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    fl_error_restore(exit);
    return -1;
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

/* ---- queueing ---- */

/* Something was added to the queue. */
static int
added(StreamObject *self)
{
    LoopObject *loop = self->base.source.loop;
    fl_loop_note_io(loop);
    if (!fl_transport_waits_for_room(&self->base)) {
        if (self->queue.size_bytes <= self->base.high_bytes &&
            fl_transport_may_defer(loop)) {
            fl_source_defer(&self->base.source);
            return 0;
        }
        if (fl_stream_flush(self) < 0) { /* escapes */
            return -1;
        }
    }
    return fl_transport_maybe_pause(&self->base, self->queue.size_bytes); /* escapes */
}

/* Sends what may change, with what is queued, as far as the kernel takes it, and
 * queues a copy of the rest. What send_all returned, or 0; -1 with an exception if
 * there is no memory. */
static ssize_t
send_mutable(StreamObject *self, const char *data, size_t size, bool *failed)
{
    *failed = false;
    if (!fl_transport_waits_for_room(&self->base)) {
        fl_loop_note_io(self->base.source.loop);
        ssize_t n = send_all(self, data, size);
        if (n < 0 || (size_t)n == size) {
            *failed = n < 0;
            return n;
        }
        data += n;
        size -= (size_t)n;
    }
    PyObject *copy = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    if (copy == NULL) {
        return -1;
    }
    int status = fl_write_queue_add(&self->queue, copy, PyBytes_AS_STRING(copy), size);
    Py_DECREF(copy);
    return status;
}

/* What follows, when the buffer is its owner's again. */
static int
sent_mutable(StreamObject *self, ssize_t n, bool failed)
{
    if (failed) {
        return send_failed(self, n);
    }
    if (n < 0) {
        return -1;
    }
    if (self->queue.count == 0) {
        return drained(self, false);
    }
    if (!fl_transport_waits_for_room(&self->base) &&
        wait_for_room(self) < 0) { /* escapes */
        return -1;
    }
    return fl_transport_maybe_pause(&self->base, self->queue.size_bytes);
}

/* The bytes object that a memoryview shows and cannot change under it, or NULL;
 * borrowed. */
static PyObject *
bytes_behind(PyObject *data)
{
    PyObject *base = PyMemoryView_Check(data) ? PyMemoryView_GET_BASE(data) : NULL;
    return base != NULL && PyBytes_CheckExact(base) ? base : NULL;
}

static int
add_object(StreamObject *self, PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        size_t size = (size_t)PyBytes_GET_SIZE(data);
        if (size == 0) {
            return 0;
        }
        if (fl_write_queue_add(&self->queue, data, PyBytes_AS_STRING(data), size) < 0) {
            return -1;
        }
        return added(self);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) { /* escapes */
        return fl_transport_fatal_error(&self->base, write_error);
    }
    if (view.len == 0 || self->base.source.loop == NULL) {
        PyBuffer_Release(&view); /* escapes */
        return 0;
    }
    PyObject *behind = bytes_behind(data);
    if (behind != NULL) {
        int status =
            fl_write_queue_add(&self->queue, behind, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
        return status < 0 ? -1 : added(self);
    }
    bool failed;
    ssize_t n = send_mutable(self, view.buf, (size_t)view.len, &failed);
    PyBuffer_Release(&view); /* escapes */
    return sent_mutable(self, n, failed);
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

PyObject *
fl_stream_write(PyObject *op, PyObject *data)
{
    StreamObject *self = (StreamObject *)op;
    bool plain = PyBytes_CheckExact(data);
    if (!plain && !PyBytes_Check(data) && !PyByteArray_Check(data) &&
        !PyMemoryView_Check(data)) {
        PyErr_Format(
            PyExc_TypeError, "data argument must be " FL_WRITE_WANTS ", not '%s'",
            fl_type_short_name(Py_TYPE(data))
        );
        return NULL;
    }
    if (check_may_write(self, "write", "write") < 0) {
        return NULL;
    }
    Py_ssize_t size = plain ? PyBytes_GET_SIZE(data) : PyObject_Size(data);
    if (size < 0) {
        return NULL;
    }
    if (size > 0 && !is_lost(self) && add_object(self, data) < 0) { /* escapes */
        return NULL;
    }
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* Every piece as bytes, so what may change by copy. New list or NULL. */
static PyObject *
pieces_as_bytes(PyObject *pieces)
{
    PyObject *list = PySequence_List(pieces); /* escapes */
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyObject *piece = PyList_GET_ITEM(list, i);
        if (PyBytes_CheckExact(piece)) {
            continue;
        }
        PyObject *view = PyMemoryView_FromObject(piece); /* escapes */
        PyObject *copy = view == NULL ? NULL : PyBytes_FromObject(view);
        Py_XDECREF(view);
        if (copy == NULL || PyList_SetItem(list, i, copy) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyObject *
fl_stream_writelines(PyObject *op, PyObject *pieces)
{
    StreamObject *self = (StreamObject *)op;
    if (check_may_write(self, "writelines", "writelines") < 0) {
        return NULL;
    }
    PyObject *list = pieces_as_bytes(pieces); /* escapes */
    if (list == NULL) {
        return NULL;
    }
    int status = 0;
    if (PyList_GET_SIZE(list) > 0 && !is_lost(self)) {
        bool any = false;
        for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(list); i++) {
            PyObject *piece = PyList_GET_ITEM(list, i);
            size_t size = (size_t)PyBytes_GET_SIZE(piece);
            if (size > 0) {
                any = true;
                status = fl_write_queue_add(
                    &self->queue, piece, PyBytes_AS_STRING(piece), size
                );
            }
        }
        if (status == 0 && any) {
            status = added(self); /* escapes */
        }
    }
    Py_DECREF(list);
    return status < 0 || PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyObject *
fl_stream_write_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->base.closing || self->eof) {
        Py_RETURN_NONE;
    }
    if (fl_stream_flush(self) < 0) { /* escapes */
        return NULL;
    }
    if (self->base.closing || self->eof) {
        Py_RETURN_NONE;
    }
    self->eof = 1;
    if (self->queue.count == 0 && shut_down(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- sendfile ---- */

PyObject *
fl_stream_make_empty_waiter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamObject *self = (StreamObject *)op;
    if (self->empty_waiter != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Empty waiter is already set");
        return NULL;
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
    Py_XSETREF(self->empty_waiter, Py_NewRef(waiter));
    if (self->queue.count == 0 && finish_waiter(self) < 0) {
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
    if (self->empty_waiter == NULL || source->loop == NULL || self->base.closing) {
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
    if (future != NULL && fl_future_own(future)->status == FL_FUTURE_PENDING) {
        status = fl_future_set_result(future, fl_future_own(future), Py_None);
    }
    Py_XDECREF(future);
    return status;
}
