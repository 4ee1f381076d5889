/* The floor under every transport: epoll in C around an asyncio Protocol in Python, or
 * around a stream handler.
 *
 * An extension module for server.py. It does what a server cannot do without
 * (epoll_wait, recv, the call of data_received or the coroutine's step, send) and
 * nothing of what makes an event loop: no tasks, no futures, no other callbacks, no
 * timers, no limits, no flow control, no errors but the end. write() sends at once.
 */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, BUFFER_BYTES = 256 * 1024 };

/* A handler's reader and writer in one, which is also what it awaits when it reads. */
typedef struct {
    PyObject_HEAD
    int fd;
    PyObject *protocol; /* or the handler's coroutine */
    char *buffer;       /* of a handler's, as what follows */
    size_t start, end;  /* of what was received and not read */
    size_t wanted;      /* bytes; 0: a line */
} Transport;

struct server {
    int epoll_fd, listener;
    PyObject *factory, *data_received;
    PyTypeObject *transport_type;
    bool is_stream; /* factory is a handler of streams */
    char buffer[BUFFER_BYTES];
};

/* Waits for room where a loop would queue. */
static PyObject *
transport_write(PyObject *op, PyObject *data)
{
    const Transport *self = (const Transport *)op;
    char *next;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &next, &size) < 0) {
        return NULL;
    }
    while (size > 0) {
        ssize_t n = send(self->fd, next, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            next += n;
            size -= n;
        }
        else if (errno == EAGAIN) {
            struct pollfd room = {.fd = self->fd, .events = POLLOUT};
            poll(&room, 1, -1);
        }
        else {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
    }
    Py_RETURN_NONE;
}

/* ---- what a handler calls ---- */

static PyObject *
wait_for(PyObject *op, size_t wanted)
{
    ((Transport *)op)->wanted = wanted;
    return Py_NewRef(op);
}

static PyObject *
transport_readexactly(PyObject *op, PyObject *size)
{
    size_t wanted = PyLong_AsSize_t(size);
    return PyErr_Occurred() ? NULL : wait_for(op, wanted);
}

static PyObject *
transport_readline(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return wait_for(op, 0);
}

static PyObject *
transport_close(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_NONE;
}

/* How many bytes the reading may have: 0: it must wait. */
static size_t
size_to_take(const Transport *self)
{
    const char *start = self->buffer + self->start;
    size_t size = self->end - self->start;
    if (self->wanted > 0) {
        return size < self->wanted ? 0 : self->wanted;
    }
    const char *newline = memchr(start, '\n', size);
    return newline == NULL ? 0 : (size_t)(newline - start) + 1;
}

/* The reading, awaited. */
static PyObject *
transport_next(PyObject *op)
{
    Transport *self = (Transport *)op;
    size_t size = size_to_take(self);
    if (size == 0) {
        Py_RETURN_NONE;
    }
    PyObject *data =
        PyBytes_FromStringAndSize(self->buffer + self->start, (Py_ssize_t)size);
    if (data != NULL) {
        self->start += size;
        PyErr_SetObject(PyExc_StopIteration, data);
        Py_DECREF(data);
    }
    return NULL;
}

/* drain(): there is always room. */
static PyObject *
ended_next(PyObject *Py_UNUSED(op))
{
    return NULL;
}

static PyType_Slot ended_slots[] = {
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, ended_next},
    {Py_am_await, PyObject_SelfIter},
    {0, NULL},
};

static PyType_Spec ended_spec = {
    .name = "benchmark_floor_server.Ended",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = ended_slots,
};

static PyObject *ended; /* one in a process */

static PyObject *
transport_drain(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(ended);
}

/* ---- its type ---- */

