/* The type of TLS protocols: attributes, and what asyncio's classes give. */
#include "tls/protocol.h"

#include "py/state/tables.h"

/* ---- the SSL of a Python object ---- */

/* Where CPython has it, 3.11 to 3.15, in words. A newer one is found out: the words
 * around it are known. */
enum {
    SOCKET_OWNER = 2, /* of an _ssl._SSLSocket: None, or nothing, if made by wrap_bio */
    SOCKET_SSL = 3,
    SOCKET_CONTEXT = 4, /* the _ssl._SSLContext */
    SOCKET_WORDS = 5,
    CONTEXT_CTX = 2, /* of an _ssl._SSLContext */
    CONTEXT_WORDS = 3,
};

static void *
word(PyObject *op, size_t index)
{
    return ((void **)(void *)op)[index];
}

static bool
has_words(PyObject *op, size_t n)
{
    return Py_TYPE(op)->tp_basicsize >= (Py_ssize_t)(n * sizeof(void *));
}

/* The engine drives that object, of the exact type, if it looks as expected. */
static bool
attach(TlsObject *self, PyObject *socket, PyObject *context)
{
    const struct fl_openssl *openssl = self->module->tls.openssl;
    if (openssl == NULL || !has_words(socket, SOCKET_WORDS) ||
        !has_words(context, CONTEXT_WORDS) ||
        word(socket, SOCKET_CONTEXT) != (void *)context) {
        return false;
    }
    void *owner = word(socket, SOCKET_OWNER);
    return (owner == NULL || owner == (void *)Py_None) &&
           fl_tls_attach(
               &self->engine, openssl, (struct ssl_st *)word(socket, SOCKET_SSL),
               (struct ssl_ctx_st *)word(context, CONTEXT_CTX)
           );
}

static PyObject *
tls_adopt(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TlsObject *self = (TlsObject *)op;
    if (self->sslobj == NULL || self->driven != NULL) {
        Py_RETURN_FALSE;
    }
    PyObject *socket = PyObject_GetAttrString(self->sslobj, "_sslobj"); /* escapes */
    if (socket == NULL) {
        return NULL;
    }
    PyObject *context = NULL;
    bool drives = false;
    if ((PyObject *)Py_TYPE(socket) == self->module->tls.socket_class) {
        context = PyObject_GetAttrString(socket, "context");
        drives = context != NULL && self->driven == NULL && /* looked again */
                 attach(self, socket, context);
    }
    if (drives) {
        self->driven = Py_NewRef(socket);
        self->base.calls = &fl_tls_calls;
    }
    Py_XDECREF(context);
    Py_DECREF(socket);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(drives);
}

/* ---- what asyncio's classes give ---- */

static int
keep(PyObject **place, PyObject *namespace, const char *name)
{
    Py_XSETREF(*place, PyObject_GetAttrString(namespace, name));
    return *place == NULL ? -1 : 0;
}

/* From asyncio.sslproto. 0 or -1. */
static int
keep_names(struct fl_tls_state *tls, PyObject *sslproto)
{
    PyObject *states = PyObject_GetAttrString(sslproto, "SSLProtocolState");
    int status = states == NULL ? -1 : 0;
    if (status < 0 || keep(&tls->protocol_class, sslproto, "SSLProtocol") < 0 ||
        keep(&tls->transport_class, sslproto, "_SSLProtocolTransport") < 0 ||
        keep(&tls->again, sslproto, "SSLAgainErrors") < 0 ||
        keep(&tls->wrapped, states, "WRAPPED") < 0 ||
        keep(&tls->flushing, states, "FLUSHING") < 0 ||
        keep(&tls->handshaking, states, "DO_HANDSHAKE") < 0 ||
        keep(&tls->shutting_down, states, "SHUTDOWN") < 0) {
        status = -1;
    }
    Py_XDECREF(states);
    return status;
}

PyObject *
fl_tls_set_up(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_tls_state *tls = &fl_state_of_module(module)->tls;
    if (n_args != 4) {
        PyErr_SetString(PyExc_TypeError, "_tls_set_up() takes what TLS needs");
        return NULL;
    }
    if (tls->openssl != NULL) {
        Py_RETURN_TRUE;
    }
    const char *path = PyUnicode_AsUTF8(args[2]);
    unsigned long version = path == NULL ? 0 : PyLong_AsUnsignedLong(args[3]);
    if (path == NULL || (version == (unsigned long)-1 && PyErr_Occurred()) ||
        keep_names(tls, args[0]) < 0) {
        return NULL;
    }
    Py_XSETREF(tls->socket_class, Py_NewRef(args[1]));
    struct fl_openssl *openssl = fl_openssl_find(path, version);
    if (openssl != NULL && !fl_tls_bio_prepare(openssl)) {
        fl_openssl_free(openssl);
        openssl = NULL;
    }
    tls->openssl = openssl;
    return PyBool_FromLong(openssl != NULL);
}

