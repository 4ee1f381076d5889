/* A listening socket of a server: accepts, and makes a transport for each connection.
 */
#ifndef FASTLOOP_NET_LISTENER_H
#define FASTLOOP_NET_LISTENER_H

#include "core/io/source.h"

int fl_listener_add_type(PyObject *module, struct fl_state *state);

/* _listen(loop, sock, protocol_factory, server, backlog, context, tls): begins to
 * accept. tls: the further arguments of loop._accept_connection2, or None. False if
 * the socket is of a kind that asyncio's own code must drive. */
PyObject *fl_listener_start(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

#endif
