/* The end of a pipe that writes (net/transport/writer.h; nothing is ever joined).
 *
 * A FIFO or socket is watched for reading: that is how its reader's leaving shows.
 */
#include "net/pipe/pipe.h"
#include "net/transport/writer.h"
#include "py/args/keywords.h"

#include <sys/uio.h>
#include <unistd.h>

typedef struct {
    PipeObject pipe;
    struct fl_writer writer;
} WritePipeObject;

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

static int
write_pipe_fd(TransportObject *base)
{
    return fl_pipe_fd((const PipeObject *)base); /* escapes */
}

static int
write_pipe_failed(TransportObject *base, PyObject *Py_UNUSED(exc))
{
    base->late_writes++; /* as asyncio's does */
    return 0;
}

static const struct fl_writer_kind write_pipe_writer_kind = {
    .send_pieces = write_pieces,
    .fd = write_pipe_fd,
    .failed = write_pipe_failed,
    .error = "Fatal write error on pipe transport",
};

/* ---- what follows ---- */

/* The reader has gone. */
static int
reader_left(WritePipeObject *self)
{
    TransportObject *base = base_of(self);
    if (base->life >= FL_LOST || base->source.loop == NULL) {
        return 0;
    }
    if (fl_pipe_note_peer_left(&self->pipe) < 0) { /* escapes */
        return -1;
    }
    if (self->writer.queue.count == 0) {
        return fl_transport_force_close(base, Py_None);
    }
    PyObject *exc = PyObject_CallNoArgs(PyExc_BrokenPipeError);
    int status = exc == NULL ? -1 : fl_transport_force_close(base, exc);
    Py_XDECREF(exc);
    return status;
}

/* ---- write ---- */

/* True if nothing may be written any more; such writes are counted. escapes: an
 * exception may be set. */
static bool
is_late(WritePipeObject *self)
{
    TransportObject *base = base_of(self);
    if (base->life == FL_LIVES) {
        return false;
    }
    fl_transport_count_late(
        base, base->late_writes,
        "pipe closed by peer or os.write(pipe, data) raised exception."
    ); /* escapes */
    return true;
}

PyDoc_STRVAR(
    write_doc,
    "write($self, /, data)\n--\n\n"
    "Send data: bytes, bytearray or memoryview, as it is now.\n\n"
    "What the pipe does not take at once is sent later; after close() it is dropped.\n"
    "Raises AssertionError for other types."
);

static PyObject *
write_pipe_write(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    WritePipeObject *self = (WritePipeObject *)op;
    const struct fl_keywords expected = {
        "write", 1, 1, 1, {fl_state_of_type(Py_TYPE(op))->str_data}
    };
    PyObject *data;
    if (fl_keywords_parse(&expected, args, n_args, kwnames, &data) < 0) {
        return NULL;
    }
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
        PyErr_Format(PyExc_AssertionError, "%R", data);
        return NULL;
    }
    int any = PyObject_IsTrue(data);
    if (any <= 0) {
        return any < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (!is_late(self) && fl_writer_write(&self->writer, data) < 0) { /* escapes */
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
    bool drained = self->writer.queue.count == 0;
    if (base->life > FL_LIVES ||
        !fl_transport_go_on(base, drained ? FL_LOST : FL_CLOSING) || !drained) {
        Py_RETURN_NONE;
    }
    fl_source_ignore(&base->source); /* escapes */
    return fl_transport_lose_soon(base, Py_None) < 0 ? NULL : Py_NewRef(Py_None);
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
    return fl_writer_send_rest(&self->writer); /* escapes */
}

static size_t
write_pipe_unsent(const TransportObject *base)
{
    return ((const WritePipeObject *)(const void *)base)->writer.queue.size_bytes;
}

static void
write_pipe_discard(TransportObject *base)
{
    fl_write_queue_clear(&((WritePipeObject *)base)->writer.queue);
}

static const struct fl_transport_kind write_pipe_kind = {
    .source = {write_pipe_run, NULL, "_read_ready", "_write_ready"},
    .unsent = write_pipe_unsent,
    .hears_closing = true,
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
        fl_writer_init(
            &((WritePipeObject *)self)->writer, &self->base, &write_pipe_writer_kind
        );
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
    if (fl_transport_waits_for_room(base_of(self)) &&
        fl_writer_send_rest(&self->writer) < 0) {
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
    if (start != NULL && base_of(self)->life < FL_ENDED && loop != NULL &&
        !loop->closed) {
        text = PyUnicode_FromFormat(
            "%U bufsize=%zu>", start, self->writer.queue.size_bytes
        );
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
    PyObject *pieces = fl_write_queue_copy(&((WritePipeObject *)op)->writer.queue);
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
    {"write", FL_FASTCALL(write_pipe_write), METH_FASTCALL | METH_KEYWORDS, write_doc},
    {"write_eof", write_pipe_write_eof, METH_NOARGS, write_eof_doc},
    {"can_write_eof", write_pipe_can_write_eof, METH_NOARGS, can_write_eof_doc},
    /* of two with one name the first counts */
    {"close", write_pipe_write_eof, METH_NOARGS, fl_transport_close_doc},
    FL_TRANSPORT_METHODS,
    FL_TRANSPORT_ABORT,
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

/* Not immutable: see core/handle/handle.c. */
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
    if (fl_transport_provide_base(&state->FlowControlMixin, true) < 0) {
        return -1;
    }
    return fl_make_type(
        &state->write_pipe_type, module, &write_pipe_spec, state->FlowControlMixin
    );
}
