/* The end of a pipe that reads: one read per event, as asyncio. */
#include "net/pipe/pipe.h"
#include "net/transport/protocol.h"
#include "py/args/call.h"
#include "py/error.h"

#include <errno.h>
#include <unistd.h>

/* What a pipe holds unless F_SETPIPE_SZ changed it. */
#define PIPE_BYTES ((size_t)64 * 1024)

static const struct fl_receive_sizes pipe_sizes = {
    .is_short = (size_t)8 * 1024, .least = PIPE_BYTES, .most = FL_RECEIVE_MAX
};

/* A socket's messages may be cut where the room ends. */
static const struct fl_receive_sizes socket_sizes = {
    .is_short = (size_t)8 * 1024,
    .least = PIPE_BYTES,
    .most = FL_RECEIVE_MAX,
    .whole = true
};

typedef struct {
    PipeObject pipe;
    struct fl_receive memory;
    bool is_socket;
} ReadPipeObject;

static const char read_error[] = "Fatal read error on pipe transport";

static TransportObject *
base_of(ReadPipeObject *self)
{
    return &self->pipe.base;
}

/* ---- reading ---- */

/* The count, 0 at the end, -EAGAIN if there is nothing, or -errno. escapes. */
static ssize_t
receive(ReadPipeObject *self, void *buffer, size_t size)
{
    int fd = fl_pipe_fd(&self->pipe); /* escapes */
    if (fd < 0) {
        return -EBADF;
    }
    ssize_t n = read(fd, buffer, size);
    if (n >= 0) {
        return n;
    }
    return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

/* At most max bytes. *n as receive has it, or -ENOMEM; new, or NULL with or without an
 * exception. escapes. */
static PyObject *
receive_bytes(ReadPipeObject *self, size_t max, ssize_t *n)
{
    struct fl_room room;
    LoopObject *loop = base_of(self)->source.loop;
    const struct fl_receive_sizes *sizes =
        self->is_socket ? &socket_sizes : &pipe_sizes;
    *n = fl_room_open(&room, loop, &self->memory, sizes, max)
             ? receive(self, room.start, room.size)
             : -ENOMEM; /* escapes */
    if (fl_room_is_full(&room, *n, max) && fl_room_widen(&room, self->pipe.fd, max)) {
        ssize_t more = read(self->pipe.fd, room.start + *n, room.size - (size_t)*n);
        *n += more > 0 ? more : 0;
    }
    return fl_room_take(&room, *n);
}

/* ---- the protocol ---- */

static int
read_end(ReadPipeObject *self)
{
    TransportObject *base = base_of(self);
    if (fl_pipe_note_peer_left(&self->pipe) < 0) { /* escapes */
        return -1;
    }
    if (base->life >= FL_LOST || base->source.loop == NULL) {
        return 0;
    }
    (void)fl_transport_go_on(base, FL_LOST);
    fl_source_ignore(&base->source); /* escapes */
    PyObject *loop = (PyObject *)base->source.loop;
    const struct fl_state *state = base->source.loop->state;
    PyObject *ended =
        PyObject_GetAttr(base->protocol, state->str_eof_received); /* escapes */
    PyObject *handle = ended == NULL ? NULL
                                     : PyObject_CallMethodOneArg(
                                           loop, state->str_call_soon, ended
                                       ); /* escapes */
    Py_XDECREF(ended);
    if (handle == NULL) {
        return -1;
    }
    Py_DECREF(handle);
    return fl_transport_lose_soon(base, Py_None);
}

/* n <= 0: the end, nothing, or an error; a terminal's hang-up is not worth a report. */
static int
read_nothing(ReadPipeObject *self, ssize_t n)
{
    TransportObject *base = base_of(self);
    if (n == -EAGAIN || base->source.loop == NULL) {
        return 0;
    }
    if (n == 0) {
        return read_end(self);
    }
    fl_raise_errno((int)n);
    if (n == -EIO) {
        return fl_transport_fatal_error(base, read_error);
    }
    PyObject *exc = fl_error_take();
    int status = fl_transport_report(base, read_error, exc); /* escapes */
    if (status == 0 && base->source.loop != NULL) {
        status = fl_transport_force_close(base, exc);
    }
    Py_DECREF(exc);
    return status;
}

/* protocol.data_received(data), stolen. escapes. */
static int
hand_over(TransportObject *base, PyObject *data)
{
    PyObject *protocol = Py_NewRef(base->protocol);
    PyObject *result = PyObject_CallMethodOneArg(
        protocol, base->source.loop->state->str_data_received, data
    ); /* escapes */
    Py_DECREF(protocol);
    Py_DECREF(data);
    return fl_call_status(result);
}

/* fast: from the loop's buffer into that of a StreamReader, as stream_read.c has it. */
static int
read_fed(ReadPipeObject *self)
{
    TransportObject *base = base_of(self);
    struct fl_state *state = base->source.loop->state;
    void *buffer = fl_receive_buffer(base->source.loop);
    ssize_t n =
        buffer == NULL ? -ENOMEM : receive(self, buffer, FL_RECEIVE_MAX); /* escapes */
    if (n <= 0) {
        return read_nothing(self, n);
    }
    if (base->protocol == NULL) {
        return 0;
    }
    PyObject *protocol = Py_NewRef(base->protocol);
    int fed = state->net.feed(state, protocol, buffer, n); /* escapes */
    Py_DECREF(protocol);
    if (fed != 0) {
        return fed < 0 ? -1 : 0;
    }
    PyObject *data = PyBytes_FromStringAndSize(buffer, n);
    return data == NULL ? -1 : hand_over(base, data);
}

static int
read_once(ReadPipeObject *self)
{
    TransportObject *base = base_of(self);
    if (base->life >= FL_LOST || base->source.loop == NULL) {
        return 0;
    }
    Py_ssize_t max;
    int status = fl_transport_max_size(base, FL_SIZED_PIPE, &max); /* escapes */
    if (status < 0 || base->source.loop == NULL) {
        return status;
    }
    if (max >= (Py_ssize_t)FL_RECEIVE_MAX && base->protocol != NULL &&
        fl_protocol_is_fed(base->source.loop->state, base->protocol)) {
        return read_fed(self);
    }
    ssize_t n = -EINVAL;
    PyObject *data =
        max < 0 ? NULL : receive_bytes(self, (size_t)max, &n); /* escapes */
    if (data == NULL && PyErr_Occurred()) {
        return -1; /* no memory */
    }
    if (n <= 0) {
        return read_nothing(self, n);
    }
    if (data == NULL || base->protocol == NULL) {
        return fl_call_status(data);
    }
    return hand_over(base, data);
}

/* ---- what the kind does ---- */

static int
read_pipe_run(struct fl_source *source, uint32_t Py_UNUSED(events))
{
    return read_once((ReadPipeObject *)fl_transport_of_source(source));
}

static size_t
read_pipe_unsent(const TransportObject *Py_UNUSED(base))
{
    return 0;
}

static void
read_pipe_discard(TransportObject *Py_UNUSED(base))
{
}

static const struct fl_transport_kind read_pipe_kind = {
    .source = {read_pipe_run, NULL, "_read_ready", "_read_ready"},
    .unsent = read_pipe_unsent,
    .discard = read_pipe_discard,
    .ended = fl_pipe_ended,
};

PyObject *
fl_pipe_read_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    const struct fl_pipe_parts parts = {
        .type = fl_state_of_module(module)->read_pipe_type,
        .kind = &read_pipe_kind,
        .refusal = "Pipe transport is for pipes/sockets only.",
        .reads = true,
    };
    mode_t mode;
    ReadPipeObject *self =
        (ReadPipeObject *)fl_pipe_make(&parts, args, n_args, &mode); /* escapes */
    if (self != NULL) {
        self->is_socket = S_ISSOCK(mode);
    }
    return (PyObject *)self;
}

