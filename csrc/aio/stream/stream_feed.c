/* From the receive into a reader's buffer. */
#include "aio/stream/stream_feed.h"

#include "aio/futures.h"
#include "aio/stream/stream_protocol.h"
#include "aio/stream/stream_reader.h"
#include "py/bytearray.h"

/* ---- whether nothing is replaced ---- */

int
fl_stream_has_method(PyObject *op, PyObject *name, PyObject *function)
{
    PyObject *method = PyObject_GetAttr(op, name);
    if (method == NULL) {
        return -1;
    }
    bool same = PyMethod_Check(method) && PyMethod_GET_FUNCTION(method) == function;
    Py_DECREF(method);
    return same;
}

/* Whether the classes have what they had in the beginning: a load and a compare each
 * while nothing was changed. */
static bool
are_classes_known(struct fl_state *state)
{
    struct fl_aio_state *aio = &state->aio;
    const PyTypeObject *protocol = (PyTypeObject *)state->asyncio_StreamReaderProtocol;
    const PyTypeObject *reader = (PyTypeObject *)state->asyncio_StreamReader;
    if (aio->fed_versions[0] != 0 && aio->fed_versions[0] == protocol->tp_version_tag &&
        aio->fed_versions[1] == reader->tp_version_tag) {
        return true;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(aio->fed_members); i += 3) {
        PyTypeObject *type = (PyTypeObject *)PyList_GET_ITEM(aio->fed_members, i);
        PyObject *name = PyList_GET_ITEM(aio->fed_members, i + 1);
        if (_PyType_Lookup(type, name) != PyList_GET_ITEM(aio->fed_members, i + 2)) {
            return false;
        }
    }
    aio->fed_versions[0] = protocol->tp_version_tag;
    aio->fed_versions[1] = reader->tp_version_tag;
    return true;
}

/* ---- asyncio's reader ---- */

enum field { EOF_FLAG, BUFFER, WAITER, TRANSPORT, PAUSED, LIMIT, N_FIELDS };

struct fields {
    PyObject *of[N_FIELDS];
};

static void
drop_fields(struct fields *fields)
{
    for (int i = 0; i < N_FIELDS; i++) {
        Py_XDECREF(fields->of[i]);
    }
}

/* 0 or -1. escapes. */
static int
get_fields(const struct fl_state *state, PyObject *reader, struct fields *fields)
{
    PyObject *const names[N_FIELDS] = {
        [EOF_FLAG] = state->str__eof,  [BUFFER] = state->str__buffer,
        [WAITER] = state->str__waiter, [TRANSPORT] = state->str__transport,
        [PAUSED] = state->str__paused, [LIMIT] = state->str__limit,
    };
    *fields = (struct fields){{NULL}};
    for (int i = 0; i < N_FIELDS; i++) {
        fields->of[i] = PyObject_GetAttr(reader, names[i]);
        if (fields->of[i] == NULL) {
            drop_fields(fields);
            return -1;
        }
    }
    return 0;
}

/* Whether it is fed without a call: nobody has a view, and its limit is not passed. */
static bool
has_room(const struct fields *fields, Py_ssize_t size)
{
    PyObject *buffer = fields->of[BUFFER];
    Py_ssize_t limit;
    return fields->of[EOF_FLAG] == Py_False && PyByteArray_CheckExact(buffer) &&
           !fl_bytearray_is_viewed(buffer) &&
           (fields->of[TRANSPORT] == Py_None || fields->of[PAUSED] == Py_True ||
            (fl_stream_is_size(fields->of[LIMIT], &limit) && limit > 0 &&
             (size_t)(Py_SIZE(buffer) + size) <= 2 * (size_t)limit));
}

static int
wake_up(const struct fl_state *state, PyObject *reader, PyObject *waiter)
{
    if (waiter == Py_None) {
        return 0;
    }
    if (PyObject_SetAttr(reader, state->str__waiter, Py_None) < 0) { /* escapes */
        return -1;
    }
    int cancelled = fl_aio_is_cancelled(state, waiter); /* escapes */
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    return fl_aio_set_result(state, waiter, Py_None); /* escapes */
}

/* 1 if it was fed, 0 if it must be called, or -1. escapes. */
static int
feed_stock(struct fl_state *state, PyObject *reader, const char *data, Py_ssize_t size)
{
    const struct fl_aio_state *aio = &state->aio;
    int known =
        fl_stream_has_method(reader, state->str_feed_data, aio->stock_feed_data);
    if (known > 0) {
        known = fl_stream_has_method(
            reader, state->str__wakeup_waiter, aio->stock_wakeup_waiter
        );
    }
    struct fields fields;
    if (known <= 0 || get_fields(state, reader, &fields) < 0) {
        return known <= 0 ? known : -1;
    }
    int status = 0;
    if (has_room(&fields, size)) {
        status = fl_bytearray_append(fields.of[BUFFER], data, size);
        if (status == 0) {
            status = wake_up(state, reader, fields.of[WAITER]); /* escapes */
        }
        status = status < 0 ? -1 : 1;
    }
    drop_fields(&fields);
    return status;
}

/* ---- the protocol ---- */

/* Its reader: 1 and new, or 1 and NULL if it has none any more; 0 if it must be asked;
 * or -1. escapes. */
