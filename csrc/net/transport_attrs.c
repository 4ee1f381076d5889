/* What users and libraries look at: extra info, the private attributes that asyncio's
 * own code and packages read, the repr; and where all that lies. */
#include "net/transport.h"

#include "py/keywords.h"
#include "py/layout.h"

/* ---- attributes ---- */

PyObject *
fl_transport_get_loop(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_or_none((PyObject *)((TransportObject *)op)->source.loop);
}

PyObject *
fl_transport_get_extra(PyObject *op, void *Py_UNUSED(closure))
{
    return Py_XNewRef(fl_transport_extra((TransportObject *)op));
}

PyObject *
fl_transport_get_file(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return self->open ? Py_XNewRef(fl_transport_file(self)) : Py_NewRef(Py_None);
}

PyObject *
fl_transport_get_fd(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((TransportObject *)op)->source.watch.fd);
}

int
fl_transport_put_protocol(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_protocol can't be deleted");
        return -1;
    }
    return fl_transport_use_protocol((TransportObject *)op, value);
}

PyObject *
fl_transport_get_conn_lost(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(((TransportObject *)op)->conn_lost);
}

PyObject *
fl_transport_get_connected(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    Py_RETURN_TRUE;
}

PyObject *
fl_transport_get_context(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    return Py_NewRef(self->own_context ? self->source.context : Py_None);
}

PyObject *
fl_transport_get_unsent(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return PyLong_FromSize_t(fl_transport_kind(self)->unsent(self));
}

const char fl_transport_get_size_doc[] =
    "get_write_buffer_size($self, /)\n--\n\n"
    "Return how many bytes the kernel has not taken yet.";

PyObject *
fl_transport_get_size(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_transport_get_unsent(op, NULL);
}

const char fl_transport_is_closing_doc[] =
    "is_closing($self, /)\n--\n\n"
    "Return True if the transport is closing or closed.";

PyObject *
fl_transport_is_closing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((TransportObject *)op)->closing);
}

/* ---- extra info ---- */

PyObject *
fl_transport_extra(TransportObject *self)
{
    int (*make)(TransportObject *) = fl_transport_kind(self)->make_extra;
    if (self->extra == NULL && make != NULL && make(self) < 0) {
        return NULL;
    }
    return self->extra;
}

const char fl_transport_get_extra_info_doc[] =
    "get_extra_info($self, name, default=None)\n--\n\n"
    "Return what is known by that name, as 'socket', 'sockname' and 'peername' are of\n"
    "sockets and 'pipe' of pipes; default if nothing is.";

PyObject *
fl_transport_get_extra_info(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    TransportObject *self = (TransportObject *)op;
    const struct fl_state *state = fl_state_of_type(Py_TYPE(op));
    const struct fl_keywords expected = {
        "get_extra_info", 2, 1, 2, {state->str_name, state->str_default}
    };
    PyObject *values[2] = {NULL, Py_None};
    if (fl_keywords_parse(&expected, args, n_args, kwnames, values) < 0) {
        return NULL;
    }
    /* who has the socket may use it: what was written goes first */
    int is_socket = PyObject_RichCompareBool(values[0], state->str_socket, Py_EQ);
    if (is_socket < 0 || (is_socket && fl_transport_flush(self) < 0)) { /* escapes */
        return NULL;
    }
    PyObject *extra = Py_XNewRef(fl_transport_extra(self));
    if (extra == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_GetItem(extra, values[0]); /* escapes */
    Py_DECREF(extra);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
        value = Py_NewRef(values[1]);
    }
    return value;
}

/* ---- a socket's extra info ---- */

int
fl_transport_add_socket(TransportObject *self, PyObject *extra)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    PyObject *sock = fl_transport_file(self); /* escapes */
    if (sock == NULL) {
        return -1;
    }
    PyObject *shown = PyObject_CallOneArg(state->TransportSocket, sock);
    int status = shown == NULL ? -1 : PyObject_SetItem(extra, state->str_socket, shown);
    Py_XDECREF(shown);
    return status;
}

/* extra[name] = what the socket's method says, None if it fails. */
static int
ask_address(TransportObject *self, PyObject *name, PyObject *method)
{
    PyObject *address = PyObject_CallMethodNoArgs(self->file, method);
    if (address == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OSError)) {
            return -1;
        }
        PyErr_Clear();
        address = Py_NewRef(Py_None);
    }
    int status = PyObject_SetItem(self->extra, name, address);
    Py_DECREF(address);
    return status;
}

int
fl_transport_fill_extra(TransportObject *self, PyObject *given)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    self->extra = given != Py_None ? Py_NewRef(given) : PyDict_New();
    if (self->extra == NULL || fl_transport_add_socket(self, self->extra) < 0 ||
        ask_address(self, state->str_sockname, state->str_getsockname) < 0) {
        return -1;
    }
    int known = PySequence_Contains(self->extra, state->str_peername);
    if (known != 0) {
        return known < 0 ? -1 : 0;
    }
    return ask_address(self, state->str_peername, state->str_getpeername);
}

/* ---- repr ---- */

PyObject *
fl_transport_repr(PyObject *op)
{
    TransportObject *self = (TransportObject *)op;
    const char *state = !self->open ? " closed" : self->closing ? " closing" : "";
    const char *name = fl_type_short_name(Py_TYPE(op));
    int fd = self->source.watch.fd;
    if (self->source.loop == NULL || self->source.loop->closed) {
        return PyUnicode_FromFormat("<%s%s fd=%d>", name, state, fd);
    }
    uint32_t events = self->source.watch.events;
    return PyUnicode_FromFormat(
        "<%s%s fd=%d read=%s write=<%s, bufsize=%zu>>", name, state, fd,
        events & FL_POLL_READ ? "polling" : "idle",
        events & FL_POLL_WRITE ? "polling" : "idle",
        fl_transport_kind(self)->unsent(self)
    );
}

/* ---- the layout ---- */

PyMemberDef fl_transport_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TransportObject, weakrefs), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(TransportObject, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static const struct fl_slot base_slots[] = {
    {"_extra", offsetof(TransportObject, extra)},
    {NULL, 0},
};

static const struct fl_slot flow_control_slots[] = {
    {"_extra", offsetof(TransportObject, extra)},
    {"_high_water", offsetof(TransportObject, high)},
    {"_loop", offsetof(TransportObject, slot_loop)},
    {"_low_water", offsetof(TransportObject, low)},
    {"_protocol_paused", offsetof(TransportObject, slot_protocol_paused)},
    {NULL, 0},
};

int
fl_transport_check_layout(PyObject *base, bool has_limits)
{
    static const char name[] = "asyncio transports";
    return has_limits
               ? fl_layout_check(
                     base, flow_control_slots, offsetof(TransportObject, weakrefs), name
                 )
               : fl_layout_check(
                     base, base_slots, offsetof(TransportObject, high), name
                 );
}

int
fl_transport_add_max_size(PyTypeObject *type)
{
    PyObject *max_size = PyLong_FromSize_t(FL_RECEIVE_MAX);
    int status = max_size == NULL
                     ? -1
                     : PyObject_SetAttrString((PyObject *)type, "max_size", max_size);
    Py_XDECREF(max_size);
    return status;
}
