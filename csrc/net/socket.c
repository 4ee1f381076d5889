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
