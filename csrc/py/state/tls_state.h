/* What the tls floor has in the module's state: see py/state/state.h. */
#ifndef FASTLOOP_PY_TLS_STATE_H
#define FASTLOOP_PY_TLS_STATE_H

#include "py/compat.h"

#define FL_TLS_STATE_TYPES(X) \
    X(tls_type)               \
    X(tls_transport_type)

#define FL_TLS_STATE_NAMES(X)                          \
    X(str_handshake, "_do_handshake")                  \
    X(str_do_flush, "_do_flush")                       \
    X(str_do_read, "_do_read")                         \
    X(str_do_read_buffered, "_do_read__buffered")      \
    X(str_do_shutdown, "_do_shutdown")                 \
    X(str_do_write, "_do_write")                       \
    X(str_call_eof_received, "_call_eof_received")     \
    X(str_control_app_writing, "_control_app_writing") \
    X(str_control_ssl_reading, "_control_ssl_reading") \
    X(str_fatal_error, "_fatal_error")                 \
    X(str_process_outgoing, "_process_outgoing")       \
    X(str_ssl_protocol, "_ssl_protocol")               \
    X(str_start_shutdown, "_start_shutdown")           \
    X(str_write_appdata, "_write_appdata")             \
    X(str_write, "write")                              \
    X(str_fatal_tls, "Fatal error on SSL protocol")

/* References, NULL until TLS is first used. */
#define FL_TLS_STATE_OBJECTS(X)                                     \
    X(protocol_class)  /* asyncio.sslproto.SSLProtocol */           \
    X(transport_class) /* asyncio.sslproto._SSLProtocolTransport */ \
    X(socket_class)    /* _ssl._SSLSocket */                        \
    X(again)           /* asyncio.sslproto.SSLAgainErrors */        \
    X(wrapped)         /* members of SSLProtocolState */            \
    X(flushing)                                                     \
    X(handshaking)                                                  \
    X(shutting_down)

struct fl_openssl;

struct fl_tls_state {
#define FL_FIELD_OBJECT(field) PyObject *field;
    FL_TLS_STATE_OBJECTS(FL_FIELD_OBJECT)
#undef FL_FIELD_OBJECT
    struct fl_openssl *openssl; /* tls/openssl.h; NULL: not looked for, or not found */
};

#endif
