/* What transports need to know of Python's socket objects. */
#ifndef FASTLOOP_NET_SOCKET_H
#define FASTLOOP_NET_SOCKET_H

#include "py/state/state.h"

/* Whether its type is socket.socket itself, which nobody has patched; kept by the
 * type's version tag. So nobody can see that C code makes the system calls of its
 * methods. */
bool fl_socket_is_unpatched(struct fl_state *state, PyObject *sock);

/* The same of the class, and the module still calls it socket: what accept() makes. */
bool fl_socket_class_is_plain(struct fl_state *state);

/* Whether C code may make the system calls of this object. Sets *fd. escapes. 1, 0, or
 * -1 with an exception. */
int fl_socket_is_plain(struct fl_state *state, PyObject *sock, int *fd);

/* The same of the class alone: it may have been patched since a socket was found
 * plain. */
bool fl_socket_look_at_class(struct fl_state *state);

static inline bool
fl_socket_is_still_unpatched(struct fl_state *state)
{
    unsigned int version = ((const PyTypeObject *)state->socket)->tp_version_tag;
    return (version != 0 && version == state->net.socket_version) ||
           fl_socket_look_at_class(state);
}

/* The fd of a plain socket object, -1 once it is closed. */
int fl_socket_fd(const PyObject *sock);

/* fd if it is still that of a plain socket object, else -1. */
int fl_socket_same_fd(const PyObject *sock, int fd);

/* A socket.socket over fd, which does not block. escapes, but not after it took the
 * fd: whoever looks at once whether the fd is still to be had, and disowns it if not,
 * has never had two owners. family: -1 for the fd's own. New or NULL. */
PyObject *
fl_socket_over_fd(const struct fl_state *state, int family, int proto, int fd);

/* Takes the fd away: the object is a closed one from now on. */
void fl_socket_disown(const struct fl_state *state, PyObject *sock);

/* One that was closed. escapes. New or NULL. */
PyObject *fl_socket_closed(const struct fl_state *state, int family, int proto);

/* Looks up what is needed of the class. 0 or -1. */
int fl_socket_prepare(struct fl_state *state);

#endif