/* ---- life ---- */

/* New, of a class that derives from this half, or NULL. */
static PyObject *
other_half_of(PyTypeObject *type, const PyTypeObject *half)
{
    if (type == half) {
        PyErr_Format(PyExc_TypeError, "cannot create '%s' instances", type->tp_name);
        return NULL;
    }
    return FL_SLOT_POINTER(type->tp_alloc(type, 0));
}

static PyObject *
tls_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    struct fl_state *state = fl_state_of_type(type);
    PyObject *op = state == NULL ? NULL : other_half_of(type, state->tls_type);
    if (op != NULL) {
        ((TlsObject *)op)->module = state;
    }
    return op;
}

static int
tls_traverse(PyObject *op, visitproc visit, void *arg)
{
    TlsObject *self = (TlsObject *)op;
    Py_VISIT(Py_TYPE(op));
#define FL_VISIT(field) Py_VISIT(self->field);
    FL_TLS_ATTRIBUTES(FL_VISIT)
#undef FL_VISIT
    Py_VISIT(self->driven);
    return 0;
}

static int
tls_clear(PyObject *op)
{
    TlsObject *self = (TlsObject *)op;
    self->base.calls = NULL;
    fl_tls_detach(&self->engine);
#define FL_CLEAR(field) Py_CLEAR(self->field);
    FL_TLS_ATTRIBUTES(FL_CLEAR)
#undef FL_CLEAR
    Py_CLEAR(self->driven);
    return 0;
}

static void
tls_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    tls_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

/* ---- the type ---- */

static PyObject *
get_max_size(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(((TlsObject *)op)->driven == NULL ? 0 : FL_TLS_MAX_SIZE);
}

static PyGetSetDef tls_getset[] = {
    {"max_size", get_max_size, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef tls_members[] = {
#define FL_MEMBER(field) {"_" #field, T_OBJECT_EX, offsetof(TlsObject, field), 0, NULL},
    FL_TLS_ATTRIBUTES(FL_MEMBER)
#undef FL_MEMBER
        {NULL, 0, 0, 0, NULL},
};

static PyMethodDef tls_methods[] = {
    {"_adopt", tls_adopt, METH_NOARGS, NULL},
    {"_control_app_writing", fl_tls_control_app_writing, METH_NOARGS, NULL},
    {"_control_ssl_reading", fl_tls_control_ssl_reading, METH_NOARGS, NULL},
    {"_do_read", fl_tls_do_read, METH_NOARGS, NULL},
    {"_connection_lost", fl_tls_connection_lost, METH_O, NULL},
    {"_process_outgoing", fl_tls_process_outgoing, METH_NOARGS, NULL},
    {"_write_appdata", fl_tls_write_appdata, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static const char tls_doc[] = "The C half of asyncio.sslproto.SSLProtocol.";

static PyType_Slot tls_slots[] = {
    {Py_tp_doc, (void *)tls_doc},
    {Py_tp_new, tls_new},
    {Py_tp_dealloc, tls_dealloc},
    {Py_tp_traverse, tls_traverse},
    {Py_tp_clear, tls_clear},
    {Py_tp_getset, tls_getset},
    {Py_tp_members, tls_members},
    {Py_tp_methods, tls_methods},
    {0, NULL},
};

static PyType_Spec tls_spec = {
    .name = "fastloop._core._Tls",
    .basicsize = sizeof(TlsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = tls_slots,
};

/* ---- the transport's methods ---- */

static PyMethodDef transport_methods[] = {
    {"write", FL_FASTCALL(fl_tls_transport_write), METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\n"
     "Send data: bytes, bytearray or memoryview, as it is now, encrypted."},
    {NULL, NULL, 0, NULL},
};

static PyObject *
transport_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    const struct fl_state *state = fl_state_of_type(type);
    return state == NULL ? NULL : other_half_of(type, state->tls_transport_type);
}

static const char transport_doc[] =
    "The C half of asyncio.sslproto._SSLProtocolTransport.";

static PyType_Slot transport_slots[] = {
    {Py_tp_doc, (void *)transport_doc},
    {Py_tp_new, transport_new},
    {Py_tp_methods, transport_methods},
    {0, NULL},
};

/* It has no fields: asyncio's class, which has, comes beside it. */
static PyType_Spec transport_spec = {
    .name = "fastloop._core._TlsTransport",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = transport_slots,
};

int
fl_tls_add_types(PyObject *module, struct fl_state *state)
{
    if (fl_make_type(
            &state->tls_type, module, &tls_spec, (PyObject *)state->protocol_type
        ) < 0 ||
        fl_make_type(&state->tls_transport_type, module, &transport_spec, NULL) < 0 ||
        PyModule_AddType(module, state->tls_type) < 0) {
        return -1;
    }
    return PyModule_AddType(module, state->tls_transport_type);
}