/* ---- the type ---- */

/* Debug mode's turn: whoever paused since it was queued is not read. */
static PyObject *
read_pipe_read_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReadPipeObject *self = (ReadPipeObject *)op;
    if (base_of(self)->source.watch.events & FL_POLL_READ && read_once(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
read_pipe_repr(PyObject *op)
{
    PyObject *start = fl_pipe_repr((PipeObject *)op, FL_POLL_READ);
    PyObject *text = start == NULL ? NULL : PyUnicode_FromFormat("%U>", start);
    Py_XDECREF(start);
    return text;
}

static PyMethodDef read_pipe_methods[] = {
    FL_TRANSPORT_METHODS,
    FL_TRANSPORT_READING_METHODS,
    {"_read_ready", read_pipe_read_ready, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef read_pipe_getset[] = {
    FL_TRANSPORT_GETSET,
    FL_PIPE_GETSET,
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    read_pipe_doc,
    "The reading end of a pipe, of a socket or of a character device.\n\n"
    "Made by the loop. Imitates asyncio's own, a subclass of\n"
    "asyncio.ReadTransport as well."
);

static PyType_Slot read_pipe_slots[] = {
    {Py_tp_doc, (void *)read_pipe_doc},      {Py_tp_dealloc, fl_pipe_dealloc},
    {Py_tp_finalize, fl_transport_finalize}, {Py_tp_traverse, fl_transport_traverse},
    {Py_tp_clear, fl_transport_clear},       {Py_tp_repr, read_pipe_repr},
    {Py_tp_methods, read_pipe_methods},      {Py_tp_members, fl_transport_members},
    {Py_tp_getset, read_pipe_getset},        {0, NULL},
};

/* Not immutable: see core/handle/handle.c. */
static PyType_Spec read_pipe_spec = {
    .name = "fastloop.ReadPipeTransport",
    .basicsize = sizeof(ReadPipeObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = read_pipe_slots,
};

int
fl_pipe_read_add_type(PyObject *module, struct fl_state *state)
{
    if (fl_transport_provide_base(&state->ReadTransport, false) < 0) {
        return -1;
    }
    if (fl_make_type(
            &state->read_pipe_type, module, &read_pipe_spec, state->ReadTransport
        ) < 0) {
        return -1;
    }
    return fl_transport_add_max_size(state->read_pipe_type);
}
