/* StreamReaderProtocol.connection_made() in C.
 *
 * Who was to be told of a client's end, and how, differs from one asyncio to the next:
 * that callback of the task is asyncio's own, made of the code that its
 * connection_made() makes it of.
 */
#include "aio/futures.h"
#include "aio/stream/stream_protocol.h"
#include "aio/stream/stream_reader.h"
#include "py/args/call.h"
#include "py/error.h"

/* ---- what asyncio's is like ---- */

/* Whether it is `def callback(task)` over nothing but self and transport. */
static bool
is_callback(PyObject *op)
{
    if (!PyCode_Check(op)) {
        return false;
    }
    const PyCodeObject *code = (PyCodeObject *)(void *)op;
    return PyUnicode_CompareWithASCIIString(code->co_name, "callback") == 0 &&
           code->co_argcount == 1 && code->co_posonlyargcount == 0 &&
           code->co_kwonlyargcount == 0;
}

/* Whether the names are all known: an exact tuple of str. */
static bool
are_known_cells(PyObject *names)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "self") != 0 &&
            PyUnicode_CompareWithASCIIString(name, "transport") != 0) {
            return false;
        }
    }
    return true;
}

/* Finds the callback's code, and the names of what it closes over. 0 or -1. */
static int
find_callback(struct fl_aio_state *aio, PyObject *code)
{
    PyObject *consts = PyObject_GetAttrString(code, "co_consts");
    if (consts == NULL) {
        return -1;
    }
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyTuple_GET_SIZE(consts); i++) {
        PyObject *each = PyTuple_GET_ITEM(consts, i);
        if (!is_callback(each)) {
            continue;
        }
        PyObject *names = PyObject_GetAttrString(each, "co_freevars");
        if (names == NULL) {
            status = -1;
        }
        else if (are_known_cells(names)) {
            Py_XSETREF(aio->connected_code, Py_NewRef(each));
            Py_XSETREF(aio->connected_cells, Py_NewRef(names));
        }
        Py_XDECREF(names);
    }
    Py_DECREF(consts);
    return status;
}

/* Whether the code has handlers of exceptions: 1, 0 or -1. */
static int
has_handlers(PyObject *code)
{
    PyObject *table = PyObject_GetAttrString(code, "co_exceptiontable");
    return fl_call_truth(table);
}

/* 1, 0 or -1. */
static int
has_name(PyObject *function, const char *name)
{
    PyObject *names = PyObject_GetAttrString(PyFunction_GET_CODE(function), "co_names");
    if (names == NULL) {
        return -1;
    }
    int found = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *each = PyTuple_GET_ITEM(names, i);
        found |= PyUnicode_CompareWithASCIIString(each, name) == 0;
    }
    Py_DECREF(names);
    return found;
}

int
fl_stream_connect_find(struct fl_state *state)
{
    struct fl_aio_state *aio = &state->aio;
    PyTypeObject *stock = (PyTypeObject *)state->asyncio_StreamReaderProtocol;
    PyObject *made = _PyType_Lookup(stock, state->str_connection_made);
    PyObject *lost = _PyType_Lookup(stock, state->str_connection_lost);
    PyObject *init = _PyType_Lookup(stock, state->str___init__);
    if (made == NULL || lost == NULL || init == NULL || !PyFunction_Check(made) ||
        !PyFunction_Check(lost) || !PyFunction_Check(init)) {
        return 0; /* each connection is asyncio's own */
    }
    PyObject *code = PyFunction_GET_CODE(made);
    int reports = has_handlers(code);
    int keeps = reports < 0 ? -1 : has_name(made, "_stream_writer");
    int clears = keeps < 0 ? -1 : has_name(lost, "_stream_writer");
    int begins = clears < 0 ? -1 : has_name(init, "_stream_writer");
    if (begins < 0) {
        return -1;
    }
    aio->connect_reports = reports;
    aio->connect_keeps_writer = keeps;
    aio->lost_clears_writer = clears;
    aio->protocol_has_writer = begins;
    Py_XSETREF(aio->streams_globals, Py_NewRef(PyFunction_GET_GLOBALS(made)));
    return find_callback(aio, code);
}

