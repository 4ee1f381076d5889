/* Socket addresses as Python has them. */
#ifndef FASTLOOP_NET_ADDRESS_H
#define FASTLOOP_NET_ADDRESS_H

#include "py/compat.h"

#include <stdbool.h>
#include <sys/socket.h>

/* Whether fl_address_to_object knows the family: IPv4, IPv6, Unix. */
bool fl_address_knows(int family);

/* What _socket makes of an address of such a family: None if length is 0. New or
 * NULL. */
PyObject *fl_address_to_object(const struct sockaddr *address, socklen_t length);

/* A tuple of a numeric host (no name, no scope in it) and a port, in IPv6 perhaps
 * flow info and scope: true, or false if it is anything else. Raises nothing. */
bool fl_address_from_object(
    int family, PyObject *object, struct sockaddr_storage *address, socklen_t *length
);

/* A Unix socket's path or abstract name, as exactly str or bytes: the same. */
bool fl_address_from_path(
    PyObject *object, struct sockaddr_storage *address, socklen_t *length
);

/* An Internet address as a tuple of all its parts. host: as it was written. New or
 * NULL. */
PyObject *fl_address_complete(const struct sockaddr *address, PyObject *host);

#endif
