/* A listening socket of a server: accepts, and makes a transport for each connection.
 */
#ifndef FASTLOOP_NET_LISTENER_H
#define FASTLOOP_NET_LISTENER_H

#include "core/io/source.h"

#include <sys/socket.h>

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

int fl_listener_add_type(PyObject *module, struct fl_state *state);

/* _listen(loop, sock, protocol_factory, server, backlog, context, tls): begins to
 * accept. tls: the further arguments of loop._accept_connection2, or None. False if
 * the socket is of a kind that asyncio's own code must drive. */
PyObject *fl_listener_start(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

/* listener_accepted.c: serves fd, which it steals. escapes. 0, or -1 with an exception.
 */
int fl_listener_accepted(
    ListenerObject *self, int fd, const struct sockaddr_storage *address, socklen_t size
);

#endif
