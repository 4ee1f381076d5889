/* Pipe transports: what their two ends share.
 *
 *   pipe.c         making one; what users and libraries look at
 *   pipe_read.c    the end that reads
 *   pipe_write.c   the end that writes
 *
 * Imitate asyncio.unix_events._UnixReadPipeTransport and _UnixWritePipeTransport: over
 * a FIFO, a socket or a character device, whose file object they own.
 */
#ifndef FASTLOOP_NET_PIPE_H
#define FASTLOOP_NET_PIPE_H

#include "net/transport/transport.h"

#include <sys/stat.h>

typedef struct {
    TransportObject base;
    int fd; /* the file object's; base.source may watch another */
} PipeObject;

struct fl_pipe_parts {
    PyTypeObject *type;
    const struct fl_transport_kind *kind;
    const char *refusal; /* said of a file that is no pipe */
    bool reads;
};

/* What _make_read_pipe and _make_write_pipe(loop, pipe, protocol, waiter, extra) do
 * alike: a transport whose start is scheduled. ValueError for a regular file. escapes.
 * *mode: the file's. New reference or NULL. */
PipeObject *fl_pipe_make(
    const struct fl_pipe_parts *parts, PyObject *const *args, Py_ssize_t n_args,
    mode_t *mode
);

/* The file object's fd, or -1 if it was closed. escapes. */
int fl_pipe_fd(const PipeObject *self);

/* In debug mode says that the other end has gone. escapes. 0 or -1. */
int fl_pipe_note_peer_left(PipeObject *self);

/* The first words of the repr: name, state, fd, whether it polls for that event. New or
 * NULL. */
PyObject *fl_pipe_repr(const PipeObject *self, uint32_t event);

/* For struct fl_transport_kind. */
int fl_pipe_ended(TransportObject *base);
/* For the types' slots. */
void fl_pipe_dealloc(PyObject *op);
PyObject *fl_pipe_get_fileno(PyObject *op, void *closure);
int fl_pipe_set_file(PyObject *op, PyObject *value, void *closure);

#define FL_PIPE_GETSET                                              \
    {"_pipe", fl_transport_get_file, fl_pipe_set_file, NULL, NULL}, \
    {                                                               \
        "_fileno", fl_pipe_get_fileno, NULL, NULL, NULL             \
    }

int fl_pipe_read_add_type(PyObject *module, struct fl_state *state);
int fl_pipe_write_add_type(PyObject *module, struct fl_state *state);
PyObject *fl_pipe_read_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args);
PyObject *
fl_pipe_write_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

#endif
