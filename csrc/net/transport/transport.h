/* What every transport has, whatever carries its bytes: an object at its other end
 * (a socket or a pipe) that it owns, a protocol, water marks, and one end.
 *
 *   transport.c         life; protocol; pausing reading
 *   transport_attrs.c   what users and libraries look at
 *   transport_close.c   close, abort, errors; connection_lost
 *   transport_limits.c  water marks; pausing and resuming the protocol
 *   transport_receive.c how much one event may bring, and where it is put
 *
 * A transport's type embeds TransportObject at its start and describes itself by a
 * struct fl_transport_kind. Imitates asyncio's _FlowControlMixin and what
 * _SelectorTransport and the pipe transports have in common.
 *
 * The fd belongs to the object in file, until connection_lost was called. A kind that
 * makes that object only when somebody asks for it owns the fd itself until then.
 */
#ifndef FASTLOOP_NET_TRANSPORT_H
#define FASTLOOP_NET_TRANSPORT_H

#include "core/io/source.h"
#include "net/socket.h"
#include "net/transport/receive.h"
#include "py/state/tables.h"

/* A transport's life, which only goes on (the table of who may go where is in
 * transport_close.c). */
enum fl_life {
    FL_LIVES,   /* reads and writes */
    FL_CLOSING, /* close() was called: what waits is still sent, nothing read */
    FL_LOST,    /* connection_lost() is due: nothing is sent any more */
    FL_ENDED,   /* it was called, or never will be; the file is not ours */
};

typedef struct {
    PyObject_HEAD
    /* the slots of asyncio.transports._FlowControlMixin and its base, in their layout
     * (sorted by name); loop.sendfile wants a transport to be one */
    PyObject *extra; /* a dict; NULL: not made yet */
    PyObject *high;  /* water marks as they were given; NULL: the default */
    PyObject *slot_loop;
    PyObject *low;
    PyObject *slot_protocol_paused;
    /* ours */
    PyObject *weakrefs;
    PyObject *dict;
    PyObject *file;        /* the socket or pipe; NULL: not made, or not open */
    PyObject *closed_file; /* the same object once it is closed */
    PyObject *protocol;    /* NULL once connection_lost was called */
    size_t high_bytes;
    size_t low_bytes;
    struct fl_source source; /* owns its loop and context; its kind is in ours */
    enum fl_life life;
    uint32_t late_writes; /* that came too late to be sent, or failed */
    char paused;          /* reading, by pause_reading() */
    char protocol_paused; /* writing, by us */
    char own_context;     /* the context was given: callbacks run in it */
    char lacks_socket;    /* extra["socket"] is None until somebody asks for it */
} TransportObject;

/* What is special to a type. All but unsent and discard may be NULL, as source.flush
 * may. */
struct fl_transport_kind {
    struct fl_source_kind source; /* first */
    /* The bytes that wait to be sent, as get_write_buffer_size() has it. */
    size_t (*unsent)(const TransportObject *self);
    /* Closed in connection_made(), it is watched for reading while bytes wait: a
     * writing pipe's reader may go. */
    bool hears_closing;
    /* Drops them. */
    void (*discard)(TransportObject *self);
    /* Another protocol is to be used. escapes. 0 or -1. */
    int (*use_protocol)(TransportObject *self, PyObject *protocol);
    /* May a write be put off, so that the socket shown must send first? */
    bool (*may_put_off)(const TransportObject *self);
    /* The fd's number or its object was given out: others may send there. */
    void (*shared)(TransportObject *self);
    /* The object for the fd; for one that was closed if it is no longer open. Wanted if
     * the transport was made without. escapes, but not after it took the fd. New or
     * NULL. */
    PyObject *(*make_file)(const TransportObject *self);
    /* One that came too late: takes the fd away from it. */
    void (*disown_file)(const TransportObject *self, PyObject *file);
    /* Makes self->extra, when it is first asked for. escapes. 0 or -1. */
    int (*make_extra)(TransportObject *self);
    /* After the end: gives up what the type has besides. escapes. 0 or -1. */
    int (*ended)(TransportObject *self);
};

static inline const struct fl_transport_kind *
fl_transport_kind(const TransportObject *self)
{
    return (const struct fl_transport_kind *)(const void *)self->source.kind;
}

static inline TransportObject *
fl_transport_of_source(struct fl_source *source)
{
    return FL_CONTAINER_OF(source, TransportObject, source);
}

/* The fd of a plain socket, or -1 if it was closed: its number is looked up before each
 * system call, so that a socket closed behind our back is an EBADF and never somebody
 * else's connection. */
static inline int
fl_transport_socket_fd(const TransportObject *self)
{
    int fd = self->source.watch.fd;
    if (self->file == NULL) {
        return self->life < FL_ENDED ? fd : -1;
    }
    return fl_socket_same_fd(self->file, fd);
}

