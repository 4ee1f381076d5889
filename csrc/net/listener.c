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

#include "net/socket.h"
#include "py/args/call.h"
#include "py/error.h"
#include "py/state/tables.h"

#include <errno.h>
#include <unistd.h>

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
        return fl_listener_accepted(self, fd, &address, size) < 0 ? -1
                                                                  : 1; /* escapes */
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
    self->source.gives_way = true;
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
