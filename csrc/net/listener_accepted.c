/* A connection that a listener has accepted: its protocol and its transport. */
#include "net/listener.h"

#include "net/address.h"
#include "net/stream/stream.h"
#include "py/args/call.h"
#include "py/error.h"
#include "py/state/tables.h"

#include <unistd.h>

/* Steals fd. A socket object that does not block, new or NULL. */
static PyObject *
socket_of(ListenerObject *self, int fd)
{
    PyObject *number = PyLong_FromLong(fd);
    PyObject *stack[4] = {self->family, self->type, self->proto, number};
    PyObject *sock = number == NULL
                         ? NULL
                         : PyObject_Vectorcall(
                               self->source.loop->state->socket, stack, 4, NULL
                           ); /* escapes */
    Py_XDECREF(number);
    if (sock == NULL) {
        close(fd);
        return NULL;
    }
    PyObject *result = PyObject_CallMethodOneArg(
        sock, self->source.loop->state->str_setblocking, Py_False
    );
    if (result == NULL) {
        Py_CLEAR(sock); /* closes */
    }
    Py_XDECREF(result);
    return sock;
}

/* {"peername": address}; new or NULL. */
static PyObject *
extra_of(
    ListenerObject *self, PyObject *sock, const struct sockaddr_storage *address,
    socklen_t size
)
{
    const struct fl_state *state = self->source.loop->state;
    PyObject *peername;
    if (fl_address_knows(address->ss_family)) {
        peername = fl_address_to_object((const struct sockaddr *)address, size);
    }
    else {
        peername = PyObject_CallMethodNoArgs(sock, state->str_getpeername);
        if (peername == NULL && PyErr_ExceptionMatches(PyExc_OSError)) {
            PyErr_Clear();
            peername = Py_NewRef(Py_None);
        }
    }
    PyObject *extra = peername == NULL ? NULL : PyDict_New();
    if (extra != NULL && PyDict_SetItem(extra, state->str_peername, peername) < 0) {
        Py_CLEAR(extra);
    }
    Py_XDECREF(peername);
    return extra;
}

/* The protocol of a connection and its transport; in the connection's context. *fd is
 * the connection's, -1 once it is the transport's. */
static int
connect_protocol(
    ListenerObject *self, int *fd, const struct fl_stream_parts *parts,
    PyObject *context
)
{
    PyObject *loop = Py_NewRef(self->source.loop);
    PyObject *protocol = PyObject_CallNoArgs(self->factory); /* escapes */
    if (protocol == NULL) {
        Py_DECREF(loop);
        return -1;
    }
    struct fl_stream_parts all = *parts;
    all.protocol = protocol;
    all.context = context;
    int taken = *fd;
    *fd = -1;
    PyObject *transport =
        fl_stream_create((LoopObject *)loop, taken, &all); /* escapes */
    Py_DECREF(protocol);
    Py_DECREF(loop);
    return fl_call_status(transport);
}

/* create_task(loop._accept_connection2(factory, sock, extra, *tls)) */
static int
connect_by_task(
    ListenerObject *self, const struct fl_stream_parts *parts, PyObject *context
)
{
    PyObject *loop = Py_NewRef(self->source.loop);
    PyObject *args = PyTuple_Pack(3, self->factory, parts->sock, parts->extra);
    PyObject *all = args == NULL ? NULL : PySequence_Concat(args, self->tls);
    PyObject *keywords = NULL, *coro = NULL, *only = NULL, *task = NULL;
    PyObject *method =
        all == NULL ? NULL : PyObject_GetAttrString(loop, "_accept_connection2");
    PyObject *create =
        method == NULL ? NULL : PyObject_GetAttrString(loop, "create_task");
    if (create != NULL) {
        keywords = context == Py_None ? PyDict_New()
                                      : Py_BuildValue("{s:O}", "context", context);
    }
    if (keywords != NULL) {
        coro = PyObject_Call(method, all, keywords); /* escapes */
        only = coro == NULL ? NULL : PyTuple_Pack(1, coro);
    }
    if (only != NULL) {
        task = PyObject_Call(create, only, keywords); /* escapes */
    }
    Py_XDECREF(only);
    Py_XDECREF(create);
    Py_XDECREF(coro);
    Py_XDECREF(keywords);
    Py_XDECREF(method);
    Py_XDECREF(all);
    Py_XDECREF(args);
    Py_DECREF(loop);
    return fl_call_status(task);
}