/* Whether the kernel has not taken all that was sent. */
static inline bool
fl_transport_waits_for_room(const TransportObject *self)
{
    return (self->source.watch.events & FL_POLL_WRITE) != 0;
}

/* For whoever could tell: sends what a write has put off. escapes. 0, or -1 with an
 * exception. */
static inline int
fl_transport_flush(TransportObject *self)
{
    int (*flush)(struct fl_source *) = self->source.kind->flush;
    return flush == NULL ? 0 : flush(&self->source);
}

/* The same for whoever gets the fd's number or its object. */
static inline int
fl_transport_share(TransportObject *self)
{
    void (*shared)(TransportObject *) = fl_transport_kind(self)->shared;
    if (shared != NULL) {
        shared(self);
    }
    return fl_transport_flush(self); /* escapes */
}

/* With an exception set, of a call that is refused: whoever catches it finds what waits
 * sent. escapes. NULL, with that exception. */
PyObject *fl_transport_refuse(TransportObject *self);

/* May what is written wait for the end of a step? Another thread's may not: the loop
 * may be asleep. */
static inline bool
fl_transport_may_defer(const LoopObject *loop)
{
    return loop->running && loop->may_defer_writes &&
           loop->thread_id == PyThread_get_thread_ident();
}

/* ---- transport_receive.c ---- */

/* Looks for the max_size. */
int
fl_transport_ask_max_size(TransportObject *self, enum fl_sized sized, Py_ssize_t *size);

/* The max_size that the program has set, or the usual one; it may be negative. escapes:
 * the transport may end. 0, or -1 with an exception. */
static inline int
fl_transport_max_size(TransportObject *self, enum fl_sized sized, Py_ssize_t *size)
{
    /* fast: nothing is looked up while the types are as they were (110 instructions a
     * read) */
    const struct fl_usual_size *usual =
        &self->source.loop->state->net.usual_sizes[sized];
    if (FL_LIKELY(
            self->dict == NULL && usual->type_version != 0 &&
            usual->type_version == Py_TYPE(self)->tp_version_tag &&
            usual->model_version == usual->model->tp_version_tag
        )) {
        *size = (Py_ssize_t)FL_RECEIVE_MAX;
        return 0;
    }
    return fl_transport_ask_max_size(self, sized, size); /* escapes */
}

/* The type's attribute max_size, as asyncio's. 0 or -1. */
int fl_transport_add_max_size(PyTypeObject *type);

/* ---- transport.c ---- */

struct fl_transport_parts {
    LoopObject *loop;
    int fd;
    PyObject *file;    /* that owns it; NULL: the transport will, also if it fails */
    PyObject *context; /* for every callback; Py_None: a copy of the current one */
};

/* A new object of that type and kind, without a protocol yet; its type's finalizer
 * closes the file from now on. New reference or NULL. */
TransportObject *fl_transport_new(
    PyTypeObject *type, const struct fl_transport_kind *kind,
    const struct fl_transport_parts *parts
);

/* The object in file, made if need be, or closed_file: one and the same for whoever
 * asks. escapes. New, or NULL with an exception. */
PyObject *fl_transport_file(TransportObject *self);
/* Closes it, or the fd. escapes. 0, or -1 with an exception. */
int fl_transport_close_file(TransportObject *self);

/* Enters it in loop._transports. escapes. 0 or -1. */
int fl_transport_enter_loop(TransportObject *self);

/* Schedules connection_made, then _begin(waiter): reading begins, and whoever waits
 * for the connection is told. waiter: Py_None if nobody does. escapes. 0 or -1. */
int fl_transport_schedule_start(TransportObject *self, PyObject *waiter);

/* loop.call_soon(callback, argument), in the transport's context if that was given.
 * escapes. 0 or -1. */
int
fl_transport_call_soon(TransportObject *self, PyObject *callback, PyObject *argument);

int fl_transport_use_protocol(TransportObject *self, PyObject *protocol);

/* transport_attrs.c */
/* What the repr says of its life. */
const char *fl_transport_state_text(const TransportObject *self);
/* The dict of a socket's transport: given, or a new one if that is Py_None. escapes.
 * 0 or -1. */
int fl_transport_fill_extra(TransportObject *self, PyObject *given);

/* Sees to it that *base, asyncio's class whose slots come first, has them, up to _extra
 * alone or all of them: see py/mirror/layout.h. 0 or -1. */
int fl_transport_provide_base(PyObject **base, bool has_limits);

/* Slots of a type; dealloc wants the count of live objects and frees the object. */
int fl_transport_traverse(PyObject *op, visitproc visit, void *arg);
int fl_transport_clear(PyObject *op);
/* Unless the finalizer has resurrected it: what comes before tp_free. */
bool fl_transport_dealloc_begins(PyObject *op);
void fl_transport_dealloc_ends(PyObject *op);
/* A transport that nobody closed: warns and closes its file. */
void fl_transport_finalize(PyObject *op);