static int
find_reader(const struct fl_state *state, PyObject *protocol, PyObject **reader)
{
    *reader = NULL;
    PyObject *reference = PyObject_GetAttr(protocol, state->str__stream_reader_wr);
    if (reference == NULL) {
        return -1;
    }
    int status = 1;
    if (PyWeakref_CheckRefExact(reference)) {
        *reader = fl_weakref_target(reference);
    }
    else {
        status = reference == Py_None;
    }
    Py_DECREF(reference);
    return status;
}

/* Asyncio's protocol, or ours: 1 and its reader, as find_reader has it; 0 or -1.
 * escapes. */
static int
look_at_protocol(struct fl_state *state, PyObject *protocol, PyObject **reader)
{
    *reader = NULL;
    if (Py_IS_TYPE(protocol, state->stream_protocol_type)) {
        StreamProtocolObject *own = fl_stream_protocol(protocol);
        return fl_stream_protocol_is_plain(own) ? fl_stream_protocol_reader(own, reader)
                                                : 0;
    }
    if (!are_classes_known(state)) {
        return 0;
    }
    int known = fl_stream_has_method(
        protocol, state->str_data_received, state->aio.stock_data_received
    );
    return known > 0 ? find_reader(state, protocol, reader) : known; /* escapes */
}

/* As fl_net_state's feed. bytes: the object that data is, or NULL. */
static int
feed_either(
    struct fl_state *state, PyObject *protocol, const char *data, Py_ssize_t size,
    PyObject *bytes
)
{
    PyObject *reader;
    int known = look_at_protocol(state, protocol, &reader); /* escapes */
    if (known <= 0 || reader == NULL) {
        return known;
    }
    int status = 0;
    Py_ssize_t limit;
    if (Py_IS_TYPE(reader, state->stream_reader_type)) {
        StreamReaderObject *own = fl_stream_reader(reader);
        if (fl_stream_reader_is_plain(own, &limit) && own->eof == Py_False) {
            int fed = bytes != NULL ? fl_stream_reader_give(own, bytes) /* escapes */
                                    : fl_stream_reader_feed(own, data, size);
            status = fed < 0 ? -1 : 1;
        }
    }
    else if (
        Py_IS_TYPE(reader, (PyTypeObject *)state->asyncio_StreamReader) &&
        are_classes_known(state)
    ) {
        status = feed_stock(state, reader, data, size); /* escapes */
    }
    Py_DECREF(reader);
    return status;
}

static int
feed(struct fl_state *state, PyObject *protocol, const char *data, Py_ssize_t size)
{
    return feed_either(state, protocol, data, size, NULL); /* escapes */
}

/* As fl_net_state's give. */
static int
give(struct fl_state *state, PyObject *protocol, PyObject *bytes)
{
    return feed_either(
        state, protocol, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), bytes
    ); /* escapes */
}

/* As fl_net_state's wanted. */
static ssize_t
wanted(struct fl_state *state, PyObject *protocol)
{
    StreamProtocolObject *own = fl_stream_protocol(protocol);
    PyObject *reader;
    if (!Py_IS_TYPE(protocol, state->stream_protocol_type) ||
        !fl_stream_protocol_is_plain(own) ||
        fl_stream_protocol_reader(own, &reader) <= 0 || reader == NULL) {
        return 0;
    }
    Py_ssize_t size = Py_IS_TYPE(reader, state->stream_reader_type)
                          ? fl_stream_reader_wanted(fl_stream_reader(reader))
                          : 0;
    Py_DECREF(reader); /* escapes */
    return size;
}

/* ---- the offer ---- */

/* Notes what the class has under that name, which may be kept in *found, too. 0 or -1.
 */
static int
note(struct fl_state *state, PyObject *type, PyObject *name, PyObject **found)
{
    PyObject *member = _PyType_Lookup((PyTypeObject *)type, name);
    PyObject *members = state->aio.fed_members;
    if (member == NULL || PyList_Append(members, type) < 0 ||
        PyList_Append(members, name) < 0 || PyList_Append(members, member) < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetObject(PyExc_AttributeError, name);
        }
        return -1;
    }
    if (found != NULL) {
        Py_XSETREF(*found, Py_NewRef(member));
    }
    return 0;
}

int
fl_stream_feed_offer(struct fl_state *state)
{
    struct fl_aio_state *aio = &state->aio;
    PyObject *protocol = state->asyncio_StreamReaderProtocol;
    PyObject *reader = state->asyncio_StreamReader;
    aio->fed_members = PyList_New(0);
    if (aio->fed_members == NULL ||
        note(state, protocol, state->str___getattribute__, NULL) < 0 ||
        note(state, protocol, state->str__stream_reader, NULL) < 0 ||
        note(state, protocol, state->str_data_received, &aio->stock_data_received) <
            0 ||
        note(state, reader, state->str___getattribute__, NULL) < 0 ||
        note(state, reader, state->str___setattr__, NULL) < 0 ||
        note(state, reader, state->str_feed_data, &aio->stock_feed_data) < 0 ||
        note(state, reader, state->str__wakeup_waiter, &aio->stock_wakeup_waiter) < 0) {
        return -1;
    }
    state->net.fed_types[0] = (PyTypeObject *)protocol;
    state->net.feed = feed;
    state->net.wanted = wanted;
    state->net.give = give;
    return 0;
}
