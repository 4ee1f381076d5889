/* Python's socket objects, looked at from C. */
#include "net/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

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

PyObject *
fl_socket_address(const struct sockaddr_storage *address, socklen_t size)
{
    char text[INET6_ADDRSTRLEN];
    const void *any = address;
    if (address->ss_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *ip4 = any;
        inet_ntop(AF_INET, &ip4->sin_addr, text, sizeof(text));
        return Py_BuildValue("(si)", text, ntohs(ip4->sin_port));
    }
    if (address->ss_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *ip6 = any;
        inet_ntop(AF_INET6, &ip6->sin6_addr, text, sizeof(text));
        return Py_BuildValue(
            "(siII)", text, ntohs(ip6->sin6_port), ntohl(ip6->sin6_flowinfo),
            ip6->sin6_scope_id
        );
    }
    if (address->ss_family == AF_UNIX &&
        size <= offsetof(struct sockaddr_un, sun_path)) {
        return PyUnicode_FromStringAndSize("", 0);
    }
    return Py_NewRef(Py_None);
}
