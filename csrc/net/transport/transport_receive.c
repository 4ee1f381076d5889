/* How much one event may bring: max_size.
 *
 * asyncio asks for the attribute max_size at each event, so a program can set it on a
 * transport or on its class at any time. The class may be asyncio's own, too, which
 * ours stand in for.
 */
#include "net/transport/transport.h"

static PyTypeObject *
model_of(const struct fl_state *state, enum fl_sized sized)
{
    PyObject *const models[FL_N_SIZED] = {
        [FL_SIZED_STREAM] = state->SocketModel,
        [FL_SIZED_DATAGRAM] = state->DatagramModel,
        [FL_SIZED_PIPE] = state->PipeModel,
    };
    return (PyTypeObject *)models[sized];
}

static bool
is_usual(struct fl_state *state, PyTypeObject *type, enum fl_sized sized)
{
    PyTypeObject *model = model_of(state, sized);
    PyObject *models = _PyType_Lookup(model, state->str_max_size);
    if (_PyType_Lookup(type, state->str_max_size) != state->net.max_size ||
        models == NULL || !PyLong_CheckExact(models)) {
        return false;
    }
    if (PyLong_AsSsize_t(models) != (Py_ssize_t)FL_RECEIVE_MAX) {
        PyErr_Clear();
        return false;
    }
    state->net.usual_sizes[sized] = (struct fl_usual_size){
        .type_version = model->tp_version_tag != 0 ? type->tp_version_tag : 0,
        .model_version = model->tp_version_tag,
        .model = model,
    };
    return true;
}

int
fl_transport_ask_max_size(TransportObject *self, enum fl_sized sized, Py_ssize_t *size)
{
    PyTypeObject *type = Py_TYPE(self);
    struct fl_state *state = fl_state_of_type(type);
    if (self->dict == NULL && is_usual(state, type, sized)) {
        *size = (Py_ssize_t)FL_RECEIVE_MAX;
        return 0;
    }
    PyObject *value =
        PyObject_GetAttr((PyObject *)self, state->str_max_size); /* escapes */
    if (value != NULL && value == state->net.max_size) {
        PyObject *model = (PyObject *)model_of(state, sized);
        Py_SETREF(value, PyObject_GetAttr(model, state->str_max_size)); /* escapes */
    }
    PyObject *number = value == NULL ? NULL : PyNumber_Index(value); /* escapes */
    Py_XDECREF(value);
    *size = number == NULL ? -1 : PyLong_AsSsize_t(number);
    Py_XDECREF(number);
    return *size == -1 && PyErr_Occurred() ? -1 : 0;
}

int
fl_transport_add_max_size(PyTypeObject *type)
{
    struct fl_net_state *net = &fl_state_of_type(type)->net;
    if (net->max_size == NULL) {
        net->max_size = PyLong_FromSize_t(FL_RECEIVE_MAX);
    }
    return net->max_size == NULL
               ? -1
               : PyObject_SetAttrString((PyObject *)type, "max_size", net->max_size);
}
