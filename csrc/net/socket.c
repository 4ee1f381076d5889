/* Python's socket objects, looked at from C. */
#include "net/socket.h"

#include <stddef.h>

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

int
fl_socket_is_plain(const struct fl_state *state, PyObject *sock, int *fd)
{
    PyTypeObject *plain = (PyTypeObject *)state->base_socket;
    if (!PyObject_TypeCheck(sock, plain)) {
        return 0;
    }
    PyObject *const names[] = {
        state->str__accept,  state->str_recv, state->str_recv_into,
        state->str_recvfrom, state->str_send, state->str_sendmsg,
        state->str_sendto,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (_PyType_Lookup(Py_TYPE(sock), names[i]) !=
            _PyType_Lookup(plain, names[i])) {
            return 0;
        }
    }
    *fd = PyObject_AsFileDescriptor(sock); /* escapes */
    if (*fd < 0) {
        return -1;
    }
    return fl_socket_fd(sock) == *fd;
}

/* Whether socket.socket does what _socket.socket does: nobody has patched it. */
static bool
type_is_unpatched(struct fl_state *state)
{
    static const char *const used[] = {
        "fileno", "recv",    "recv_into", "recvfrom",   "recvfrom_into", "send",
        "sendto", "connect", "_accept",   "gettimeout", "getsockopt",    "setblocking",
    };
    bool same = true;
    for (size_t i = 0; same && i < Py_ARRAY_LENGTH(used); i++) {
        PyObject *found = PyObject_GetAttrString(state->socket, used[i]);
        PyObject *base = PyObject_GetAttrString(state->base_socket, used[i]);
        same = found != NULL && found == base;
        Py_XDECREF(found);
        Py_XDECREF(base);
    }
    PyObject *accept = PyObject_GetAttrString(state->socket, "accept");
    same = same && accept == state->net.socket_accept;
    Py_XDECREF(accept);
    PyErr_Clear();
    return same;
}

bool
fl_socket_is_unpatched(struct fl_state *state, PyObject *sock)
{
    if ((PyObject *)Py_TYPE(sock) != state->socket) {
        return false;
    }
    unsigned int version = Py_TYPE(sock)->tp_version_tag;
    if (version != 0 && version == state->net.socket_version) {
        return true;
    }
    bool unpatched = type_is_unpatched(state) &&
                     PyObject_AsFileDescriptor(sock) == fl_socket_fd(sock);
    PyErr_Clear();
    if (!unpatched) {
        return false;
    }
    state->net.socket_version = Py_TYPE(sock)->tp_version_tag;
    return true;
}
