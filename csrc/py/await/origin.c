/* Where a coroutine of ours was made, for who tracks that:
 * sys.set_coroutine_origin_tracking_depth(), and so debug mode. */
#include "py/await/awaitable.h"

/* (filename, line, name) of a frame, as Python's coroutines have it: new, or NULL. */
static PyObject *
place_of(PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *place = Py_BuildValue(
        "OiO", code->co_filename, PyFrame_GetLineNumber(frame), code->co_name
    );
    Py_DECREF(code);
    return place;
}

int
fl_coroutine_find_origin(struct fl_coroutine *self, int depth)
{
    PyObject *places = PyList_New(0);
    PyFrameObject *frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    int status = places == NULL ? -1 : 0;
    for (; frame != NULL && status == 0 && depth > 0; depth--) {
        PyObject *place = place_of(frame);
        status = place == NULL ? -1 : PyList_Append(places, place);
        Py_XDECREF(place);
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    Py_XDECREF(frame);
    if (status == 0) {
        self->origin = PyList_AsTuple(places);
        status = self->origin == NULL ? -1 : 0;
    }
    Py_XDECREF(places);
    return status;
}

PyObject *
fl_coroutine_get_origin(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *origin = ((struct fl_coroutine *)op)->origin;
    return Py_NewRef(origin == NULL ? Py_None : origin);
}
