/* The end of a pipe that writes.
 *
 * As a stream's (net/stream_write.c): bytes wait for the end of the step and go by one
 * system call, anything mutable is sent at once and its rest copied, and what the
 * kernel did not take waits until it has room.
 *
 * A FIFO or socket is watched for reading: that is how its reader's leaving shows.
 */
#include "net/pipe.h"
#include "net/write_queue.h"
#include "py/error.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* asyncio.constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES */
#define LATE_WRITES_BEFORE_LOG 5

typedef struct {
    PipeObject pipe;
    struct fl_write_queue queue;
    uint32_t late_writes; /* after close() or the end, and the one that failed */
} WritePipeObject;

static const char write_error[] = "Fatal write error on pipe transport";

static TransportObject *
base_of(WritePipeObject *self)
{
    return &self->pipe.base;
}

/* ---- sending ---- */

static ssize_t
write_pieces(int fd, struct iovec *vector, size_t n)
{
    return n == 1 ? write(fd, vector->iov_base, vector->iov_len)
                  : writev(fd, vector, (int)n);
}

/* The queue and then the tail: as fl_write_queue_send. escapes. */
static ssize_t
send_all(WritePipeObject *self, const char *tail, size_t tail_size)
{
    int fd = fl_pipe_fd(&self->pipe); /* escapes */
    return fd < 0
               ? -EBADF
               : fl_write_queue_send(&self->queue, fd, write_pieces, tail, tail_size);
}

/* ---- what follows ---- */

static int
send_failed(WritePipeObject *self, ssize_t err)
{
    fl_write_queue_clear(&self->queue);
    self->late_writes++;
    fl_raise_errno((int)err);
    return fl_transport_fatal_error(base_of(self), write_error); /* escapes */
}

/* Nothing is left to send. at_once: connection_lost may be called here. */
static int
drained(WritePipeObject *self, bool at_once)
{
    TransportObject *base = base_of(self);
    if (!base->closing || base->conn_lost > 0) {
        return 0;
    }
    base->conn_lost = 1;
    fl_source_ignore(&base->source);                  /* escapes */
    return at_once ? fl_transport_lose(base, Py_None) /* escapes */
                   : fl_transport_lose_soon(base, Py_None);
}

static int
wait_for_room(WritePipeObject *self)
{
    struct fl_source *source = &base_of(self)->source;
    if (fl_source_want(source, source->watch.events | FL_POLL_WRITE) < 0) {
        fl_write_queue_clear(&self->queue);
        return fl_transport_fatal_error(base_of(self), write_error);
    }
    return 0;
}

static int
flush(WritePipeObject *self)
{
    TransportObject *base = base_of(self);
    if (self->queue.count == 0 || fl_transport_waits_for_room(base) || !base->open) {
        return 0;
    }
    ssize_t n = send_all(self, "", 0); /* escapes */
    if (base->source.loop == NULL) {
        return 0;
    }
    if (n < 0) {
        return send_failed(self, n);
    }
    return self->queue.count > 0 ? wait_for_room(self) : drained(self, false);
}

