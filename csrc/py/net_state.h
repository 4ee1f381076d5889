/* What the net floor has in the module's state: see py/state.h. */
#ifndef FASTLOOP_PY_NET_STATE_H
#define FASTLOOP_PY_NET_STATE_H

#include "py/compat.h"

#include <stdbool.h>

#define FL_NET_STATE_TYPES(X) X(sock_op_type)

#define FL_NET_STATE_IMPORTS(X)                                                     \
    X(SelectorEventLoop, "asyncio.unix_events", "SelectorEventLoop")                \
    X(SendfileNotAvailableError, "asyncio.exceptions", "SendfileNotAvailableError") \
    X(socket, "socket", "socket")                                                   \
    X(base_socket, "_socket", "socket")                                             \
    X(getaddrinfo, "socket", "getaddrinfo")                                         \
    X(AddressFamily, "socket", "AddressFamily")                                     \
    X(SocketKind, "socket", "SocketKind")

#define FL_NET_STATE_NAMES(X)   \
    X(str_address, "address")   \
    X(str_buf, "buf")           \
    X(str_bufsize, "bufsize")   \
    X(str_count, "count")       \
    X(str_data, "data")         \
    X(str_fallback, "fallback") \
    X(str_family, "family")     \
    X(str_fileno, "fileno")     \
    X(str_flags, "flags")       \
    X(str_host, "host")         \
    X(str_n, "n")               \
    X(str_nbytes, "nbytes")     \
    X(str_offset, "offset")     \
    X(str_port, "port")         \
    X(str_proto, "proto")       \
    X(str_sock, "sock")         \
    X(str_sockaddr, "sockaddr") \
    X(str_type, "type")

struct fl_net_state {
    PyObject *socket_fileno; /* methods of _socket.socket, unbound */
    PyObject *socket_gettimeout;
    PyObject *socket_family;
    PyObject *socket_type;
    PyObject *socket_proto;
    PyObject *socket_accept;     /* socket.socket's own */
    PyObject *kw_fallback;       /* ("fallback",) */
    unsigned int socket_version; /* socket.socket was plain at that tag */
    char *receive_buffer;        /* page-aligned; NULL until the first use */
    bool expects_much;           /* the last receive was a long one */
    bool sendfile_always_seeks;  /* also when it has sent nothing */
};

#define FL_NET_STATE_VISIT(X) \
    X(socket_fileno)          \
    X(socket_gettimeout)      \
    X(socket_family)          \
    X(socket_type)            \
    X(socket_proto)           \
    X(socket_accept)          \
    X(kw_fallback)

#endif
