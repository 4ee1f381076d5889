/* Accepting: a backlog of connections per event, each a transport at once.
 *
 * Imitates asyncio.selector_events' _accept_connection and _accept_connection2, but
 * makes no task: the protocol's factory runs in the turn that accepts. Connections
 * with TLS go the way of asyncio's task. Out of fds or memory, it says so once and
 * tries again a second later.
 *
 * The loop owns a listener while it watches its fd, a timer while it waits; both end
 * with the server, by loop._remove_reader or by the closed socket.
 */
#include "net/listener.h"

#include "net/address.h"
#include "net/socket.h"
#include "net/stream/stream.h"
#include "py/args/call.h"
#include "py/error.h"
#include "py/state/tables.h"

#include <errno.h>
#include <unistd.h>

typedef struct {
    PyObject_HEAD
    struct fl_source source; /* owns its loop and context */
    PyObject *sock;
    PyObject *factory;
    PyObject *server; /* or None */
    PyObject *tls;    /* a tuple or None */
    PyObject *family; /* of the connections, as the listening socket's */
    PyObject *type;
    PyObject *proto;
    int proto_number;
    bool streams; /* its type is SOCK_STREAM */
    long backlog;
    char own_context; /* it was given: each connection runs in a copy of it */
} ListenerObject;

/* ---- one connection ---- */

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

