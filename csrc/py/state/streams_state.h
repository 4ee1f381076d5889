/* What streams have in the module's state: see py/state/aio_state.h. */
#ifndef FASTLOOP_PY_STREAMS_STATE_H
#define FASTLOOP_PY_STREAMS_STATE_H

#define FL_STREAM_READER_NAMES                                                  \
    "_buffer _limit _transport _eof _waiter _exception _paused _loop "          \
    "_wakeup_waiter _maybe_resume_transport _wait_for_data readline readuntil " \
    "read feed_data set_transport"

#define FL_STREAM_WRITER_NAMES "_transport _protocol _reader _loop"

#define FL_STREAM_PROTOCOL_NAMES                                               \
    "_loop _paused _drain_waiters _connection_lost _stream_reader_wr "         \
    "_stream_reader _strong_reader _reject_connection _stream_writer _task "   \
    "_transport _client_connected_cb _over_ssl _closed connection_made "       \
    "connection_lost data_received eof_received pause_writing resume_writing " \
    "_drain_helper"

#define FL_STREAMS_STATE_TYPES(X) \
    X(stream_reader_type) X(stream_writer_type) X(stream_protocol_type)

#define FL_STREAMS_STATE_IMPORTS(X)                                            \
    X(asyncio_StreamWriter, "asyncio.streams", "StreamWriter")                 \
    X(asyncio_StreamReader, "asyncio.streams", "StreamReader")                 \
    X(asyncio_StreamReaderProtocol, "asyncio.streams", "StreamReaderProtocol") \
    X(streams_FlowControlMixin, "asyncio.streams", "FlowControlMixin")         \
    X(IncompleteReadError, "asyncio.exceptions", "IncompleteReadError")        \
    X(LimitOverrunError, "asyncio.exceptions", "LimitOverrunError")

#define FL_STREAMS_STATE_NAMES(X)                 \
    X(str_StreamWriter, "StreamWriter")           \
    X(str_append, "append")                       \
    X(str_can_write_eof, "can_write_eof")         \
    X(str_set_transport, "set_transport")         \
    X(str_sslcontext, "sslcontext")               \
    X(str__closed, "_closed")                     \
    X(str__drain_waiters, "_drain_waiters")       \
    X(str_get_extra_info, "get_extra_info")       \
    X(str_is_closing, "is_closing")               \
    X(str_write_eof, "write_eof")                 \
    X(str_writelines, "writelines")               \
    X(str__connection_lost, "_connection_lost")   \
    X(str__drain_helper, "_drain_helper")         \
    X(str__get_close_waiter, "_get_close_waiter") \
    X(str_args, "args")                           \
    X(str_at_eof, "at_eof")                       \
    X(str_consumed, "consumed")                   \
    X(str_feed_data, "feed_data")                 \
    X(str_feed_eof, "feed_eof")                   \
    X(str_partial, "partial")                     \
    X(str_pause_reading, "pause_reading")         \
    X(str_read, "read")                           \
    X(str_resume_reading, "resume_reading")       \
    X(str___getattribute__, "__getattribute__")   \
    X(str___setattr__, "__setattr__")             \
    X(str__eof, "_eof")                           \
    X(str__paused, "_paused")                     \
    X(str__stream_reader, "_stream_reader")       \
    X(str__stream_reader_wr, "_stream_reader_wr") \
    X(str__transport, "_transport")               \
    X(str__waiter, "_waiter")                     \
    X(str__wakeup_waiter, "_wakeup_waiter")       \
    X(str__buffer, "_buffer")                     \
    X(str__limit, "_limit")                       \
    X(str__maybe_resume_transport, "_maybe_resume_transport")

/* References that may be NULL. */
#define FL_STREAMS_STATE_OBJECTS(X)                                                    \
    X(                                                                                 \
        connected_code                                                                 \
    ) /* aio/stream/stream_connect.c: asyncio's callback of a client's task, */        \
    X(connected_cells) /* the names of what it closes over, */                         \
    X(streams_globals) /* and what asyncio.streams has */                              \
    X(fed_members)     /* aio/stream/stream_feed.c: (class, name, what it has, ...) */ \
    X(stock_data_received) /* asyncio's functions */                                   \
    X(stock_drain_helper)                                                              \
    X(stock_feed_data)                                                                 \
    X(stock_wakeup_waiter)

#endif
