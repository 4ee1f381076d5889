/* What transports need to know of Python's socket objects. */
#ifndef FASTLOOP_NET_SOCKET_H
#define FASTLOOP_NET_SOCKET_H

#include "py/state.h"

/* Whether sock is a socket object whose system calls are the kernel's own and not a
 * subclass's, so that C code may make them on its fd. Sets *fd. escapes. 1, 0, or -1
 * with an exception. */
int fl_socket_is_plain(const struct fl_state *state, PyObject *sock, int *fd);

/* Whether its type is socket.socket itself, which nobody has patched; kept by the
 * type's version tag. */
bool fl_socket_is_unpatched(struct fl_state *state, PyObject *sock);

/* The fd of a plain socket object, -1 once it is closed. */
int fl_socket_fd(const PyObject *sock);

/* fd if it is still that of a plain socket object, else -1. */
int fl_socket_same_fd(const PyObject *sock, int fd);

#endif