static void
transport_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    Py_CLEAR(((Transport *)op)->protocol);
    free(((Transport *)op)->buffer);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef transport_methods[] = {
    {"write", transport_write, METH_O, "write(data, /): send all of it, at once."},
    {"readexactly", transport_readexactly, METH_O, "readexactly(n, /): as asyncio's."},
    {"readline", transport_readline, METH_NOARGS, "readline(): as asyncio's."},
    {"drain", transport_drain, METH_NOARGS, "drain(): there is always room."},
    {"close", transport_close, METH_NOARGS, "close(): nothing: its peer ends it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot transport_slots[] = {
    {Py_tp_iter, PyObject_SelfIter},    {Py_tp_iternext, transport_next},
    {Py_am_await, PyObject_SelfIter},   {Py_tp_methods, transport_methods},
    {Py_tp_dealloc, transport_dealloc}, {0, NULL},
};

static PyType_Spec transport_spec = {
    .name = "benchmark_floor_server.Transport",
    .basicsize = sizeof(Transport),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = transport_slots,
};

static int
failed_errno(void)
{
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static int
close_fd(Transport *transport)
{
    close(transport->fd);
    Py_CLEAR(transport->protocol); /* a handler's coroutine hears of it so */
    Py_DECREF(transport);
    return 0;
}

/* Lets the handler go on until it waits. */
static int
step(Transport *transport)
{
    PyObject *result;
    PySendResult status = PyIter_Send(transport->protocol, Py_None, &result);
    if (status != PYGEN_ERROR) {
        Py_DECREF(result);
    }
    return status == PYGEN_NEXT ? 0 : status == PYGEN_RETURN ? close_fd(transport) : -1;
}

static int
begin_handler(const struct server *server, Transport *transport)
{
    transport->buffer = malloc(BUFFER_BYTES);
    if (transport->buffer == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    transport->protocol = PyObject_CallFunctionObjArgs(
        server->factory, (PyObject *)transport, (PyObject *)transport, NULL
    );
    return transport->protocol == NULL ? -1 : step(transport);
}

static int
begin_protocol(const struct server *server, Transport *transport)
{
    transport->protocol = PyObject_CallNoArgs(server->factory);
    PyObject *result = transport->protocol == NULL
                           ? NULL
                           : PyObject_CallMethod(
                                 transport->protocol, "connection_made", "O", transport
                             );
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The connection owns its transport by the pointer in epoll. */
static int
begin(struct server *server, int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* none on Unix's */
    Transport *transport = PyObject_New(Transport, server->transport_type);
    if (transport == NULL) {
        return -1;
    }
    transport->fd = fd;
    transport->protocol = NULL;
    transport->buffer = NULL;
    transport->start = transport->end = 0;
    int status = server->is_stream ? begin_handler(server, transport)
                                   : begin_protocol(server, transport);
    if (status < 0) {
        Py_DECREF(transport);
        return -1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = transport};
    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? failed_errno()
                                                                      : 0;
}

static int
accept_all(struct server *server)
{
    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return errno == EAGAIN ? 0 : failed_errno();
        }
        if (begin(server, fd) < 0) {
            return -1;
        }
    }
}

static int
end(Transport *transport)
{
    close(transport->fd);
    PyObject *result =
        PyObject_CallMethod(transport->protocol, "connection_lost", "O", Py_None);
    Py_XDECREF(result);
    Py_CLEAR(transport->protocol);
    Py_DECREF(transport);
    return result == NULL ? -1 : 0;
}

/* Into the handler's buffer, in which what was not read is moved to the front. */
static int
receive_for_handler(Transport *transport)
{
    transport->end -= transport->start;
    memmove(transport->buffer, transport->buffer + transport->start, transport->end);
    transport->start = 0;
    ssize_t n = recv(
        transport->fd, transport->buffer + transport->end,
        BUFFER_BYTES - transport->end, MSG_DONTWAIT
    );
    if (n < 0 && errno == EAGAIN) {
        return 0;
    }
    if (n <= 0) {
        return close_fd(transport);
    }
    transport->end += (size_t)n;
    return step(transport);
}

static int
receive(struct server *server, Transport *transport)
{
    if (server->is_stream) {
        return receive_for_handler(transport);
    }
    ssize_t n = recv(transport->fd, server->buffer, BUFFER_BYTES, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return 0;
    }
    if (n <= 0) {
        return end(transport);
    }
    PyObject *data = PyBytes_FromStringAndSize(server->buffer, n);
    if (data == NULL) {
        return -1;
    }
    PyObject *stack[2] = {transport->protocol, data};
    PyObject *result = PyObject_VectorcallMethod(server->data_received, stack, 2, NULL);
    Py_DECREF(data);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Until something raises. */
static void
serve(struct server *server)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int n;
        Py_BEGIN_ALLOW_THREADS
        n = epoll_wait(server->epoll_fd, events, EVENTS, -1);
        Py_END_ALLOW_THREADS
        if (n < 0 && errno != EINTR) {
            failed_errno();
            return;
        }
        if (PyErr_CheckSignals() < 0) {
            return;
        }
        for (int i = 0; i < n; i++) {
            Transport *transport = events[i].data.ptr;
            int status =
                transport == NULL ? accept_all(server) : receive(server, transport);
            if (status < 0) {
                return;
            }
        }
    }
}

PyDoc_STRVAR(
    serve_doc,
    "serve(listener, factory, is_stream, /)\n--\n\n"
    "Serve on a listening, non-blocking fd, with a Protocol of the factory for each\n"
    "connection, or with a handler of streams, until something raises. OSError if the\n"
    "kernel refuses something."
);

static PyObject *
floor_serve(PyObject *Py_UNUSED(module), PyObject *args)
{
    static struct server server; /* one in a process */
    int is_stream;
    if (!PyArg_ParseTuple(
            args, "iOp:serve", &server.listener, &server.factory, &is_stream
        )) {
        return NULL;
    }
    server.is_stream = is_stream != 0;
    PyObject *ended_type = PyType_FromSpec(&ended_spec);
    ended = ended_type == NULL ? NULL : PyObject_CallNoArgs(ended_type);
    if (ended == NULL) {
        return NULL;
    }
    server.data_received = PyUnicode_InternFromString("data_received");
    server.transport_type = (PyTypeObject *)PyType_FromSpec(&transport_spec);
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (server.data_received == NULL || server.transport_type == NULL) {
        return NULL;
    }
    if (server.epoll_fd < 0 ||
        epoll_ctl(server.epoll_fd, EPOLL_CTL_ADD, server.listener, &event) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    serve(&server);
    close(server.epoll_fd);
    Py_DECREF(server.transport_type);
    Py_DECREF(server.data_received);
    return NULL;
}

static PyMethodDef floor_methods[] = {
    {"serve", floor_serve, METH_VARARGS, serve_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot floor_slots[] = {
    {0, NULL},
};

static struct PyModuleDef floor_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "benchmark_floor_server",
    .m_doc = "Protocols in Python served by epoll alone.",
    .m_size = 0,
    .m_methods = floor_methods,
    .m_slots = floor_slots,
};

PyMODINIT_FUNC PyInit_benchmark_floor_server(void);

PyMODINIT_FUNC
PyInit_benchmark_floor_server(void)
{
    return PyModuleDef_Init(&floor_module);
}
