/* SockOp: what loop.sock_recv() and its kin return, to be awaited.
 *
 * As a coroutine it does nothing before it is awaited, is awaited once, and warns
 * if it never was. It tries its system call at once; refused, it waits until the fd
 * is ready and tries again, in the turn of whoever awaits it. So what was cancelled
 * while it waited has received nothing and lost nothing.
 *
 *   sock_op.c       the type: waiting, ending
 *   sock_receive.c  recv, recv_into, recvfrom, recvfrom_into
 *   sock_send.c     sendall, sendto
 *   sock_connect.c  connect, accept
 *   sock_sendfile.c sendfile
 *   sock_methods.c  the loop's methods
 *
 * Here only plain sockets are served: objects whose type is socket.socket itself,
 * with arguments of the usual types. All others are left to asyncio's coroutine of
 * the same name, which is then awaited in our place; so is everything where futures
 * are asyncio's own.
 */
#ifndef FASTLOOP_NET_SOCK_OP_H
#define FASTLOOP_NET_SOCK_OP_H

#include "core/loop/loop.h"
#include "net/socket.h"
#include "py/await/awaitable.h"

#define FL_SOCK_N_ARGS 5

enum fl_sock_outcome {
    FL_SOCK_DONE,    /* *result is new */
    FL_SOCK_AGAIN,   /* wait until self->fd is ready for the call's event */
    FL_SOCK_FAILED,  /* with an exception */
    FL_SOCK_FOREIGN, /* nothing was done: asyncio's turn */
};

struct SockOpObject;

struct fl_sock_call {
    const char *name; /* of the loop's method */
    uint32_t event;   /* to wait for */
    bool may_block;   /* its system call would on a blocking socket */
    enum fl_sock_outcome (*attempt)(struct SockOpObject *self, PyObject **result);
    /* The future is set when event may have come: 1; 0 if the loop shall watch the fd
     * for it; -1 with an exception. May be NULL. */
    int (*wait)(struct SockOpObject *self, PyObject *future);
    /* Called if it ends otherwise than by attempt's word; may be NULL. */
    void (*abandon)(struct SockOpObject *self);
};

typedef struct SockOpObject {
    struct fl_coroutine base;
    LoopObject *loop; /* owned; NULL once it has ended, as all that follow */
    PyObject *args[FL_SOCK_N_ARGS]; /* as given, the socket first; owned */
    PyObject *future;               /* waited for */
    Py_buffer view;                 /* held if view.obj is not NULL */
    Py_ssize_t position;            /* what is sent of it */
    const struct fl_sock_call *call;
    struct fl_state *state; /* borrowed: the type keeps the module alive */
    int fd;
    bool retrying; /* attempt was called before */
} SockOpObject;

int fl_sock_op_add_type(PyObject *module, struct fl_state *state);

/* args: FL_SOCK_N_ARGS of them, borrowed, NULL for none. New or NULL. */
PyObject *fl_sock_op_new(
    LoopObject *loop, const struct fl_sock_call *call, PyObject *const *args
);

/* ---- for the attempts ---- */

static inline PyObject *
fl_sock_of(const SockOpObject *self)
{
    return self->args[0];
}

/* To be called after what may have run user code and before a system call: the socket
 * may be closed by now, and its number another's. */
static inline void
fl_sock_look_again(SockOpObject *self)
{
    self->fd = fl_socket_fd(fl_sock_of(self));
}

/* What -1 of a system call on the socket means: AGAIN; FAILED; or DONE with nothing
 * in *result, after a signal: try again. escapes. */
enum fl_sock_outcome fl_sock_refused(int err);

/* The socket's current value of a member of _socket.socket: a C int; -1, and no
 * exception, if it cannot be had. */
int fl_sock_int(PyObject *member, PyObject *sock);

/* Its family: 0, or -1. */
int fl_sock_family(const SockOpObject *self);

/* PyLong_CheckExact, not negative, and fits: the value; else -1, no exception. */
Py_ssize_t fl_sock_size(PyObject *value);

/* sock_receive.c, sock_send.c, sock_connect.c, sock_sendfile.c */
extern const struct fl_sock_call fl_sock_recv_call;
extern const struct fl_sock_call fl_sock_recv_into_call;
extern const struct fl_sock_call fl_sock_recvfrom_call;
extern const struct fl_sock_call fl_sock_recvfrom_into_call;
extern const struct fl_sock_call fl_sock_sendall_call;
extern const struct fl_sock_call fl_sock_sendto_call;
extern const struct fl_sock_call fl_sock_connect_call;
extern const struct fl_sock_call fl_sock_accept_call;
extern const struct fl_sock_call fl_sock_sendfile_call;

/* sock_methods.c: adds the methods to the loop's type, and looks up what the calls
 * need of the socket module. 0 or -1. */
int fl_sock_add_methods(struct fl_state *state);

#endif