/* ---- a server's client ---- */

/* asyncio.streams.StreamWriter, ours in the place of asyncio's own: new, or NULL. */
static PyObject *
writer_class(const struct fl_state *state)
{
    PyObject *found =
        PyDict_GetItemWithError(state->aio.streams_globals, state->str_StreamWriter);
    if (found == NULL || found == state->asyncio_StreamWriter) {
        return PyErr_Occurred() ? NULL
                                : Py_NewRef((PyObject *)state->stream_writer_type);
    }
    return Py_NewRef(found);
}

/* New, or NULL. escapes. */
static PyObject *
make_writer(const StreamProtocolObject *self, PyObject *transport, PyObject *reader)
{
    PyObject *class = writer_class(self->base.state);
    if (class == NULL) {
        return NULL;
    }
    PyObject *loop = fl_or_none(self->base.loop);
    PyObject *stack[4] = {transport, (PyObject *)(void *)self, reader, loop};
    PyObject *writer = PyObject_Vectorcall(class, stack, 4, NULL); /* escapes */
    Py_DECREF(loop);
    Py_DECREF(class);
    return writer;
}

/* asyncio's callback of the task: new, or NULL. */
static PyObject *
make_callback(const struct fl_aio_state *aio, PyObject *op, PyObject *transport)
{
    PyObject *names = aio->connected_cells;
    PyObject *callback = PyFunction_New(aio->connected_code, aio->streams_globals);
    PyObject *cells = callback == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(names));
    int status = cells == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyTuple_GET_SIZE(names); i++) {
        bool is_self =
            PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), "self") == 0;
        PyObject *cell = PyCell_New(is_self ? op : transport);
        if (cell == NULL) {
            status = -1;
        }
        else {
            PyTuple_SET_ITEM(cells, i, cell);
        }
    }
    if (status == 0) {
        status = PyFunction_SetClosure(callback, cells);
    }
    Py_XDECREF(cells);
    if (status < 0) {
        Py_CLEAR(callback);
    }
    return callback;
}

/* Runs what client_connected_cb has given as a task. escapes. 0 or -1. */
static int
start_task(StreamProtocolObject *self, PyObject *transport, PyObject *coro)
{
    const struct fl_state *state = self->base.state;
    PyObject *loop = fl_or_none(self->base.loop);
    PyObject *task = fl_aio_create_task(state, loop, coro); /* escapes */
    Py_DECREF(loop);
    if (task == NULL) {
        return -1;
    }
    Py_XSETREF(self->task, Py_NewRef(task)); /* escapes */
    PyObject *context = NULL;
    PyObject *callback =
        make_callback(&state->aio, (PyObject *)(void *)self, transport);
    int status = callback == NULL ? -1 : fl_aio_tell(state, task, callback, &context);
    Py_XDECREF(callback); /* escapes */
    Py_XDECREF(context);
    Py_DECREF(task);
    return status;
}

/* What the callback raised, as some asyncios report it: 0, or -1 with that or another
 * exception. escapes. */
