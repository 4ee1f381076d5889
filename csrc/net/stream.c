/* The stream transport's type: life and method table. */
#include "net/stream.h"

#include "core/handle.h"
#include "net/socket.h"
#include "py/error.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* ---- the socket ---- */

int
fl_stream_fd(const StreamObject *self)
{
    return self->sock == NULL ? -1
                              : fl_socket_same_fd(self->sock, self->source.watch.fd);
}

/* Small writes do not wait for the peer's acknowledgement. */
static void
set_no_delay(int fd)
{
    int on = 1;
    /* fails on anything but TCP, which is as well */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* ---- life ---- */

int
fl_stream_call_soon(StreamObject *self, PyObject *callback, PyObject *argument)
{
    LoopObject *loop = self->source.loop;
    PyObject *stack[4] = {(PyObject *)loop, callback, argument, self->source.context};
    PyObject *kwnames = self->own_context ? loop->state->kw_context : NULL;
    PyObject *handle = fl_loop_overrides(loop) & FL_OVERRIDES_CALL_SOON
                           ? PyObject_VectorcallMethod(
                                 loop->state->str_call_soon, stack, 3, kwnames
                             ) /* escapes */
                           : fl_loop_call_soon((PyObject *)loop, stack + 1, 2, kwnames);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

static int
call_own_soon(StreamObject *self, PyObject *method, PyObject *argument)
{
    PyObject *callback = PyObject_GetAttr((PyObject *)self, method);
    int status = callback == NULL ? -1 : fl_stream_call_soon(self, callback, argument);
    Py_XDECREF(callback);
    return status;
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

static int
enter_in_loop(StreamObject *self)
{
    LoopObject *loop = self->source.loop;
    int fd = self->source.watch.fd;
    fl_loop_drop_stale_watch(loop, fd); /* escapes */
    PyObject *number = PyLong_FromLong(fd);
    PyObject *transports =
        PyObject_GetAttr((PyObject *)loop, loop->state->str__transports);
    int status = number == NULL || transports == NULL
                     ? -1
                     : PyObject_SetItem(transports, number, (PyObject *)self);
    Py_XDECREF(number);
    Py_XDECREF(transports);
    return status;
}

/* connection_made, then reading, in callbacks of their own. */
static int
schedule_start(StreamObject *self, PyObject *waiter)
{
    PyObject *made = PyObject_GetAttr(
        self->protocol, self->source.loop->state->str_connection_made
    ); /* escapes */
    int status = made == NULL ? -1 : fl_stream_call_soon(self, made, (PyObject *)self);
    Py_XDECREF(made);
    return status < 0
               ? -1
               : call_own_soon(self, self->source.loop->state->str__begin, waiter);
}

static const struct fl_source_kind stream_kind;

/* Steals context. */
static StreamObject *
stream_new(LoopObject *loop, int fd, PyObject *context)
{
    PyTypeObject *type = loop->state->stream_type;
    StreamObject *self = (StreamObject *)FL_SLOT_POINTER(type->tp_alloc(type, 0));
    if (self == NULL) {
        Py_DECREF(context);
        return NULL;
    }
    loop->state->counts.streams++;
    fl_source_init(&self->source, &stream_kind, (PyObject *)self, fd);
    self->source.loop = (LoopObject *)Py_NewRef(loop);
    self->source.context = context;
    fl_stream_default_limits(self);
    return self;
}

PyObject *
fl_stream_create(LoopObject *loop, int fd, const struct fl_stream_parts *parts)
{
    bool own_context = parts->context != Py_None;
    PyObject *context =
        own_context ? Py_NewRef(parts->context) : PyContext_CopyCurrent();
    StreamObject *self = context == NULL ? NULL : stream_new(loop, fd, context);
    if (self == NULL) {
        return NULL;
    }
    self->own_context = (char)own_context;
    self->sock = Py_NewRef(parts->sock);
    set_no_delay(fd);
    if (fl_stream_note_extra(self, parts) < 0 ||
        fl_stream_use_protocol(self, parts->protocol) < 0 ||
        attach_to_server(self, parts->server) < 0 || enter_in_loop(self) < 0 ||
        schedule_start(self, parts->waiter) < 0) {
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

static int
stream_run(struct fl_source *source, uint32_t events)
{
    StreamObject *self = fl_stream_of_source(source);
    if (events & FL_POLL_READ && fl_stream_read(self) < 0) { /* escapes */
        return -1;
    }
    if (events & self->source.watch.events & FL_POLL_WRITE) {
        return fl_stream_send_rest(self); /* escapes */
    }
    return 0;
}

static const struct fl_source_kind stream_kind = {
    stream_run, fl_stream_flush_source, "_read_ready", "_write_ready"
};

static int
stream_traverse(PyObject *op, visitproc visit, void *arg)
{
    StreamObject *self = (StreamObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->extra);
    Py_VISIT(self->dict);
    Py_VISIT(self->sock);
    Py_VISIT(self->closed_sock);
    Py_VISIT(self->protocol);
    Py_VISIT(self->server);
    Py_VISIT(self->empty_waiter);
    Py_VISIT(self->high);
    Py_VISIT(self->low);
    Py_VISIT(self->slot_loop);
    Py_VISIT(self->slot_protocol_paused);
    Py_VISIT(self->source.loop);
    Py_VISIT(self->source.context);
    return 0;
}

static int
stream_clear(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    if (self->source.loop != NULL) {
        fl_source_ignore(&self->source); /* escapes */
        fl_source_undefer(&self->source);
    }
    Py_CLEAR(self->extra);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->sock);
    Py_CLEAR(self->closed_sock);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->server);
    Py_CLEAR(self->empty_waiter);
    Py_CLEAR(self->high);
    Py_CLEAR(self->low);
    Py_CLEAR(self->slot_loop);
    Py_CLEAR(self->slot_protocol_paused);
    Py_CLEAR(self->source.loop);
    return 0;
}

static void
stream_dealloc(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;
    }
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    struct fl_state *state = fl_state_of_type(type);
    stream_clear(op);
    Py_CLEAR(self->source.context);
    fl_write_queue_clear(&self->queue);
    state->counts.streams--;
    type->tp_free(op);
    Py_DECREF(type);
}

/* A transport that nobody closed. */
static void
stream_finalize(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    if (self->sock == NULL) {
        return;
    }
    PyObject *exc = fl_error_take();
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    PyObject *sock = self->sock;
    PyObject *server = self->server;
    self->sock = NULL;
    self->server = NULL;
    PyObject *result = PyObject_CallMethod(sock, "close", NULL); /* escapes */
    if (result == NULL) {
        PyErr_WriteUnraisable(op);
    }
    Py_XDECREF(result);
    Py_DECREF(sock);
    if (server != NULL && fl_stream_detach(server, op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    Py_XDECREF(server);
    fl_error_restore(exc);
}

/* ---- the type ---- */

static PyObject *
stream_is_closing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((StreamObject *)op)->closing);
}

static PyObject *
stream_can_write_eof(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(
    write_doc,
    "write($self, data, /)\n--\n\n"
    "Send data: bytes, bytearray or memoryview.\n\n"
    "Bytes are sent when the current callback or task step ends, together with what\n"
    "else it writes; anything mutable as it is now. Raises TypeError for other types,\n"
    "RuntimeError after write_eof() and while sendfile is in progress."
);
PyDoc_STRVAR(
    writelines_doc, "writelines($self, list_of_data, /)\n--\n\n"
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
PyDoc_STRVAR(
    close_doc, "close($self, /)\n--\n\n"
               "Stop reading, send what was written, then close the connection."
);
PyDoc_STRVAR(
    abort_doc, "abort($self, /)\n--\n\n"
               "Close the connection; what the kernel has not taken is lost."
);
PyDoc_STRVAR(
    is_closing_doc, "is_closing($self, /)\n--\n\n"
                    "Return True if the transport is closing or closed."
);
PyDoc_STRVAR(
    get_extra_info_doc,
    "get_extra_info($self, name, default=None)\n--\n\n"
    "Return what is known by that name: 'socket', 'sockname', 'peername'; default if\n"
    "nothing is."
);
PyDoc_STRVAR(
    set_protocol_doc, "set_protocol($self, protocol, /)\n--\n\n"
                      "Give the next events to another protocol."
);
PyDoc_STRVAR(
    get_protocol_doc, "get_protocol($self, /)\n--\n\nReturn the protocol in use."
);
PyDoc_STRVAR(
    is_reading_doc, "is_reading($self, /)\n--\n\n"
                    "Return True unless reading is paused or the transport closes."
);
PyDoc_STRVAR(
    pause_reading_doc, "pause_reading($self, /)\n--\n\n"
                       "Give the protocol nothing until resume_reading()."
);
PyDoc_STRVAR(
    resume_reading_doc, "resume_reading($self, /)\n--\n\n"
                        "Go on reading after pause_reading()."
);
PyDoc_STRVAR(
    set_limits_doc,
    "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
    "Set the water marks of the unsent bytes: above high the protocol's\n"
    "pause_writing() is called, at low or below resume_writing().\n\n"
    "high: bytes, 64 KiB or 4 * low by default; low: a quarter of high by default.\n"
    "Raises ValueError unless high >= low >= 0."
);
PyDoc_STRVAR(
    get_limits_doc, "get_write_buffer_limits($self, /)\n--\n\n"
                    "Return the water marks in bytes, (low, high)."
);
PyDoc_STRVAR(
    get_size_doc, "get_write_buffer_size($self, /)\n--\n\n"
                  "Return how many bytes the kernel has not taken yet."
);

static PyMethodDef stream_methods[] = {
    {"write", fl_stream_write, METH_O, write_doc},
    {"writelines", fl_stream_writelines, METH_O, writelines_doc},
    {"write_eof", fl_stream_write_eof, METH_NOARGS, write_eof_doc},
    {"can_write_eof", stream_can_write_eof, METH_NOARGS, can_write_eof_doc},
    {"close", fl_stream_close, METH_NOARGS, close_doc},
    {"abort", fl_stream_abort, METH_NOARGS, abort_doc},
    {"is_closing", stream_is_closing, METH_NOARGS, is_closing_doc},
    {"get_extra_info", (PyCFunction)(void (*)(void))fl_stream_get_extra_info,
     METH_FASTCALL | METH_KEYWORDS, get_extra_info_doc},
    {"set_protocol", fl_stream_set_protocol, METH_O, set_protocol_doc},
    {"get_protocol", fl_stream_get_protocol, METH_NOARGS, get_protocol_doc},
    {"is_reading", fl_stream_is_reading, METH_NOARGS, is_reading_doc},
    {"pause_reading", fl_stream_pause_reading, METH_NOARGS, pause_reading_doc},
    {"resume_reading", fl_stream_resume_reading, METH_NOARGS, resume_reading_doc},
    {"set_write_buffer_limits", (PyCFunction)(void (*)(void))fl_stream_set_limits,
     METH_FASTCALL | METH_KEYWORDS, set_limits_doc},
    {"get_write_buffer_limits", fl_stream_get_limits, METH_NOARGS, get_limits_doc},
    {"get_write_buffer_size", fl_stream_get_write_buffer_size, METH_NOARGS,
     get_size_doc},
    {"_begin", fl_stream_begin, METH_O, NULL},
    {"_call_connection_lost", fl_stream_call_connection_lost, METH_O, NULL},
    {"_force_close", fl_stream_force_close, METH_O, NULL},
    {"_make_empty_waiter", fl_stream_make_empty_waiter, METH_NOARGS, NULL},
    {"_read_ready", fl_stream_read_ready, METH_NOARGS, NULL},
    {"_reset_empty_waiter", fl_stream_reset_empty_waiter, METH_NOARGS, NULL},
    {"_write_ready", fl_stream_write_ready, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef stream_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(StreamObject, weakrefs), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(StreamObject, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    stream_doc, "A connection over a TCP, Unix or other stream socket.\n\n"
                "Made by the loop. Imitates asyncio's own, a subclass of\n"
                "asyncio.Transport as well."
);

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, (void *)stream_doc},   {Py_tp_dealloc, stream_dealloc},
    {Py_tp_finalize, stream_finalize}, {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},       {Py_tp_repr, fl_stream_repr},
    {Py_tp_methods, stream_methods},   {Py_tp_members, stream_members},
    {Py_tp_getset, fl_stream_getset},  {0, NULL},
};

/* Not immutable: see core/handle.c. */
static PyType_Spec stream_spec = {
    .name = "fastloop.StreamTransport",
    .basicsize = sizeof(StreamObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

static const struct fl_handle_slot inherited_slots[] = {
    {"_extra", offsetof(StreamObject, extra)},
    {"_high_water", offsetof(StreamObject, high)},
    {"_loop", offsetof(StreamObject, slot_loop)},
    {"_low_water", offsetof(StreamObject, low)},
    {"_protocol_paused", offsetof(StreamObject, slot_protocol_paused)},
    {NULL, 0},
};

/* What asyncio's loops and sslproto ask of a transport's class. */
static int
add_class_attributes(PyObject *type, const struct fl_state *state)
{
    PyObject *mode = PyObject_GetAttrString(state->SendfileMode, "TRY_NATIVE");
    PyObject *max_size = PyLong_FromSize_t(FL_STREAM_RECEIVE_MAX);
    int status = -1;
    if (mode != NULL && max_size != NULL) {
        status = PyObject_SetAttrString(type, "_sendfile_compatible", mode);
        status |= PyObject_SetAttrString(type, "_start_tls_compatible", Py_True);
        status |= PyObject_SetAttrString(type, "max_size", max_size);
    }
    Py_XDECREF(mode);
    Py_XDECREF(max_size);
    return status;
}

int
fl_stream_add_type(PyObject *module, struct fl_state *state)
{
    if (!fl_handle_layout_matches(
            state->FlowControlMixin, inherited_slots, offsetof(StreamObject, weakrefs)
        )) {
        PyErr_SetString(
            PyExc_ImportError,
            "fastloop does not know the asyncio transports of this Python"
        );
        return -1;
    }
    PyObject *type =
        PyType_FromModuleAndSpec(module, &stream_spec, state->FlowControlMixin);
    state->stream_type = (PyTypeObject *)type;
    return type == NULL ? -1 : add_class_attributes(type, state);
}
