/* What transports have in the module's state: see py/state.h. */
#ifndef FASTLOOP_PY_NET_STATE_H
#define FASTLOOP_PY_NET_STATE_H

#define FL_NET_STATE_TYPES(X) \
    X(listener_type)          \
    X(stream_type)

#define FL_NET_STATE_IMPORTS(X)                                      \
    X(accept_retry_delay, "asyncio.constants", "ACCEPT_RETRY_DELAY") \
    X(FlowControlMixin, "asyncio.transports", "_FlowControlMixin")   \
    X(BufferedProtocol, "asyncio.protocols", "BufferedProtocol")     \
    X(SendfileMode, "asyncio.constants", "_SendfileMode")            \
    X(TransportSocket, "asyncio.trsock", "TransportSocket")          \
    X(deque, "collections", "deque")                                 \
    X(socket_class, "socket", "socket")                              \
    X(socket_type, "_socket", "socket")

#define FL_NET_STATE_NAMES(X)                             \
    X(str_buffer_updated, "buffer_updated")               \
    X(str_close, "close")                                 \
    X(str_connection_lost, "connection_lost")             \
    X(str_connection_made, "connection_made")             \
    X(str_data_received, "data_received")                 \
    X(str_default, "default")                             \
    X(str_eof_received, "eof_received")                   \
    X(str_get_buffer, "get_buffer")                       \
    X(str_getpeername, "getpeername")                     \
    X(str_getsockname, "getsockname")                     \
    X(str_high, "high")                                   \
    X(str_low, "low")                                     \
    X(str_pause_writing, "pause_writing")                 \
    X(str_peername, "peername")                           \
    X(str_recv, "recv")                                   \
    X(str_recv_into, "recv_into")                         \
    X(str_resume_writing, "resume_writing")               \
    X(str_send, "send")                                   \
    X(str_sendmsg, "sendmsg")                             \
    X(str_socket, "socket")                               \
    X(str_sockname, "sockname")                           \
    X(str__accept, "_accept")                             \
    X(str__begin, "_begin")                               \
    X(str__call_connection_lost, "_call_connection_lost") \
    X(str_setblocking, "setblocking")                     \
    X(str__transports, "_transports")

#endif