/* The pipe has room. */
static int
send_rest(WritePipeObject *self)
{
    TransportObject *base = base_of(self);
    if (base->conn_lost > 0 || base->source.loop == NULL) {
        return 0;
    }
    ssize_t n = send_all(self, "", 0); /* escapes */
    if (base->source.loop == NULL) {
        return 0;
    }
    if (n < 0) {
        return send_failed(self, n);
    }
    bool empty = self->queue.count == 0;
    if (empty) {
        uint32_t rest = base->source.watch.events & ~FL_POLL_WRITE;
        if (fl_source_want(&base->source, rest) < 0) {
            return -1;
        }
    }
    int status = fl_transport_maybe_resume(base, self->queue.size_bytes); /* escapes */
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

/* The reader has gone. */
static int
reader_left(WritePipeObject *self)
{
    TransportObject *base = base_of(self);
    if (base->conn_lost > 0 || base->source.loop == NULL) {
        return 0;
    }
    if (fl_pipe_note_peer_left(&self->pipe) < 0) { /* escapes */
        return -1;
    }
    if (self->queue.count == 0) {
        return fl_transport_force_close(base, Py_None);
    }
    PyObject *exc = PyObject_CallNoArgs(PyExc_BrokenPipeError);
    int status = exc == NULL ? -1 : fl_transport_force_close(base, exc);
    Py_XDECREF(exc);
    return status;
}

/* ---- queueing ---- */

static int
added(WritePipeObject *self)
{
    TransportObject *base = base_of(self);
    fl_loop_note_io(base->source.loop);
    if (!fl_transport_waits_for_room(base)) {
        if (self->queue.size_bytes <= base->high_bytes &&
            fl_transport_may_defer(base->source.loop)) {
            fl_source_defer(&base->source);
            return 0;
        }
        if (flush(self) < 0) { /* escapes */
            return -1;
        }
    }
    return fl_transport_maybe_pause(base, self->queue.size_bytes); /* escapes */
}

static int
add_bytes(WritePipeObject *self, PyObject *owner, const char *data, size_t size)
{
    return fl_write_queue_add(&self->queue, owner, data, size) < 0 ? -1 : added(self);
}

/* What is queued, and then what may change, as far as the kernel takes it; a copy of
 * the rest is queued. The data's count, or -errno. *failed: there is no memory, and an
 * exception. */
static ssize_t
send_mutable(WritePipeObject *self, const char *data, size_t size, bool *failed)
{
    ssize_t n = 0;
    if (!fl_transport_waits_for_room(base_of(self))) {
        fl_loop_note_io(base_of(self)->source.loop);
        n = send_all(self, data, size); /* escapes */
        if (n < 0 || (size_t)n == size) {
            return n;
        }
    }
    size -= (size_t)n;
    PyObject *copy = PyBytes_FromStringAndSize(data + n, (Py_ssize_t)size);
    *failed = copy == NULL ||
              fl_write_queue_add(&self->queue, copy, PyBytes_AS_STRING(copy), size) < 0;
    Py_XDECREF(copy);
    return n;
}

/* The buffer is its owner's again. */
static int
sent_mutable(WritePipeObject *self, ssize_t n)
{
    TransportObject *base = base_of(self);
    if (base->source.loop == NULL) {
        return 0;
    }
    if (n < 0) {
        return send_failed(self, n);
    }
    if (self->queue.count == 0) {
        return drained(self, false);
    }
    if (!fl_transport_waits_for_room(base) && wait_for_room(self) < 0) { /* escapes */
        return -1;
    }
    return fl_transport_maybe_pause(base, self->queue.size_bytes); /* escapes */
}

static int
add_object(WritePipeObject *self, PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        return add_bytes(
            self, data, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data)
        );
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) { /* escapes */
        return fl_transport_fatal_error(base_of(self), write_error);
    }
    PyObject *behind = PyMemoryView_Check(data) ? PyMemoryView_GET_BASE(data) : NULL;
    if (view.len == 0 || base_of(self)->source.loop == NULL) {
        PyBuffer_Release(&view); /* escapes */
        return 0;
    }
    if (behind != NULL && PyBytes_CheckExact(behind)) {
        const char *start = view.buf;
        size_t size = (size_t)view.len;
        PyBuffer_Release(&view); /* the view itself keeps its bytes */
        return add_bytes(self, behind, start, size);
    }
    bool failed = false;
    ssize_t n = send_mutable(self, view.buf, (size_t)view.len, &failed);
    PyBuffer_Release(&view); /* escapes */
    return failed ? -1 : sent_mutable(self, n);
}

/* True if nothing may be written any more; such writes are counted. escapes: an
 * exception may be set. */
static bool
is_late(WritePipeObject *self)
{
    TransportObject *base = base_of(self);
    if (!base->closing) {
        return false;
    }
    if (self->late_writes >= LATE_WRITES_BEFORE_LOG) {
        PyObject *result = PyObject_CallMethod(
            fl_state_of_type(Py_TYPE(self))->logger, "warning", "s",
            "pipe closed by peer or os.write(pipe, data) raised exception."
        ); /* escapes */
        Py_XDECREF(result);
    }
    self->late_writes += self->late_writes < UINT32_MAX;
    return true;
}

PyDoc_STRVAR(
    write_doc,
    "write($self, data, /)\n--\n\n"
    "Send data: bytes, bytearray or memoryview.\n\n"
    "Bytes are sent when the current callback or task step ends, together with what\n"
    "else it writes; anything mutable as it is now. After close() they are dropped.\n"
    "Raises AssertionError for other types."
);

static PyObject *
write_pipe_write(PyObject *op, PyObject *data)
{
    WritePipeObject *self = (WritePipeObject *)op;
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
        PyErr_Format(PyExc_AssertionError, "%R", data);
        return NULL;
    }
    int any = PyObject_IsTrue(data);
    if (any <= 0) {
        return any < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (!is_late(self) && add_object(self, data) < 0) { /* escapes */
        return NULL;
    }
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* ---- closing ---- */

PyDoc_STRVAR(
    write_eof_doc, "write_eof($self, /)\n--\n\n"
                   "Send what was written, then close the pipe."
);

static PyObject *
write_pipe_write_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WritePipeObject *self = (WritePipeObject *)op;
    TransportObject *base = base_of(self);
    if (!base->closing && flush(self) < 0) { /* escapes */
        return NULL;
    }
    if (base->closing) {
        Py_RETURN_NONE;
    }
    base->closing = 1;
    if (self->queue.count == 0 && drained(self, false) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    can_write_eof_doc, "can_write_eof($self, /)\n--\n\n"
                       "Return True: write_eof() works."
);

static PyObject *
write_pipe_can_write_eof(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_TRUE;
}

/* ---- what the kind does ---- */

static int
write_pipe_run(struct fl_source *source, uint32_t events)
{
    WritePipeObject *self = (WritePipeObject *)fl_transport_of_source(source);
    if (events & FL_POLL_READ) {
        return reader_left(self); /* escapes */
    }
    return send_rest(self); /* escapes */
}

static int
write_pipe_flush(struct fl_source *source)
{
    return flush((WritePipeObject *)fl_transport_of_source(source));
}

static size_t
write_pipe_unsent(const TransportObject *base)
{
    return ((const WritePipeObject *)(const void *)base)->queue.size_bytes;
}

static void
write_pipe_discard(TransportObject *base)
{
    fl_write_queue_clear(&((WritePipeObject *)base)->queue);
}

static const struct fl_transport_kind write_pipe_kind = {
    .source = {write_pipe_run, write_pipe_flush, "_read_ready", "_write_ready"},
    .unsent = write_pipe_unsent,
    .discard = write_pipe_discard,
    .ended = fl_pipe_ended,
};

PyObject *
fl_pipe_write_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    const struct fl_pipe_parts parts = {
        .type = fl_state_of_module(module)->write_pipe_type,
        .kind = &write_pipe_kind,
        .refusal = "Pipe transport is only for pipes, sockets and character devices",
        .reads = false,
    };
    mode_t mode;
    PipeObject *self = fl_pipe_make(&parts, args, n_args, &mode); /* escapes */
    if (self != NULL) {
        /* what a terminal has to read is not for us */
        self->base.paused = (char)S_ISCHR(mode);
    }
    return (PyObject *)self;
}