/* Debug mode hears why a connection came to nothing; otherwise asyncio is silent.
 * sock may be NULL. */
static int
connection_failed(ListenerObject *self, PyObject *sock)
{
    bool exits = fl_error_is_exit(), silent = !self->source.loop->debug;
    PyObject *exc = fl_error_take();
    PyObject *result = sock == NULL
                           ? Py_NewRef(Py_None)
                           : PyObject_CallMethod(sock, "close", NULL); /* escapes */
    if (exits || (silent && result != NULL)) {
        Py_XDECREF(result);
        fl_error_restore(exc);
        if (!exits) {
            PyErr_Clear();
        }
        return exits ? -1 : 0;
    }
    if (result != NULL) {
        struct fl_handling handling;
        fl_handling_begin(&handling, exc);
        Py_SETREF(
            result,
            PyObject_CallMethod(
                (PyObject *)self->source.loop, "call_exception_handler", "({s:s,s:O})",
                "message", "Error on transport creation for incoming connection",
                "exception", exc
            ) /* escapes */
        );
        fl_handling_end(&handling);
    }
    Py_DECREF(exc);
    return fl_call_status(result);
}

static int
connect_one(ListenerObject *self, int *fd, const struct fl_stream_parts *parts)
{
    PyObject *context = PyContext_Copy(self->source.context);
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return -1;
    }
    PyObject *given = self->own_context ? context : Py_None;
    int status = self->tls != Py_None ? connect_by_task(self, parts, given)
                                      : connect_protocol(self, fd, parts, given);
    PyObject *exc = fl_error_take();
    if (PyContext_Exit(context) < 0) {
        PyErr_WriteUnraisable(context); /* the connection is there all the same */
    }
    fl_error_restore(exc);
    Py_DECREF(context);
    return status;
}

/* fast: an Internet connection has no socket object until somebody asks for it, which
 * halves the instructions of accepting and closing, and spares two system calls. */
static bool
needs_no_object(const ListenerObject *self, const struct sockaddr_storage *address)
{
    bool inet = address->ss_family == AF_INET || address->ss_family == AF_INET6;
    return inet && self->streams && self->tls == Py_None;
}

static int
accepted_bare(ListenerObject *self, int fd, const struct sockaddr_storage *address)
{
    const struct fl_stream_parts parts = {
        .proto = self->proto_number,
        .waiter = Py_None,
        .extra = Py_None,
        .server = self->server,
        .peer = address,
        .accepted = true,
    };
    int status = connect_one(self, &fd, &parts); /* escapes */
    if (fd >= 0) {
        (void)close(fd);
    }
    return status < 0 ? connection_failed(self, NULL) : 0; /* escapes */
}

int
fl_listener_accepted(
    ListenerObject *self, int fd, const struct sockaddr_storage *address, socklen_t size
)
{
    if (needs_no_object(self, address)) {
        return accepted_bare(self, fd, address);
    }
    PyObject *sock = socket_of(self, fd); /* escapes */
    if (sock == NULL) {
        return -1;
    }
    PyObject *extra = extra_of(self, sock, address, size);
    const struct fl_stream_parts parts = {
        .sock = sock,
        .waiter = Py_None,
        .extra = extra,
        .server = self->server,
        .peer = address,
        .accepted = true,
    };
    int status = extra == NULL ? -1 : connect_one(self, &fd, &parts);
    if (status < 0) {
        status = connection_failed(self, sock); /* escapes */
    }
    Py_XDECREF(extra);
    Py_DECREF(sock);
    return status;
}
