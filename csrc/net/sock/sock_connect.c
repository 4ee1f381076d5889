/* sock_connect, sock_accept. */
#include "net/address.h"
#include "net/sock/sock_op.h"
#include "py/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

/* ---- connect ---- */

/* OSError(err, "Connect call failed (...)"), of the class that errno has. */
static void
raise_connect_failed(const SockOpObject *self, int err)
{
    struct sockaddr_storage address;
    socklen_t length;
    PyObject *full = NULL;
    if (fl_address_from_object(
            fl_sock_family(self), self->args[1], &address, &length
        )) {
        full = fl_address_complete(
            (const struct sockaddr *)&address, PyTuple_GET_ITEM(self->args[1], 0)
        );
    }
    if (full == NULL) { /* no memory for the address */
        if (!PyErr_Occurred()) {
            fl_raise_errno(err);
        }
        return;
    }
    PyObject *message = PyUnicode_FromFormat("Connect call failed %S", full);
    PyObject *error = message == NULL
                          ? NULL
                          : PyObject_CallFunction(PyExc_OSError, "iO", err, message);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    }
    Py_XDECREF(error);
    Py_XDECREF(message);
    Py_DECREF(full);
}

static enum fl_sock_outcome
connect_result(SockOpObject *self, PyObject **result)
{
    int err = 0;
    socklen_t size = sizeof(err);
    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0) {
        return fl_sock_refused(errno);
    }
    if (err == EAGAIN || err == EALREADY || err == EINPROGRESS || err == EINTR) {
        return FL_SOCK_AGAIN;
    }
    if (err != 0) {
        raise_connect_failed(self, err);
        return FL_SOCK_FAILED;
    }
    *result = Py_NewRef(Py_None);
    return FL_SOCK_DONE;
}

static enum fl_sock_outcome
attempt_connect(SockOpObject *self, PyObject **result)
{
    if (self->retrying) {
        return connect_result(self, result);
    }
    int kind = fl_sock_int(self->state->net.socket_type, fl_sock_of(self));
    int proto = fl_sock_int(self->state->net.socket_proto, fl_sock_of(self));
    struct sockaddr_storage address;
    socklen_t length;
    /* other kinds of sockets, and names, are resolved first */
    if ((kind != SOCK_STREAM && kind != SOCK_DGRAM) ||
        (proto != 0 && proto != IPPROTO_TCP && proto != IPPROTO_UDP) ||
        !fl_address_from_object(
            fl_sock_family(self), self->args[1], &address, &length
        )) {
        return FL_SOCK_FOREIGN;
    }
    if (PySys_Audit("socket.connect", "OO", fl_sock_of(self), self->args[1]) < 0) {
        return FL_SOCK_FAILED;
    }
    fl_sock_look_again(self);
    if (connect(self->fd, (const struct sockaddr *)&address, length) < 0) {
        if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
            return FL_SOCK_AGAIN;
        }
        return fl_sock_refused(errno);
    }
    *result = Py_NewRef(Py_None);
    return FL_SOCK_DONE;
}

/* ---- accept ---- */

/* socket.socket(family, type, proto, fileno=fd), non-blocking; owns fd. */
static PyObject *
make_socket(const SockOpObject *self, int fd)
{
    const struct fl_net_state *net = &self->state->net;
    PyObject *sock = fl_sock_of(self);
    PyObject *made = PyObject_CallFunction(
        self->state->socket, "iiii", fl_sock_int(net->socket_family, sock),
        fl_sock_int(net->socket_type, sock) | SOCK_NONBLOCK,
        fl_sock_int(net->socket_proto, sock), fd
    ); /* escapes */
    if (made == NULL) {
        (void)close(fd);
    }
    return made;
}

static enum fl_sock_outcome
attempt_accept(SockOpObject *self, PyObject **result)
{
    if (!fl_address_knows(fl_sock_family(self)) ||
        !fl_socket_class_is_plain(self->state)) {
        return FL_SOCK_FOREIGN;
    }
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    int fd = accept4(
        self->fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC
    );
    if (fd < 0) {
        return fl_sock_refused(errno);
    }
    if (!self->loop->closed) {
        fl_loop_drop_stale_watch(self->loop, fd); /* escapes */
    }
    PyObject *accepted = make_socket(self, fd);
    PyObject *peer =
        accepted == NULL
            ? NULL
            : fl_address_to_object((const struct sockaddr *)&address, length);
    *result = peer == NULL ? NULL : PyTuple_Pack(2, accepted, peer);
    Py_XDECREF(accepted);
    Py_XDECREF(peer);
    return *result == NULL ? FL_SOCK_FAILED : FL_SOCK_DONE;
}

const struct fl_sock_call fl_sock_connect_call = {
    .name = "sock_connect",
    .event = FL_POLL_WRITE,
    .may_block = true,
    .attempt = attempt_connect
};
const struct fl_sock_call fl_sock_accept_call = {
    .name = "sock_accept",
    .event = FL_POLL_READ,
    .may_block = true,
    .attempt = attempt_accept
};
