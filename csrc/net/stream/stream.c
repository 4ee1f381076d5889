/* The stream transport's type: life and method table. */
#include "net/stream/stream.h"

#include "net/socket.h"
#include "py/error.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* ---- life ---- */

/* Small writes do not wait for the peer's acknowledgement. */
static void
set_no_delay(int fd)
{
    int on = 1;
    /* fails on anything but TCP, which is as well */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int
attach_to_server(StreamObject *self, PyObject *server)
{
    if (server == Py_None) {
        return 0;
    }
    PyObject *result = FL_SERVER_KNOWS_CLIENTS
                           ? PyObject_CallMethod(server, "_attach", "O", self)
                           : PyObject_CallMethod(server, "_attach", NULL);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    self->server = Py_NewRef(server);
    return 0;
}

static const struct fl_transport_kind stream_kind;

PyObject *
fl_stream_create(LoopObject *loop, int fd, const struct fl_stream_parts *parts)
{
    const struct fl_transport_parts base = {
        .loop = loop, .fd = fd, .file = parts->sock, .context = parts->context
    };
    TransportObject *self =
        fl_transport_new(loop->state->stream_type, &stream_kind, &base);
    if (self == NULL) {
        return NULL;
    }
    loop->state->counts.streams++;
    set_no_delay(fd);
    StreamObject *stream = (StreamObject *)self;
    stream->proto = parts->proto;
    fl_writer_init(&stream->writer, self, &fl_stream_writer_kind);
    stream->writer.may_join = parts->accepted;
    if (fl_stream_note_extra(stream, parts) < 0 ||
        fl_transport_use_protocol(self, parts->protocol) < 0 ||
        attach_to_server(stream, parts->server) < 0 ||
        fl_transport_enter_loop(self) < 0 ||
        fl_transport_schedule_start(self, parts->waiter) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

PyObject *
fl_stream_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_state *state = fl_state_of_module(module);
    if (n_args != 7 || !PyObject_TypeCheck(args[0], state->loop_type)) {
        PyErr_SetString(PyExc_TypeError, "_make_stream() takes a loop and its data");
        return NULL;
    }
    if (args[6] != Py_None && !PyContext_CheckExact(args[6])) {
        Py_RETURN_NONE; /* asyncio calls its run() */
    }
    int fd;
    int plain = fl_socket_is_plain(state, args[1], &fd); /* escapes */
    if (plain <= 0) {
        return plain < 0 ? NULL : Py_NewRef(Py_None);
    }
    const struct fl_stream_parts parts = {
        .sock = args[1],
        .protocol = args[2],
        .waiter = args[3],
        .extra = args[4],
        .server = args[5],
        .context = args[6],
    };
    return fl_stream_create((LoopObject *)args[0], fd, &parts);
}

/* ---- what the kind does ---- */

static int
stream_run(struct fl_source *source, uint32_t events)
{
    StreamObject *self = fl_stream_of_source(source);
    if (events & FL_POLL_READ && fl_stream_read(self) < 0) { /* escapes */
        return -1;
    }
    if (events & source->watch.events & FL_POLL_WRITE) {
        return fl_stream_send_rest(self); /* escapes */
    }
    return 0;
}

static size_t
stream_unsent(const TransportObject *base)
{
    return ((const StreamObject *)base)->writer.queue.size_bytes;
}

static void
stream_discard(TransportObject *base)
{
    fl_write_queue_clear(&((StreamObject *)base)->writer.queue);
}

static int
stream_use_protocol(TransportObject *base, PyObject *protocol)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(base));
    int buffered = PyObject_IsInstance(protocol, state->BufferedProtocol); /* escapes */
    if (buffered < 0) {
        return -1;
    }
    StreamObject *self = (StreamObject *)base;
    self->buffered = (char)buffered;
    if (base->protocol != NULL) {
        /* the new one may put a transport of its own before us, as TLS does, whose
         * users we do not hear of */
        fl_stream_stop_joining(self);
    }
    return fl_stream_flush(self); /* escapes */
}