/* ---- transport_close.c ---- */

/* The exception set is reported as asyncio does, and the transport is closed with it.
 * escapes. 0, or -1 with an exception. */
int fl_transport_fatal_error(TransportObject *self, const char *message);
/* Closes without sending; connection_lost(exc) is scheduled. escapes. 0 or -1. */
int fl_transport_force_close(TransportObject *self, PyObject *exc);
/* Calls connection_lost and gives up everything. escapes. 0, or -1. */
int fl_transport_lose(TransportObject *self, PyObject *exc);
/* Schedules the same. 0 or -1. */
int fl_transport_lose_soon(TransportObject *self, PyObject *exc);
/* loop.call_exception_handler for exc. escapes. 0 or -1. */
int fl_transport_report(TransportObject *self, const char *message, PyObject *exc);
/* In debug mode, logger.debug(format % self). escapes. 0 or -1. */
int fl_transport_debug(TransportObject *self, const char *format, PyObject *exc_info);
/* It goes on to that state, unless it is there or further. 1 if it went, else 0. */
bool fl_transport_go_on(TransportObject *self, enum fl_life to);
/* For write(): true if the connection is lost. Such writes are counted, and the warning
 * logged from the fifth on. escapes: an exception may be set. */
bool fl_transport_is_lost(TransportObject *self, const char *warning);
/* Counts a late write after so_far others, with the same. */
void
fl_transport_count_late(TransportObject *self, uint32_t so_far, const char *warning);

/* ---- transport_limits.c ---- */

/* pause_writing() and resume_writing(), where there is more or less unsent than the
 * marks. Both escape. 0, or -1 with an exception. */
int fl_transport_pause_protocol(TransportObject *self);
int fl_transport_resume_protocol(TransportObject *self);

static inline int
fl_transport_maybe_pause(TransportObject *self, size_t unsent)
{
    return unsent <= self->high_bytes || self->protocol_paused
               ? 0
               : fl_transport_pause_protocol(self);
}

static inline int
fl_transport_maybe_resume(TransportObject *self, size_t unsent)
{
    return !self->protocol_paused || unsent > self->low_bytes
               ? 0
               : fl_transport_resume_protocol(self);
}

void fl_transport_default_limits(TransportObject *self);

/* ---- for the tables of a type ---- */

