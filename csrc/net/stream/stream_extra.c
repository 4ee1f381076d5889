/* Extra info: the socket, its address and the peer's.
 *
 * Of an Internet connection the two addresses are kept as the kernel gives them, and
 * the dict is made when somebody asks, also after the end: an idle connection takes
 * 600 bytes less. The socket object comes into it when somebody asks for that. Other
 * families, and connections that come with a dict, have it whole at once.
 */
#include "net/address.h"
#include "net/socket.h"
#include "net/stream/stream.h"

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
    int fd = self->base.source.watch.fd;
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

int
fl_stream_note_extra(StreamObject *self, const struct fl_stream_parts *parts)
{
    if (parts->extra == Py_None && keep_addresses(self, parts->peer)) {
        return 0;
    }
    return fl_transport_fill_extra(&self->base, parts->extra);
}

/* ---- the socket object ---- */

PyObject *
fl_stream_make_socket(const TransportObject *base)
{
    const StreamObject *self = (const StreamObject *)base;
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    int family = self->local.any.sa_family;
    family = family == AF_UNSPEC ? -1 : family; /* let it find out */
    if (base->life < FL_ENDED) {
        int fd = base->source.watch.fd;
        PyObject *sock =
            fl_socket_over_fd(state, family, self->proto, fd); /* escapes */
        if (sock != NULL || !PyErr_ExceptionMatches(PyExc_OSError)) {
            return sock;
        }
        PyErr_Clear(); /* the fd was closed behind our back */
    }
    return fl_socket_closed(state, family, self->proto);
}

void
fl_stream_disown_socket(const TransportObject *base, PyObject *sock)
{
    fl_socket_disown(fl_state_of_type(Py_TYPE(base)), sock);
}

/* ---- asking ---- */

static int
add_address(PyObject *extra, PyObject *name, const union fl_inet_address *kept)
{
    PyObject *value = kept->any.sa_family == AF_UNSPEC
                          ? Py_NewRef(Py_None)
                          : fl_address_to_object(&kept->any, sizeof(*kept));
    int status = value == NULL ? -1 : PyDict_SetItem(extra, name, value);
    Py_XDECREF(value);
    return status;
}

int
fl_stream_make_extra(TransportObject *base)
{
    const StreamObject *self = (const StreamObject *)base;
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    PyObject *extra = PyDict_New(); /* escapes, as all that may collect */
    if (extra == NULL || add_address(extra, state->str_peername, &self->peer) < 0 ||
        PyDict_SetItem(extra, state->str_socket, Py_None) < 0 ||
        add_address(extra, state->str_sockname, &self->local) < 0) {
        Py_XDECREF(extra);
        return -1;
    }
    if (base->extra != NULL) { /* somebody else has made it meanwhile */
        Py_DECREF(extra);
        return 0;
    }
    base->lacks_socket = 1;
    base->extra = extra;
    return 0;
}