/* ---- the type ---- */

/* Debug mode's turns. */
static PyObject *
write_pipe_read_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WritePipeObject *self = (WritePipeObject *)op;
    if (base_of(self)->source.watch.events & FL_POLL_READ && reader_left(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
write_pipe_write_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WritePipeObject *self = (WritePipeObject *)op;
    if (fl_transport_waits_for_room(base_of(self)) && send_rest(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
write_pipe_repr(PyObject *op)
{
    WritePipeObject *self = (WritePipeObject *)op;
    const LoopObject *loop = base_of(self)->source.loop;
    PyObject *start = fl_pipe_repr(&self->pipe, FL_POLL_WRITE);
    PyObject *text = NULL;
    if (start != NULL && base_of(self)->open && loop != NULL && !loop->closed) {
        text = PyUnicode_FromFormat("%U bufsize=%zu>", start, self->queue.size_bytes);
    }
    else if (start != NULL) {
        text = PyUnicode_FromFormat("%U>", start);
    }
    Py_XDECREF(start);
    return text;
}

/* What waits, copied; it is not the queue itself. */
static PyObject *
get_buffer(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *pieces = fl_write_queue_copy(&((WritePipeObject *)op)->queue);
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *joined = pieces == NULL || empty == NULL
                           ? NULL
                           : PyObject_CallMethod(empty, "join", "O", pieces);
    PyObject *result = joined == NULL ? NULL : PyByteArray_FromObject(joined);
    Py_XDECREF(pieces);
    Py_XDECREF(empty);
    Py_XDECREF(joined);
    return result;
}

static PyMethodDef write_pipe_methods[] = {
    {"write", write_pipe_write, METH_O, write_doc},
    {"write_eof", write_pipe_write_eof, METH_NOARGS, write_eof_doc},
    {"can_write_eof", write_pipe_can_write_eof, METH_NOARGS, can_write_eof_doc},
    /* of two with one name the first counts */
    {"close", write_pipe_write_eof, METH_NOARGS, fl_transport_close_doc},
    FL_TRANSPORT_METHODS,
    FL_TRANSPORT_WRITING_METHODS,
    {"_read_ready", write_pipe_read_ready, METH_NOARGS, NULL},
    {"_write_ready", write_pipe_write_ready, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef write_pipe_getset[] = {
    FL_TRANSPORT_GETSET,
    FL_TRANSPORT_WRITING_GETSET,
    FL_PIPE_GETSET,
    {"_buffer", get_buffer, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    write_pipe_doc,
    "The writing end of a pipe, of a socket or of a character device.\n\n"
    "Made by the loop. Imitates asyncio's own, a subclass of\n"
    "asyncio.WriteTransport as well."
);

static PyType_Slot write_pipe_slots[] = {
    {Py_tp_doc, (void *)write_pipe_doc},     {Py_tp_dealloc, fl_pipe_dealloc},
    {Py_tp_finalize, fl_transport_finalize}, {Py_tp_traverse, fl_transport_traverse},
    {Py_tp_clear, fl_transport_clear},       {Py_tp_repr, write_pipe_repr},
    {Py_tp_methods, write_pipe_methods},     {Py_tp_members, fl_transport_members},
    {Py_tp_getset, write_pipe_getset},       {0, NULL},
};

/* Not immutable: see core/handle.c. */
static PyType_Spec write_pipe_spec = {
    .name = "fastloop.WritePipeTransport",
    .basicsize = sizeof(WritePipeObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = write_pipe_slots,
};

int
fl_pipe_write_add_type(PyObject *module, struct fl_state *state)
{
    if (fl_transport_check_layout(state->FlowControlMixin, true) < 0) {
        return -1;
    }
    return fl_make_type(
        &state->write_pipe_type, module, &write_pipe_spec, state->FlowControlMixin
    );
}
