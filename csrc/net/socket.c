/* Python's socket objects, looked at from C. */
#include "net/socket.h"

#include "py/error.h"

#include <stddef.h>
#include <sys/socket.h>

/* In CPython's socket objects the fd comes first; fl_socket_is_plain checks it. */
int
fl_socket_fd(const PyObject *sock)
{
    return *(const int *)((const char *)sock + sizeof(PyObject));
}

int
fl_socket_same_fd(const PyObject *sock, int fd)
{
    return fl_socket_fd(sock) == fd ? fd : -1;
}

/* ---- is it Python's own? ---- */

/* Whether the class has _socket.socket's own of that name. */
static bool
is_inherited(const struct fl_state *state, const char *name)
{
    PyObject *found = PyObject_GetAttrString(state->socket, name);
    PyObject *base = PyObject_GetAttrString(state->base_socket, name);
    bool same = found != NULL && found == base;
    Py_XDECREF(found);
    Py_XDECREF(base);
    PyErr_Clear();
    return same;
}

/* Whether it has a function of that name that stands in the module socket. */
static bool
is_the_modules(const struct fl_state *state, const char *name)
{
    PyObject *found = PyObject_GetAttrString(state->socket, name);
    bool is = found != NULL && PyFunction_Check(found) &&
              PyFunction_GET_GLOBALS(found) == state->socket_globals;
    Py_XDECREF(found);
    PyErr_Clear();
    return is;
}

/* Whether socket.socket does what Python has made it do: nobody has patched it. */
static bool
type_is_unpatched(const struct fl_state *state)
{
    static const char *const inherited[] = {
        "fileno",      "recv",        "recv_into",  "recvfrom",    "recvfrom_into",
        "send",        "sendmsg",     "sendto",     "connect",     "_accept",
        "gettimeout",  "getsockopt",  "setsockopt", "setblocking", "shutdown",
        "getpeername", "getsockname",
    };
    static const char *const modules[] = {
        "__init__", "accept", "close", "_real_close", "detach",
    };
    bool same = true;
    for (size_t i = 0; same && i < Py_ARRAY_LENGTH(inherited); i++) {
        same = is_inherited(state, inherited[i]);
    }
    for (size_t i = 0; same && i < Py_ARRAY_LENGTH(modules); i++) {
        same = is_the_modules(state, modules[i]);
    }
    return same;
}

bool
fl_socket_look_at_class(struct fl_state *state)
{
    if (!type_is_unpatched(state)) {
        return false;
    }
    const PyTypeObject *type = (const PyTypeObject *)state->socket;
    state->net.socket_version = type->tp_version_tag;
    return true;
}

bool
fl_socket_is_unpatched(struct fl_state *state, PyObject *sock)
{
    return (PyObject *)Py_TYPE(sock) == state->socket &&
           fl_socket_is_still_unpatched(state);
}

bool
fl_socket_class_is_plain(struct fl_state *state)
{
    PyObject *named = PyDict_GetItemWithError(state->socket_globals, state->str_socket);
    if (named == NULL) {
        PyErr_Clear();
        return false;
    }
    return named == state->socket && fl_socket_is_still_unpatched(state);
}

int
fl_socket_is_plain(struct fl_state *state, PyObject *sock, int *fd)
{
    if ((PyObject *)Py_TYPE(sock) != state->base_socket &&
        !fl_socket_is_unpatched(state, sock)) {
        return 0;
    }
    *fd = PyObject_AsFileDescriptor(sock); /* escapes */
    if (*fd < 0) {
        return -1;
    }
    return fl_socket_fd(sock) == *fd;
}

/* ---- making one ---- */

/* Without an fd, so that it may die at any point; escapes. New or NULL. */
static PyObject *
make_empty(const struct fl_state *state)
{
    PyObject *sock = PyObject_CallMethod(state->socket, "__new__", "O", state->socket);
    PyObject *zero = sock == NULL ? NULL : PyLong_FromLong(0);
    if (zero == NULL || PyObject_SetAttrString(sock, "_io_refs", zero) < 0 ||
        PyObject_SetAttrString(sock, "_closed", Py_False) < 0) {
        Py_CLEAR(sock);
    }
    Py_XDECREF(zero);
    return sock;
}

PyObject *
fl_socket_over_fd(const struct fl_state *state, int family, int proto, int fd)
{
    PyObject *sock = make_empty(state); /* escapes */
    if (sock == NULL) {
        return NULL;
    }
    /* of this call nothing runs Python code but the audit hooks, which come first */
    PyObject *result = PyObject_CallFunction(
        state->net.socket_init, "Oiiii", sock, family, SOCK_STREAM | SOCK_NONBLOCK,
        proto, fd
    );
    if (result == NULL) {
        Py_CLEAR(sock);
    }
    Py_XDECREF(result);
    return sock;
}

void
fl_socket_disown(const struct fl_state *state, PyObject *sock)
{
    PyObject *exc = fl_error_take();
    PyObject *fd = PyObject_CallOneArg(state->net.socket_detach, sock);
    if (fd == NULL || PyObject_SetAttrString(sock, "_closed", Py_True) < 0) {
        PyErr_WriteUnraisable(sock);
    }
    Py_XDECREF(fd);
    fl_error_restore(exc);
}

PyObject *
fl_socket_closed(const struct fl_state *state, int family, int proto)
{
    PyObject *sock =
        PyObject_CallFunction(state->socket, "iii", family, SOCK_STREAM, proto);
    if (sock == NULL && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear(); /* out of fds, say: then it does not know its family */
        sock = make_empty(state);
    }
    PyObject *closed =
        sock == NULL ? NULL : PyObject_CallMethodNoArgs(sock, state->str_close);
    if (closed == NULL) {
        Py_CLEAR(sock);
    }
    Py_XDECREF(closed);
    return sock;
}

int
fl_socket_prepare(struct fl_state *state)
{
    struct fl_net_state *net = &state->net;
    net->socket_init = PyObject_GetAttrString(state->base_socket, "__init__");
    if (net->socket_init == NULL) {
        return -1;
    }
    net->socket_detach = PyObject_GetAttrString(state->base_socket, "detach");
    return net->socket_detach == NULL ? -1 : 0;
}
