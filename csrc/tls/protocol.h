/* TLS over any transport: the C half of asyncio.sslproto.SSLProtocol.
 *
 *   protocol.c  the type: its attributes, and what it takes from asyncio
 *   incoming.c  records from the peer
 *   outgoing.c  plain text to the peer
 *   control.c   flow control, and what is left to asyncio's methods
 *
 * fastloop._tls makes a class of this type and of asyncio's. asyncio's methods do what
 * happens once per connection: handshake, shutdown, timeouts, errors, extra info. What
 * happens per record is done here, where all is plain; where it is not (a state other
 * than WRAPPED, bytes that wait, an outcome of OpenSSL's that is an exception)
 * asyncio's method of that name is called, on the same object. Attributes are where
 * asyncio's methods look for them; that is why they are objects, flags included.
 *
 * Every call of the protocol above or of the transport below may write, close, abort,
 * pause, or take the connection down: what was read before it is read again.
 */
#ifndef FASTLOOP_TLS_PROTOCOL_H
#define FASTLOOP_TLS_PROTOCOL_H

#include "net/transport/protocol.h"
#include "tls/engine.h"

/* What asyncio's reads at once. Its __init__ makes a buffer of that size, which
 * transports of ours do not need: until one is adopted it is said to be 0. */
#define FL_TLS_MAX_SIZE ((size_t)256 * 1024)

/* Attributes of asyncio's, each with an underscore before it; and reads_later: a
 * handshake is being completed, whose waiter is to wake up before more is read. */
#define FL_TLS_ATTRIBUTES(X)       \
    X(app_protocol)                \
    X(app_protocol_buffer_updated) \
    X(app_protocol_get_buffer)     \
    X(app_protocol_is_buffer)      \
    X(app_reading_paused)          \
    X(app_state)                   \
    X(app_transport)               \
    X(app_transport_created)       \
    X(app_writing_paused)          \
    X(conn_lost)                   \
    X(eof_received)                \
    X(extra)                       \
    X(incoming)                    \
    X(incoming_high_water)         \
    X(incoming_low_water)          \
    X(loop)                        \
    X(outgoing)                    \
    X(outgoing_high_water)         \
    X(outgoing_low_water)          \
    X(reads_later)                 \
    X(server_hostname)             \
    X(server_side)                 \
    X(ssl_buffer)                  \
    X(ssl_buffer_view)             \
    X(ssl_handshake_timeout)       \
    X(ssl_reading_paused)          \
    X(ssl_shutdown_timeout)        \
    X(ssl_writing_paused)          \
    X(sslcontext)                  \
    X(sslobj)                      \
    X(state)                       \
    X(transport)                   \
    X(waiter)                      \
    X(write_backlog)               \
    X(write_buffer_size)

typedef struct {
    ProtocolObject base;
#define FL_FIELD_OBJECT(field) PyObject *field;
    FL_TLS_ATTRIBUTES(FL_FIELD_OBJECT)
#undef FL_FIELD_OBJECT
    struct fl_state *module;
    PyObject *driven; /* the _ssl._SSLSocket of the engine */
    struct fl_tls_engine engine;
} TlsObject;

/* _tls_set_up(namespace of asyncio.sslproto, _SSLSocket, path of _ssl, version): True
 * if connections can be driven. Once. */
PyObject *fl_tls_set_up(PyObject *module, PyObject *const *args, Py_ssize_t n_args);
/* The protocol's type, and one for the methods of its transport. */
int fl_tls_add_types(PyObject *module, struct fl_state *state);

/* ---- for the tables of the types ---- */

extern const struct fl_protocol_calls fl_tls_calls;

PyObject *fl_tls_connection_lost(PyObject *op, PyObject *exc);
PyObject *fl_tls_do_read(PyObject *op, PyObject *ignored);
PyObject *fl_tls_process_outgoing(PyObject *op, PyObject *ignored);
PyObject *fl_tls_control_app_writing(PyObject *op, PyObject *ignored);
PyObject *fl_tls_control_ssl_reading(PyObject *op, PyObject *ignored);
PyObject *fl_tls_write_appdata(PyObject *op, PyObject *pieces);

/* Of the transport: */
PyObject *fl_tls_transport_write(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);

#endif
