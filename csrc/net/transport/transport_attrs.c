/* What users and libraries look at: extra info, the private attributes that asyncio's
 * own code and packages read, the repr; and where all that lies. */
#include "net/transport/transport.h"

#include "py/args/keywords.h"
#include "py/mirror/layout.h"

/* ---- attributes ---- */

PyObject *
fl_transport_get_loop(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_or_none((PyObject *)((TransportObject *)op)->source.loop);
}

PyObject *
fl_transport_get_flag(PyObject *op, void *closure)
{
    if (fl_transport_flush((TransportObject *)op) < 0) { /* escapes */
        return NULL;
    }
    return fl_attr_get_flag(op, closure);
}

PyObject *
fl_transport_get_file(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_share(self) < 0) { /* escapes */
        return NULL;
    }
    return self->life < FL_ENDED ? fl_transport_file(self) : Py_NewRef(Py_None);
}

PyObject *
fl_transport_get_fd(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_share(self) < 0) { /* escapes */
        return NULL;
    }
    return PyLong_FromLong(self->source.watch.fd);
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
fl_transport_get_closing(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_transport_is_closing(op, NULL);
}

PyObject *
fl_transport_get_conn_lost(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return PyLong_FromUnsignedLong(self->late_writes + (self->life >= FL_LOST));
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
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return PyBool_FromLong(self->life > FL_LIVES);
}

/* For the socket that is shown. */
PyObject *
fl_transport_flush_now(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_transport_flush((TransportObject *)op) < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *
fl_transport_share_now(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_transport_share((TransportObject *)op) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- extra info ---- */

/* A TransportSocket, as it is shown. escapes. New or NULL. */
static PyObject *
show_socket(TransportObject *self)
{
    PyObject *sock = fl_transport_file(self); /* escapes */
    if (sock == NULL) {
        return NULL;
    }
    bool (*may_put_off)(const TransportObject *) = fl_transport_kind(self)->may_put_off;
    PyObject *shown;
    if (may_put_off != NULL && self->source.loop != NULL && may_put_off(self)) {
        shown = PyObject_CallMethod(
            (PyObject *)self->source.loop, "_show_socket", "OO", self, sock
        ); /* escapes */
    }
    else {
        shown = PyObject_CallOneArg(
            fl_state_of_type(Py_TYPE(self))->TransportSocket, sock
        ); /* escapes */
    }
    Py_DECREF(sock);
    return shown;
}

/* Puts the socket into the dict, if it is not there. escapes. 0 or -1. */
static int
complete_extra(TransportObject *self)
{
    if (!self->lacks_socket) {
        return 0;
    }
    PyObject *shown = show_socket(self); /* escapes */
    if (shown == NULL) {
        return -1;
    }
    int status = 0;
    if (self->lacks_socket && self->extra != NULL) { /* looked again */
        PyObject *name = fl_state_of_type(Py_TYPE(self))->str_socket;
        status = PyDict_SetItem(self->extra, name, shown);
        self->lacks_socket = (char)(status < 0);
    }
    Py_DECREF(shown);
    return status;
}

/* The dict, made if need be; with the socket in it, or only if it is there already.
 * escapes. New or NULL. */
static PyObject *
get_extra(TransportObject *self, bool whole)
{
    int (*make)(TransportObject *) = fl_transport_kind(self)->make_extra;
    if (self->extra == NULL && make != NULL && make(self) < 0) { /* escapes */
        return NULL;
    }
    if (whole && complete_extra(self) < 0) { /* escapes */
        return NULL;
    }
    return fl_or_none(self->extra);
}

PyObject *
fl_transport_get_extra(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return get_extra(self, true); /* escapes */
}

/* Does it take the socket to look name up? -1 with an exception; escapes. */
static int
asks_for_socket(const struct fl_state *state, PyObject *name)
{
    return PyUnicode_CheckExact(name)
               ? PyObject_RichCompareBool(name, state->str_socket, Py_EQ)
               : 1; /* it may be equal to anything */
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
    if (fl_transport_flush(self) < 0 || /* escapes */
        fl_keywords_parse(&expected, args, n_args, kwnames, values) < 0) {
        return NULL;
    }
    int is_socket = asks_for_socket(state, values[0]); /* escapes */
    if (is_socket < 0) {
        return NULL;
    }
    PyObject *extra = get_extra(self, is_socket != 0); /* escapes */
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

/* extra[name] = what the socket's method says, None if it fails. */
static int
ask_address(PyObject *extra, PyObject *sock, PyObject *name, PyObject *method)
{
    PyObject *address = PyObject_CallMethodNoArgs(sock, method); /* escapes */
    if (address == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OSError)) {
            return -1;
        }
        PyErr_Clear();
        address = Py_NewRef(Py_None);
    }
    int status = PyObject_SetItem(extra, name, address); /* escapes */
    Py_DECREF(address);
    return status;
}

static int
fill_extra(TransportObject *self, PyObject *extra, PyObject *sock)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    PyObject *shown = show_socket(self); /* escapes */
    int status = shown == NULL ? -1 : PyObject_SetItem(extra, state->str_socket, shown);
    Py_XDECREF(shown);
    if (status < 0 ||
        ask_address(extra, sock, state->str_sockname, state->str_getsockname) < 0) {
        return -1;
    }
    int known = PySequence_Contains(extra, state->str_peername); /* escapes */
    if (known != 0) {
        return known < 0 ? -1 : 0;
    }
    return ask_address(extra, sock, state->str_peername, state->str_getpeername);
}

int
fl_transport_fill_extra(TransportObject *self, PyObject *given)
{
    PyObject *extra = given != Py_None ? Py_NewRef(given) : PyDict_New();
    PyObject *sock = extra == NULL ? NULL : fl_transport_file(self); /* escapes */
    int status = sock == NULL ? -1 : fill_extra(self, extra, sock);  /* escapes */
    Py_XDECREF(sock);
    if (status < 0) {
        Py_XDECREF(extra);
        return -1;
    }
    Py_XSETREF(self->extra, extra); /* escapes */
    return 0;
}

/* ---- repr ---- */

const char *
fl_transport_state_text(const TransportObject *self)
{
    static const char *const texts[] = {
        [FL_LIVES] = "",
        [FL_CLOSING] = " closing",
        [FL_LOST] = " closing",
        [FL_ENDED] = " closed",
    };
    return texts[self->life];
}

PyObject *
fl_transport_repr(PyObject *op)
{
    TransportObject *self = (TransportObject *)op;
    if (fl_transport_flush(self) < 0) { /* escapes */
        return NULL;
    }
    const char *state = fl_transport_state_text(self);
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
fl_transport_provide_base(PyObject **base, bool has_limits)
{
    return has_limits
               ? fl_layout_provide(
                     base, flow_control_slots, offsetof(TransportObject, weakrefs),
                     "_extra _high_water _loop _low_water _protocol_paused"
                 )
               : fl_layout_provide(
                     base, base_slots, offsetof(TransportObject, high), "_extra"
                 );
}