static int
detach_from_server(StreamObject *self)
{
    PyObject *server = self->server;
    if (server == NULL) {
        return 0;
    }
    self->server = NULL;
    PyObject *result = FL_SERVER_KNOWS_CLIENTS
                           ? PyObject_CallMethod(server, "_detach", "O", self)
                           : PyObject_CallMethod(server, "_detach", NULL);
    Py_XDECREF(result);
    Py_DECREF(server);
    return result == NULL ? -1 : 0;
}

static int
stream_ended(TransportObject *base)
{
    StreamObject *self = (StreamObject *)base;
    (void)detach_from_server(self); /* escapes */
    PyObject *exc = fl_error_take();
    (void)fl_stream_fail_waiter_at_end(self); /* escapes */
    exc = fl_error_first(exc);
    (void)fl_stream_tell_room(self); /* escapes */
    fl_error_restore(fl_error_first(exc));
    return PyErr_Occurred() ? -1 : 0;
}

static bool
stream_may_put_off(const TransportObject *base)
{
    return ((const StreamObject *)base)->writer.may_join;
}

static void
stream_shared(TransportObject *base)
{
    fl_stream_stop_joining((StreamObject *)base);
}

static const struct fl_transport_kind stream_kind = {
    .source = {stream_run, fl_stream_flush_source, "_read_ready", "_write_ready"},
    .unsent = stream_unsent,
    .discard = stream_discard,
    .use_protocol = stream_use_protocol,
    .may_put_off = stream_may_put_off,
    .shared = stream_shared,
    .make_file = fl_stream_make_socket,
    .disown_file = fl_stream_disown_socket,
    .make_extra = fl_stream_make_extra,
    .ended = stream_ended,
};

static int
stream_traverse(PyObject *op, visitproc visit, void *arg)
{
    StreamObject *self = (StreamObject *)op;
    Py_VISIT(self->server);
    Py_VISIT(self->empty_waiter);
    Py_VISIT(self->room_waiter);
    return fl_transport_traverse(op, visit, arg);
}

static int
stream_clear(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    Py_CLEAR(self->server);
    Py_CLEAR(self->empty_waiter);
    Py_CLEAR(self->room_waiter);
    return fl_transport_clear(op);
}

static void
stream_dealloc(PyObject *op)
{
    if (!fl_transport_dealloc_begins(op)) {
        return;
    }
    stream_clear(op);
    struct fl_state *state = fl_state_of_dying(Py_TYPE(op));
    if (state != NULL) {
        state->counts.streams--;
    }
    fl_transport_dealloc_ends(op);
}

/* ---- the type ---- */