static int
report(StreamProtocolObject *self, PyObject *transport)
{
    const struct fl_state *state = self->base.state;
    if (!state->aio.connect_reports || !PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    struct fl_handling handling;
    fl_handling_begin(&handling, exc);
    PyObject *context = Py_BuildValue(
        "{sssOsO}", "message", "Unhandled exception in client_connected_cb",
        "exception", exc, "transport", transport
    );
    int status = -1;
    if (context != NULL) {
        PyObject *loop = fl_or_none(self->base.loop);
        status = fl_call_status(
            PyObject_CallMethodOneArg(loop, state->str_call_exception_handler, context)
        ); /* escapes */
        Py_DECREF(loop);
        Py_DECREF(context);
    }
    if (status == 0) {
        status = fl_call_status(PyObject_CallMethodNoArgs(transport, state->str_close));
    }
    fl_handling_end(&handling); /* escapes */
    Py_DECREF(exc);
    if (status == 0) {
        Py_XSETREF(self->strong_reader, Py_NewRef(Py_None)); /* escapes */
    }
    return status;
}

/* Calls client_connected_cb. escapes. 0 or -1. */
static int
tell_of_client(StreamProtocolObject *self, PyObject *transport, PyObject *reader)
{
    const struct fl_state *state = self->base.state;
    PyObject *shown = reader == NULL ? Py_None : reader;
    PyObject *stack[2] = {shown, make_writer(self, transport, shown)};
    if (stack[1] == NULL) { /* escapes */
        return -1;
    }
    if (state->aio.connect_keeps_writer) {
        Py_XSETREF(self->writer, Py_NewRef(stack[1])); /* escapes */
    }
    PyObject *function = fl_or_none(self->connected_cb);
    PyObject *given = PyObject_Vectorcall(function, stack, 2, NULL); /* escapes */
    Py_DECREF(function);
    Py_DECREF(stack[1]);
    if (given == NULL) {
        return report(self, transport);
    }
    int status = 0;
    if (given != Py_None) {
        status = PyCoro_CheckExact(given)
                     ? 1
                     : fl_call_truth(PyObject_CallOneArg(state->iscoroutine, given));
    }
    if (status > 0) {
        status = start_task(self, transport, given); /* escapes */
    }
    Py_DECREF(given);
    if (status == 0) {
        Py_XSETREF(self->strong_reader, Py_NewRef(Py_None)); /* escapes */
    }
    return status;
}

/* ---- any connection ---- */

/* reader.set_transport(transport). escapes. 0 or -1. */
static int
set_transport(const struct fl_state *state, PyObject *reader, PyObject *transport)
{
    Py_ssize_t limit;
    if (Py_IS_TYPE(reader, state->stream_reader_type)) {
        StreamReaderObject *own = fl_stream_reader(reader);
        if (fl_stream_reader_goes_on(own, &limit) && own->transport == Py_None) {
            Py_SETREF(own->transport, Py_NewRef(transport));
            return 0;
        }
    }
    return fl_call_status(
        PyObject_CallMethodOneArg(reader, state->str_set_transport, transport)
    );
}

/* Whether it has the extra info `sslcontext`. escapes. 0 or -1. */
static int
look_for_tls(StreamProtocolObject *self, PyObject *transport)
{
    const struct fl_state *state = self->base.state;
    PyObject *context = PyObject_CallMethodOneArg(
        transport, state->str_get_extra_info, state->str_sslcontext
    ); /* escapes */
    if (context == NULL) {
        return -1;
    }
    PyObject *over = context == Py_None ? Py_False : Py_True;
    Py_XSETREF(self->over_ssl, Py_NewRef(over));
    Py_DECREF(context);
    return 0;
}

PyObject *
fl_stream_connection_made(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamProtocolObject *self = fl_stream_protocol(op);
    const struct fl_state *state = self->base.state;
    PyObject *reader = NULL;
    if (n_args != 1 || kwnames != NULL || !fl_stream_protocol_is_plain(self) ||
        self->reject != Py_False || state->aio.connected_code == NULL ||
        fl_stream_protocol_reader(self, &reader) == 0) {
        return fl_aio_stock(
            state->asyncio_StreamReaderProtocol, state->str_connection_made, op, args,
            n_args, kwnames
        );
    }
    PyObject *transport = args[0];
    Py_XSETREF(self->transport, Py_NewRef(transport)); /* escapes */
    int status = reader == NULL ? 0 : set_transport(state, reader, transport);
    if (status == 0) { /* escaped */
        status = look_for_tls(self, transport);
    }
    if (status == 0 && self->connected_cb != NULL && self->connected_cb != Py_None) {
        status = tell_of_client(self, transport, reader); /* escapes */
    }
    Py_XDECREF(reader);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}
