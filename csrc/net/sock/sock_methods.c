/* The loop's sock_… methods: arguments in, a SockOp out. */
#include "net/sock/sock_op.h"
#include "py/args/keywords.h"
#include "py/state/tables.h"

static PyObject *
make_op(
    PyObject *op, const struct fl_sock_call *call, struct fl_keywords expected,
    PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *values[FL_KEYWORDS_MAX] = {NULL};
    expected.function = call->name;
    if (n_args != expected.n || kwnames != NULL) {
        if (fl_keywords_parse(&expected, args, n_args, kwnames, values) < 0) {
            return NULL;
        }
        args = values;
    }
    else if (n_args < FL_SOCK_N_ARGS) {
        for (Py_ssize_t i = 0; i < n_args; i++) {
            values[i] = args[i];
        }
        args = values;
    }
    return fl_sock_op_new((LoopObject *)op, call, args);
}

/* expected: the names of all parameters; the first required ones are. */
#define METHOD(name, n_required, n, ...)                                             \
    static PyObject *loop_##name(                                                    \
        PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames    \
    )                                                                                \
    {                                                                                \
        const struct fl_state *state = ((LoopObject *)op)->state;                    \
        const struct fl_keywords expected = {NULL, n, n_required, n, {__VA_ARGS__}}; \
        return make_op(op, &fl_##name##_call, expected, args, n_args, kwnames);      \
    }

METHOD(sock_recv, 2, 2, state->str_sock, state->str_n)
METHOD(sock_recv_into, 2, 2, state->str_sock, state->str_buf)
METHOD(sock_recvfrom, 2, 2, state->str_sock, state->str_bufsize)
METHOD(sock_recvfrom_into, 2, 3, state->str_sock, state->str_buf, state->str_nbytes)
METHOD(sock_sendall, 2, 2, state->str_sock, state->str_data)
METHOD(sock_sendto, 3, 3, state->str_sock, state->str_data, state->str_address)
METHOD(sock_connect, 2, 2, state->str_sock, state->str_address)
METHOD(sock_accept, 1, 1, state->str_sock)

static PyObject *
loop_sock_sendfile(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    const struct fl_state *state = ((LoopObject *)op)->state;
    const struct fl_keywords expected = {
        "sock_sendfile",
        4,
        2,
        5,
        {state->str_sock, state->str_file, state->str_offset, state->str_count,
         state->str_fallback}
    };
    PyObject *zero = PyLong_FromLong(0);
    PyObject *values[FL_KEYWORDS_MAX] = {NULL, NULL, zero, Py_None, Py_True};
    PyObject *made = NULL;
    if (zero != NULL &&
        fl_keywords_parse(&expected, args, n_args, kwnames, values) == 0) {
        made = fl_sock_op_new((LoopObject *)op, &fl_sock_sendfile_call, values);
    }
    Py_XDECREF(zero);
    return made;
}

PyDoc_STRVAR(
    recv_doc, "sock_recv($self, sock, n)\n--\n\n"
              "Await up to n bytes from the socket; b'' at the end of the stream."
);
PyDoc_STRVAR(
    recv_into_doc, "sock_recv_into($self, sock, buf)\n--\n\n"
                   "Await bytes from the socket, put into a writable buffer; the\n"
                   "result is their number."
);
PyDoc_STRVAR(
    recvfrom_doc, "sock_recvfrom($self, sock, bufsize)\n--\n\n"
                  "Await a datagram of up to bufsize bytes: (bytes, address)."
);
PyDoc_STRVAR(
    recvfrom_into_doc,
    "sock_recvfrom_into($self, sock, buf, nbytes=0)\n--\n\n"
    "Await a datagram, put into a writable buffer: (number of bytes, address).\n\n"
    "nbytes: the most to take; 0 for what the buffer holds."
);
PyDoc_STRVAR(
    sendall_doc, "sock_sendall($self, sock, data)\n--\n\n"
                 "Send all of a bytes-like object. After an error nobody knows how\n"
                 "much of it was."
);
PyDoc_STRVAR(
    sendto_doc, "sock_sendto($self, sock, data, address)\n--\n\n"
                "Send a datagram to address; the result is the number of bytes sent."
);
PyDoc_STRVAR(
    connect_doc, "sock_connect($self, sock, address)\n--\n\n"
                 "Connect the socket to address. A host name is resolved first."
);
PyDoc_STRVAR(
    accept_doc,
    "sock_accept($self, sock)\n--\n\n"
    "Await a connection of a listening socket: (non-blocking socket, address)."
);
PyDoc_STRVAR(
    sendfile_doc,
    "sock_sendfile($self, sock, file, offset=0, count=None, *, fallback=True)\n--\n\n"
    "Send a file opened in binary mode, from offset on, count bytes or to its end;\n"
    "the result is the number of bytes sent, and the file stands behind them.\n\n"
    "fallback: read and send what sendfile(2) does not; else such a file raises\n"
    "asyncio.SendfileNotAvailableError."
);

#define ENTRY(name, doc) \
    {#name, FL_FASTCALL(loop_##name), METH_FASTCALL | METH_KEYWORDS, doc}

static PyMethodDef sock_methods[] = {
    ENTRY(sock_recv, recv_doc),         ENTRY(sock_recv_into, recv_into_doc),
    ENTRY(sock_recvfrom, recvfrom_doc), ENTRY(sock_recvfrom_into, recvfrom_into_doc),
    ENTRY(sock_sendall, sendall_doc),   ENTRY(sock_sendto, sendto_doc),
    ENTRY(sock_connect, connect_doc),   ENTRY(sock_accept, accept_doc),
    ENTRY(sock_sendfile, sendfile_doc), {NULL, NULL, 0, NULL},
};

/* Later patch releases set a file's position also when nothing of it was sent: their
 * helper for it is not told how much was. */
static void
read_sendfile_habit(struct fl_state *state)
{
    PyObject *function = PyObject_GetAttrString(
        state->SelectorEventLoop, "_sock_sendfile_update_filepos"
    );
    PyObject *code =
        function == NULL ? NULL : PyObject_GetAttrString(function, "__code__");
    PyObject *count = code == NULL ? NULL : PyObject_GetAttrString(code, "co_argcount");
    long n = count == NULL ? -1 : PyLong_AsLong(count);
    Py_XDECREF(count);
    Py_XDECREF(code);
    Py_XDECREF(function);
    PyErr_Clear();
    state->net.sendfile_always_seeks = n != 4;
}

int
fl_sock_add_methods(struct fl_state *state)
{
    struct fl_net_state *net = &state->net;

    const struct {
        PyObject **field;
        PyObject *owner;
        const char *name;
    } wanted[] = {
        {&net->socket_gettimeout, state->base_socket, "gettimeout"},
        {&net->socket_family, state->base_socket, "family"},
        {&net->socket_type, state->base_socket, "type"},
        {&net->socket_proto, state->base_socket, "proto"},
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *wanted[i].field = PyObject_GetAttrString(wanted[i].owner, wanted[i].name);
        if (*wanted[i].field == NULL) {
            return -1;
        }
    }
    if (fl_socket_prepare(state) < 0) {
        return -1;
    }
    read_sendfile_habit(state);
    net->kw_fallback = PyTuple_Pack(1, state->str_fallback);
    return net->kw_fallback == NULL ? -1
                                    : fl_add_methods(state->loop_type, sock_methods);
}
