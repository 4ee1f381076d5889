/* What the net floor has in the module's state: see py/state/state.h. */
#ifndef FASTLOOP_PY_NET_STATE_H
#define FASTLOOP_PY_NET_STATE_H

#include "base/receive.h"
#include "py/compat.h"

#include <stdbool.h>
#include <sys/types.h>

#define FL_NET_STATE_TYPES(X) \
    X(protocol_type)          \
    X(sock_op_type)           \
    X(listener_type)          \
    X(stream_type)            \
    X(read_pipe_type)         \
    X(write_pipe_type)        \
    X(datagram_type)

#define FL_NET_STATE_IMPORTS(X)                                                     \
    X(base_socket, "_socket", "socket")                                             \
    X(accept_retry_delay, "asyncio.constants", "ACCEPT_RETRY_DELAY")                \
    X(SendfileMode, "asyncio.constants", "_SendfileMode")                           \
    X(SendfileNotAvailableError, "asyncio.exceptions", "SendfileNotAvailableError") \
    X(BufferedProtocol, "asyncio.protocols", "BufferedProtocol")                    \
    X(DatagramTransport, "asyncio.transports", "DatagramTransport")                 \
    X(FlowControlMixin, "asyncio.transports", "_FlowControlMixin")                  \
    X(ReadTransport, "asyncio.transports", "ReadTransport")                         \
    X(TransportSocket, "asyncio.trsock", "TransportSocket")                         \
    X(SelectorEventLoop, "asyncio.unix_events", "SelectorEventLoop")                \
    X(deque, "collections", "deque")                                                \
    X(AddressFamily, "socket", "AddressFamily")                                     \
    X(getaddrinfo, "socket", "getaddrinfo")                                         \
    X(socket, "socket", "socket")                                                   \
    X(socket_globals, "socket", "__dict__")                                         \
    X(SocketModel, "asyncio.selector_events", "_SelectorSocketTransport")           \
    X(DatagramModel, "asyncio.selector_events", "_SelectorDatagramTransport")       \
    X(PipeModel, "asyncio.unix_events", "_UnixReadPipeTransport")                   \
    X(SocketKind, "socket", "SocketKind")

#define FL_NET_STATE_NAMES(X)                     \
    X(str_addr, "addr")                           \
    X(str_address, "address")                     \
    X(str_buf, "buf")                             \
    X(str_buffer_updated, "buffer_updated")       \
    X(str_bufsize, "bufsize")                     \
    X(str_close, "close")                         \
    X(str_connection_lost, "connection_lost")     \
    X(str_connection_made, "connection_made")     \
    X(str_count, "count")                         \
    X(str_data, "data")                           \
    X(str_data_received, "data_received")         \
    X(str_datagram_received, "datagram_received") \
    X(str_default, "default")                     \
    X(str_eof_received, "eof_received")           \
    X(str_error_received, "error_received")       \
    X(str_fallback, "fallback")                   \
    X(str_fileno, "fileno")                       \
    X(str_get_buffer, "get_buffer")               \
    X(str_getpeername, "getpeername")             \
    X(str_getsockname, "getsockname")             \
    X(str_high, "high")                           \
    X(str_list_of_data, "list_of_data")           \
    X(str_low, "low")                             \
    X(str_max_size, "max_size")                   \
    X(str_n, "n")                                 \
    X(str_nbytes, "nbytes")                       \
    X(str_offset, "offset")                       \
    X(str_pause_writing, "pause_writing")         \
    X(str_peername, "peername")                   \
    X(str_pipe, "pipe")                           \
    X(str_protocol, "protocol")                   \
    X(str_resume_writing, "resume_writing")       \
    X(str_send, "send")                           \
    X(str_sendto, "sendto")                       \
    X(str_setblocking, "setblocking")             \
    X(str_sock, "sock")                           \
    X(str_socket, "socket")                       \
    X(str_sockname, "sockname")                   \
    X(str__begin, "_begin")                       \
    X(str__call_connection_lost, "_call_connection_lost")

/* References; all but the last to what _socket.socket has, unbound. */
#define FL_NET_STATE_OBJECTS(X)                           \
    X(socket_init)                                        \
    X(socket_detach)                                      \
    X(socket_gettimeout)                                  \
    X(socket_family)                                      \
    X(socket_type)                                        \
    X(socket_proto)                                       \
    X(max_size)    /* as our transports' types have it */ \
    X(kw_fallback) /* ("fallback",) */

/* The types whose transports receive by a max_size. */
enum fl_sized { FL_SIZED_STREAM, FL_SIZED_DATAGRAM, FL_SIZED_PIPE, FL_N_SIZED };

/* Version tags at which neither the type's nor its model's max_size had been changed.
 */
struct fl_usual_size {
    unsigned int type_version; /* 0: not known */
    unsigned int model_version;
    PyTypeObject *model; /* borrowed, of a class that the state holds */
};

struct fl_state;

struct fl_net_state {
#define FL_FIELD_OBJECT(field) PyObject *field;
    FL_NET_STATE_OBJECTS(FL_FIELD_OBJECT)
#undef FL_FIELD_OBJECT
    struct fl_usual_size usual_sizes[FL_N_SIZED];
    unsigned int socket_version; /* socket.socket was plain at that tag */
    /* A protocol of exactly one of these types is fed without a call, if it lets
     * itself: 1, 0 if it must be called, or -1. size: one at least. escapes. NULL:
     * nobody offers it. */
    PyTypeObject *fed_types[2]; /* borrowed, of classes that the state holds */
    int (*feed)(
        struct fl_state *state, PyObject *protocol, const char *data, Py_ssize_t size
    );
    /* How many bytes it would rather have as an object, at most; 0: none. give() then
     * gives them to it, as feed() has it. */
    ssize_t (*wanted)(struct fl_state *state, PyObject *protocol);
    int (*give)(struct fl_state *state, PyObject *protocol, PyObject *bytes);
    struct fl_audit *audit;        /* NULL: not asked to hear of events */
    struct fl_receive sock_memory; /* of sock_recv() and its kin, on any socket */
    bool sendfile_always_seeks;    /* also when it has sent nothing */
    bool writelines_tried;         /* whether asyncio's leaves out pieces that are */
    bool writelines_drops_false;   /* false, as late releases of 3.14 do */
};

#endif