/* Steals fd. escapes. 0, or -1 with an exception. */
static int
accepted(
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

/* ---- a turn ---- */

static const char short_of_resources[] = "socket.accept() out of system resource";

static bool
out_of_resources(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

/* Will there never be a connection from this fd? */
static bool
is_no_listener(int err)
{
    return err == EBADF || err == EINVAL || err == ENOTSOCK;
}

/* With an OSError set: says so, and tries again later. */
static int
wait_and_retry(ListenerObject *self, const char *message)
{
    LoopObject *loop = self->source.loop;
    PyObject *exc = fl_error_take();
    fl_source_ignore(&self->source);
    PyObject *resume = PyObject_GetAttrString((PyObject *)self, "_resume");
    PyObject *timer = resume == NULL ? NULL
                                     : PyObject_CallMethod(
                                           (PyObject *)loop, "call_later", "OO",
                                           loop->state->accept_retry_delay, resume
                                       );
    Py_XDECREF(resume);
    Py_XDECREF(timer);
    if (timer == NULL) {
        Py_DECREF(exc);
        return -1;
    }
    PyObject *sock = PyObject_CallOneArg(loop->state->TransportSocket, self->sock);
    PyObject *result = NULL;
    if (sock != NULL) {
        struct fl_handling handling;
        fl_handling_begin(&handling, exc);
        result = PyObject_CallMethod(
            (PyObject *)loop, "call_exception_handler", "({s:s,s:O,s:O})", "message",
            message, "exception", exc, "socket", sock
        ); /* escapes */
        fl_handling_end(&handling);
    }
    Py_DECREF(exc);
    Py_XDECREF(sock);
    return fl_call_status(result);
}

/* 1 if there may be more, 0 if not now, -1 with an exception. */
static int
accept_one(ListenerObject *self)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    int fd = fl_socket_same_fd(self->sock, self->source.watch.fd);
    if (fd < 0) {
        fl_source_ignore(&self->source); /* closed behind our back */
        return 0;
    }
    void *any = &address;
    fd = accept4(fd, any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        return accepted(self, fd, &address, size) < 0 ? -1 : 1; /* escapes */
    }
    if (errno == ECONNABORTED) {
        return 1;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return 0;
    }
    int err = errno;
    fl_raise_errno(err);
    if (out_of_resources(err)) {
        return wait_and_retry(self, short_of_resources); /* escapes */
    }
    if (err == EPERM || err == EACCES) {
        return wait_and_retry(self, "socket.accept() is forbidden"); /* escapes */
    }
    if (is_no_listener(err)) { /* as it would be at each event to come */
        PyObject *exc = fl_error_take();
        fl_source_ignore(&self->source); /* escapes */
        fl_error_restore(exc);
    }
    return -1;
}

/* asyncio's arguments for serving this socket, and all that it has of its own behind
 * the loop; new, or NULL. */
static PyObject *
serving_arguments(ListenerObject *self)
{
    PyObject *tls = self->tls;
    bool none = tls == Py_None;
    PyObject *first = Py_BuildValue(
        "(OOOOOl)", self->source.loop, self->factory, self->sock,
        none ? Py_None : PyTuple_GET_ITEM(tls, 0), self->server, self->backlog
    );
    PyObject *timeouts =
        none ? PyTuple_New(0) : PyTuple_GetSlice(tls, 2, PyTuple_GET_SIZE(tls));
    PyObject *all =
        first == NULL || timeouts == NULL ? NULL : PySequence_Concat(first, timeouts);
    Py_XDECREF(first);
    Py_XDECREF(timeouts);
    return all;
}

/* Somebody has patched socket.socket: asyncio's own code accepts from here on. */
static int
leave_to_asyncio(ListenerObject *self)
{
    PyObject *args = serving_arguments(self);
    PyObject *keywords = args == NULL ? NULL
                         : self->own_context
                             ? Py_BuildValue("{s:O}", "context", self->source.context)
                             : PyDict_New();
    PyObject *method =
        keywords == NULL
            ? NULL
            : PyObject_GetAttrString(
                  self->source.loop->state->SelectorEventLoop, "_start_serving"
              );
    PyObject *result = NULL;
    if (method != NULL) {
        fl_source_ignore(&self->source);
        result = PyObject_Call(method, args, keywords); /* escapes */
    }
    Py_XDECREF(method);
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    return fl_call_status(result);
}

static int
accept_ready(ListenerObject *self)
{
    int more = 1;
    /* user code may close the server or the loop, or patch the class */
    for (long n = 0; more > 0 && n <= self->backlog && self->source.watch.events != 0;
         n++) {
        if (!fl_socket_class_is_plain(self->source.loop->state)) {
            return leave_to_asyncio(self); /* escapes */
        }
        more = accept_one(self); /* escapes */
    }
    return more < 0 ? -1 : 0;
}

static int
listener_run(struct fl_source *source, uint32_t Py_UNUSED(events))
{
    return accept_ready(FL_CONTAINER_OF(source, ListenerObject, source));
}

static int
listener_flush(struct fl_source *Py_UNUSED(source))
{
    return 0;
}

static const struct fl_source_kind listener_kind = {
    listener_run, listener_flush, "_accept_ready", "_accept_ready"
};

static PyObject *
listener_accept_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return accept_ready((ListenerObject *)op) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
listener_resume(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ListenerObject *self = (ListenerObject *)op;
    if (fl_socket_same_fd(self->sock, self->source.watch.fd) < 0 ||
        fl_source_want(&self->source, FL_POLL_READ) == 0) {
        Py_RETURN_NONE;
    }
    if (!PyErr_ExceptionMatches(PyExc_OSError) ||
        wait_and_retry(self, short_of_resources) < 0) {
        return NULL; /* escapes */
    }
    Py_RETURN_NONE;
}

/* ---- life ---- */

static int
listener_traverse(PyObject *op, visitproc visit, void *arg)
{
    ListenerObject *self = (ListenerObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->source.loop);
    Py_VISIT(self->source.context);
    Py_VISIT(self->sock);
    Py_VISIT(self->factory);
    Py_VISIT(self->server);
    Py_VISIT(self->tls);
    return 0;
}

static int
listener_clear(PyObject *op)
{
    ListenerObject *self = (ListenerObject *)op;
    if (self->source.loop != NULL) {
        fl_source_ignore(&self->source); /* escapes */
    }
    Py_CLEAR(self->source.loop);
    Py_CLEAR(self->source.context);
    Py_CLEAR(self->sock);
    Py_CLEAR(self->factory);
    Py_CLEAR(self->server);
    Py_CLEAR(self->tls);
    return 0;
}

static void
listener_dealloc(PyObject *op)
{
    ListenerObject *self = (ListenerObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    listener_clear(op);
    Py_CLEAR(self->family);
    Py_CLEAR(self->type);
    Py_CLEAR(self->proto);
    type->tp_free(op);
    Py_DECREF(type);
}

/* What the connections have in common with their listening socket. */
static int
listener_ask(ListenerObject *self, PyObject *sock)
{
    self->family = PyObject_GetAttrString(sock, "family");
    if (self->family != NULL) {
        self->type = PyObject_GetAttrString(sock, "type");
    }
    if (self->type != NULL) {
        self->proto = PyObject_GetAttrString(sock, "proto");
    }
    return self->proto == NULL ? -1 : 0;
}

static int
listener_fill(ListenerObject *self, LoopObject *loop, PyObject *const *args, int fd)
{
    fl_source_init(&self->source, &listener_kind, (PyObject *)self, fd);
    self->source.loop = (LoopObject *)Py_NewRef(loop);
    self->sock = Py_NewRef(args[1]);
    self->factory = Py_NewRef(args[2]);
    self->server = Py_NewRef(args[3]);
    self->backlog = PyLong_AsLong(args[4]);
    if (self->backlog == -1 && PyErr_Occurred()) {
        return -1;
    }
    self->tls = Py_NewRef(args[6]);
    self->own_context = (char)(args[5] != Py_None);
    self->source.context =
        self->own_context ? Py_NewRef(args[5]) : PyContext_CopyCurrent();
    if (self->source.context == NULL || listener_ask(self, args[1]) < 0) {
        return -1;
    }
    self->proto_number = (int)PyLong_AsLong(self->proto);
    self->streams = PyLong_AsLong(self->type) == SOCK_STREAM;
    if (PyErr_Occurred()) {
        return -1;
    }
    fl_loop_drop_stale_watch(loop, fd); /* escapes */
    return fl_source_want(&self->source, FL_POLL_READ);
}

PyObject *
fl_listener_start(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_state *state = fl_state_of_module(module);
    if (n_args != 7 || !PyObject_TypeCheck(args[0], state->loop_type)) {
        PyErr_SetString(PyExc_TypeError, "_listen() takes a loop and its data");
        return NULL;
    }
    int fd;
    int plain = fl_socket_is_plain(state, args[1], &fd); /* escapes */
    if (plain < 0) {
        return NULL;
    }
    if (plain == 0 || !fl_socket_is_unpatched(state, args[1]) ||
        !fl_socket_class_is_plain(state)) {
        return Py_NewRef(Py_False);
    }
    PyTypeObject *type = state->listener_type;
    ListenerObject *self = (ListenerObject *)FL_SLOT_POINTER(type->tp_alloc(type, 0));
    if (self == NULL) {
        return NULL;
    }
    int status = listener_fill(self, (LoopObject *)args[0], args, fd);
    Py_DECREF(self); /* the loop's now */
    return status < 0 ? NULL : Py_NewRef(Py_True);
}

/* ---- the type ---- */

static PyMethodDef listener_methods[] = {
    {"_accept_ready", listener_accept_ready, METH_NOARGS, NULL},
    {"_resume", listener_resume, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot listener_slots[] = {
    {Py_tp_dealloc, listener_dealloc},
    {Py_tp_traverse, listener_traverse},
    {Py_tp_clear, listener_clear},
    {Py_tp_methods, listener_methods},
    {0, NULL},
};

static PyType_Spec listener_spec = {
    .name = "fastloop._core.Listener",
    .basicsize = sizeof(ListenerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = listener_slots,
};

int
fl_listener_add_type(PyObject *module, struct fl_state *state)
{
    return fl_make_type(&state->listener_type, module, &listener_spec, NULL);
}
