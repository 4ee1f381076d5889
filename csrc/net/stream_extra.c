/* Extra info: the socket, its address and the peer's.
 *
 * Of an Internet connection the two addresses are kept as the kernel gives them, and
 * the dict is made when somebody asks, also after the end: an idle connection takes
 * 600 bytes less. Other families, and connections that come with a dict, have it at
 * once.
 */
#include "net/socket.h"
#include "net/stream.h"

#include <string.h>

/* ---- noting ---- */

static bool
keep_address(union fl_inet_address *kept, const struct sockaddr_storage *address)
{
    if (address->ss_family != AF_INET && address->ss_family != AF_INET6) {
        return false;
    }
    memcpy(kept, address, sizeof(*kept));
    return true;
}

/* True if both addresses are kept; a peer that has left already has none. */
static bool
keep_addresses(StreamObject *self, const struct sockaddr_storage *peer)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    void *any = &address;
    int fd = self->source.watch.fd;
    if (getsockname(fd, any, &size) < 0 || !keep_address(&self->local, &address)) {
        return false;
    }
    if (peer != NULL) {
        return keep_address(&self->peer, peer);
    }
    size = sizeof(address);
    if (getpeername(fd, any, &size) == 0) {
        (void)keep_address(&self->peer, &address);
    }
    return true;
}

/* extra[name] = what the socket's method says, None if it fails. */
static int
ask_address(StreamObject *self, PyObject *name, PyObject *method)
{
    PyObject *address = PyObject_CallMethodNoArgs(self->sock, method);
    if (address == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OSError)) {
            return -1;
        }
        PyErr_Clear();
        address = Py_NewRef(Py_None);
    }
    int status = PyObject_SetItem(self->extra, name, address);
    Py_DECREF(address);
    return status;
}

static int
add_socket(PyObject *extra, const struct fl_state *state, PyObject *sock)
{
    PyObject *shown = PyObject_CallOneArg(state->TransportSocket, sock);
    int status = shown == NULL ? -1 : PyObject_SetItem(extra, state->str_socket, shown);
    Py_XDECREF(shown);
    return status;
}

int
fl_stream_note_extra(StreamObject *self, const struct fl_stream_parts *parts)
{
    const struct fl_state *state = self->source.loop->state;
    bool given = parts->extra != Py_None;
    if (!given && keep_addresses(self, parts->peer)) {
        return 0;
    }
    self->extra = given ? Py_NewRef(parts->extra) : PyDict_New();
    if (self->extra == NULL || add_socket(self->extra, state, self->sock) < 0 ||
        ask_address(self, state->str_sockname, state->str_getsockname) < 0) {
        return -1;
    }
    int known = PySequence_Contains(self->extra, state->str_peername);
    if (known != 0) {
        return known < 0 ? -1 : 0;
    }
    return ask_address(self, state->str_peername, state->str_getpeername);
}

/* ---- asking ---- */

static int
add_address(PyObject *extra, PyObject *name, const union fl_inet_address *kept)
{
    struct sockaddr_storage address = {0};
    memcpy(&address, kept, sizeof(*kept));
    PyObject *value = fl_socket_address(&address, sizeof(*kept));
    int status = value == NULL ? -1 : PyDict_SetItem(extra, name, value);
    Py_XDECREF(value);
    return status;
}

PyObject *
fl_stream_extra(StreamObject *self)
{
    if (self->extra != NULL) {
        return self->extra;
    }
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    PyObject *sock = self->sock != NULL ? self->sock : self->closed_sock;
    PyObject *extra = PyDict_New();
    if (extra == NULL || (sock != NULL && add_socket(extra, state, sock) < 0) ||
        add_address(extra, state->str_sockname, &self->local) < 0 ||
        add_address(extra, state->str_peername, &self->peer) < 0) {
        Py_XDECREF(extra);
        return NULL;
    }
    self->extra = extra;
    return extra;
}