static PyObject *
stream_can_write_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (fl_transport_flush((TransportObject *)op) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(
    write_doc,
    "write($self, /, data)\n--\n\n"
    "Send data: bytes, bytearray or memoryview, as it is now.\n\n"
    "What the kernel does not take at once is sent later. Raises TypeError for other\n"
    "types, RuntimeError after write_eof() and while sendfile is in progress."
);
PyDoc_STRVAR(
    writelines_doc, "writelines($self, /, list_of_data)\n--\n\n"
                    "Send the pieces of an iterable, in order, as write() does."
);
PyDoc_STRVAR(
    write_eof_doc, "write_eof($self, /)\n--\n\n"
                   "Close the writing half once everything was sent; reading goes on."
);
PyDoc_STRVAR(
    can_write_eof_doc, "can_write_eof($self, /)\n--\n\n"
                       "Return True: write_eof() works."
);

/* What waits, as a deque of copies; it is not the queue itself. */
static PyObject *
get_buffer(PyObject *op, void *Py_UNUSED(closure))
{
    StreamObject *self = (StreamObject *)op;
    if (fl_stream_flush(self) < 0) { /* escapes */
        return NULL;
    }
    PyObject *pieces = fl_write_queue_copy(&self->writer.queue);
    PyObject *result =
        pieces == NULL
            ? NULL
            : PyObject_CallOneArg(fl_state_of_type(Py_TYPE(op))->deque, pieces);
    Py_XDECREF(pieces);
    return result;
}

/* asyncio's own tests of TLS ask for it. None from connection_lost on. */
static PyObject *
get_read_ready_cb(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    return self->protocol == NULL ? Py_NewRef(Py_None)
                                  : PyObject_GetAttrString(op, "_read_ready");
}

static PyGetSetDef stream_getset[] = {
    FL_TRANSPORT_GETSET,
    FL_TRANSPORT_WRITING_GETSET,
    FL_TRANSPORT_SOCKET_GETSET,
    FL_TRANSPORT_FLAG("_eof", StreamObject, eof),
    FL_TRANSPORT_OBJECT("_empty_waiter", StreamObject, empty_waiter),
    FL_TRANSPORT_OBJECT("_server", StreamObject, server),
    {"_buffer", get_buffer, NULL, NULL, NULL},
    {"_read_ready_cb", get_read_ready_cb, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef stream_methods[] = {
    FL_TRANSPORT_METHODS,
    FL_TRANSPORT_ABORT,
    FL_TRANSPORT_READING_METHODS,
    FL_TRANSPORT_WRITING_METHODS,
    {"write", FL_FASTCALL(fl_stream_write), METH_FASTCALL | METH_KEYWORDS, write_doc},
    {"writelines", FL_FASTCALL(fl_stream_writelines), METH_FASTCALL | METH_KEYWORDS,
     writelines_doc},
    {"write_eof", fl_stream_write_eof, METH_NOARGS, write_eof_doc},
    {"can_write_eof", stream_can_write_eof, METH_NOARGS, can_write_eof_doc},
    {"_flush", fl_transport_flush_now, METH_NOARGS, NULL},
    {"_make_empty_waiter", fl_stream_make_empty_waiter, METH_NOARGS, NULL},
    {"_read_ready", fl_stream_read_ready, METH_NOARGS, NULL},
    {"_reset_empty_waiter", fl_stream_reset_empty_waiter, METH_NOARGS, NULL},
    {"_share", fl_transport_share_now, METH_NOARGS, NULL},
    {"_write_ready", fl_stream_write_ready, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    stream_doc, "A connection over a TCP, Unix or other stream socket.\n\n"
                "Made by the loop. Imitates asyncio's own, a subclass of\n"
                "asyncio.Transport as well."
);

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, (void *)stream_doc},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_finalize, fl_transport_finalize},
    {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},
    {Py_tp_repr, fl_transport_repr},
    {Py_tp_methods, stream_methods},
    {Py_tp_members, fl_transport_members},
    {Py_tp_getset, stream_getset},
    {0, NULL},
};

/* Not immutable: see core/handle/handle.c. */
static PyType_Spec stream_spec = {
    .name = "fastloop.StreamTransport",
    .basicsize = sizeof(StreamObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

/* What asyncio's loops and sslproto ask of a transport's class. */
static int
add_class_attributes(PyObject *type, const struct fl_state *state)
{
    PyObject *mode = PyObject_GetAttrString(state->SendfileMode, "TRY_NATIVE");
    bool added = mode != NULL &&
                 PyObject_SetAttrString(type, "_sendfile_compatible", mode) == 0 &&
                 PyObject_SetAttrString(type, "_start_tls_compatible", Py_True) == 0 &&
                 fl_transport_add_max_size((PyTypeObject *)type) == 0;
    Py_XDECREF(mode);
    return added ? 0 : -1;
}

int
fl_stream_add_type(PyObject *module, struct fl_state *state)
{
    if (fl_transport_provide_base(&state->FlowControlMixin, true) < 0) {
        return -1;
    }
    PyObject *type =
        PyType_FromModuleAndSpec(module, &stream_spec, state->FlowControlMixin);
    state->stream_type = (PyTypeObject *)type;
    return type == NULL ? -1 : add_class_attributes(type, state);
}