PyObject *fl_transport_begin(PyObject *op, PyObject *waiter);
PyObject *fl_transport_is_closing(PyObject *op, PyObject *ignored);
PyObject *fl_transport_flush_now(PyObject *op, PyObject *ignored);
PyObject *fl_transport_share_now(PyObject *op, PyObject *ignored);
PyObject *fl_transport_get_protocol(PyObject *op, PyObject *ignored);
PyObject *fl_transport_set_protocol(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_transport_get_extra_info(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_transport_is_reading(PyObject *op, PyObject *ignored);
PyObject *fl_transport_pause_reading(PyObject *op, PyObject *ignored);
PyObject *fl_transport_resume_reading(PyObject *op, PyObject *ignored);
PyObject *fl_transport_get_size(PyObject *op, PyObject *ignored);
PyObject *fl_transport_repr(PyObject *op);
PyObject *fl_transport_close(PyObject *op, PyObject *ignored);
PyObject *fl_transport_abort(PyObject *op, PyObject *ignored);
PyObject *fl_transport_force_close_now(PyObject *op, PyObject *exc);
PyObject *fl_transport_call_connection_lost(PyObject *op, PyObject *exc);
PyObject *fl_transport_set_limits(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_transport_get_limits(PyObject *op, PyObject *ignored);

extern const char fl_transport_close_doc[];
extern const char fl_transport_abort_doc[];
extern const char fl_transport_is_closing_doc[];
extern const char fl_transport_get_extra_info_doc[];
extern const char fl_transport_set_protocol_doc[];
extern const char fl_transport_get_protocol_doc[];
extern const char fl_transport_is_reading_doc[];
extern const char fl_transport_pause_reading_doc[];
extern const char fl_transport_resume_reading_doc[];
extern const char fl_transport_set_limits_doc[];
extern const char fl_transport_get_limits_doc[];
extern const char fl_transport_get_size_doc[];

/* Of those that write. */
#define FL_TRANSPORT_ABORT \
    {"abort", fl_transport_abort, METH_NOARGS, fl_transport_abort_doc}
#define FL_TRANSPORT_METHODS                                                        \
    {"close", fl_transport_close, METH_NOARGS, fl_transport_close_doc},             \
        {"is_closing", fl_transport_is_closing, METH_NOARGS,                        \
         fl_transport_is_closing_doc},                                              \
        {"get_extra_info", FL_FASTCALL(fl_transport_get_extra_info),                \
         METH_FASTCALL | METH_KEYWORDS, fl_transport_get_extra_info_doc},           \
        {"set_protocol", FL_FASTCALL(fl_transport_set_protocol),                    \
         METH_FASTCALL | METH_KEYWORDS, fl_transport_set_protocol_doc},             \
        {"get_protocol", fl_transport_get_protocol, METH_NOARGS,                    \
         fl_transport_get_protocol_doc},                                            \
        {"_begin", fl_transport_begin, METH_O, NULL},                               \
        {"_call_connection_lost", fl_transport_call_connection_lost, METH_O, NULL}, \
    {                                                                               \
        "_force_close", fl_transport_force_close_now, METH_O, NULL                  \
    }

#define FL_TRANSPORT_READING_METHODS                                                   \
    {"is_reading", fl_transport_is_reading, METH_NOARGS, fl_transport_is_reading_doc}, \
        {"pause_reading", fl_transport_pause_reading, METH_NOARGS,                     \
         fl_transport_pause_reading_doc},                                              \
    {                                                                                  \
        "resume_reading", fl_transport_resume_reading, METH_NOARGS,                    \
            fl_transport_resume_reading_doc                                            \
    }

#define FL_TRANSPORT_WRITING_METHODS                                      \
    {"set_write_buffer_limits", FL_FASTCALL(fl_transport_set_limits),     \
     METH_FASTCALL | METH_KEYWORDS, fl_transport_set_limits_doc},         \
        {"get_write_buffer_limits", fl_transport_get_limits, METH_NOARGS, \
         fl_transport_get_limits_doc},                                    \
    {                                                                     \
        "get_write_buffer_size", fl_transport_get_size, METH_NOARGS,      \
            fl_transport_get_size_doc                                     \
    }

/* Private attributes, which asyncio's own code and packages read. */
PyObject *fl_transport_get_loop(PyObject *op, void *closure);
PyObject *fl_transport_get_extra(PyObject *op, void *closure);
PyObject *fl_transport_get_file(PyObject *op, void *closure);
PyObject *fl_transport_get_fd(PyObject *op, void *closure);
int fl_transport_put_protocol(PyObject *op, PyObject *value, void *closure);
PyObject *fl_transport_get_closing(PyObject *op, void *closure);
PyObject *fl_transport_get_conn_lost(PyObject *op, void *closure);
PyObject *fl_transport_get_connected(PyObject *op, void *closure);
PyObject *fl_transport_get_context(PyObject *op, void *closure);
PyObject *fl_transport_get_high(PyObject *op, void *closure);
PyObject *fl_transport_get_low(PyObject *op, void *closure);
PyObject *fl_transport_get_unsent(PyObject *op, void *closure);

PyObject *fl_transport_get_flag(PyObject *op, void *closure);

#define FL_TRANSPORT_FLAG(name, type, field) \
    {name, fl_transport_get_flag, NULL, NULL, (void *)offsetof(type, field)}
#define FL_TRANSPORT_OBJECT(name, type, field) \
    {name, fl_attr_get_object, NULL, NULL, (void *)offsetof(type, field)}

#define FL_TRANSPORT_GETSET                                                      \
    {"_closing", fl_transport_get_closing, NULL, NULL, NULL},                    \
        FL_TRANSPORT_FLAG("_paused", TransportObject, paused),                   \
        {"_conn_lost", fl_transport_get_conn_lost, NULL, NULL, NULL},            \
        {"_context", fl_transport_get_context, NULL, NULL, NULL},                \
        {"_extra", fl_transport_get_extra, NULL, NULL, NULL},                    \
        {"_loop", fl_transport_get_loop, NULL, NULL, NULL},                      \
        {"_protocol", fl_attr_get_object, fl_transport_put_protocol, NULL,       \
         (void *)offsetof(TransportObject, protocol)},                           \
        {"_protocol_connected", fl_transport_get_connected, NULL, NULL, NULL},   \
    {                                                                            \
        "__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL \
    }

#define FL_TRANSPORT_WRITING_GETSET                                          \
    FL_TRANSPORT_FLAG("_protocol_paused", TransportObject, protocol_paused), \
        {"_buffer_size", fl_transport_get_unsent, NULL, NULL, NULL},         \
        {"_high_water", fl_transport_get_high, NULL, NULL, NULL},            \
    {                                                                        \
        "_low_water", fl_transport_get_low, NULL, NULL, NULL                 \
    }

#define FL_TRANSPORT_SOCKET_GETSET                        \
    {"_sock", fl_transport_get_file, NULL, NULL, NULL},   \
    {                                                     \
        "_sock_fd", fl_transport_get_fd, NULL, NULL, NULL \
    }

extern PyMemberDef fl_transport_members[]; /* where weakrefs and __dict__ are */

#endif
