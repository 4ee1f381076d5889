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

/* The innermost frames, not more than depth: new, or NULL. */
static PyObject *
places_of(PyFrameObject *frame, int depth)
{
    PyObject *places = PyList_New(0);
    int status = places == NULL ? -1 : 0;
    Py_XINCREF(frame);
    for (; frame != NULL && status == 0 && depth > 0; depth--) {
        PyObject *place = place_of(frame);
        status = place == NULL ? -1 : PyList_Append(places, place);
        Py_XDECREF(place);
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    Py_XDECREF(frame);
    PyObject *origin = status < 0 ? NULL : PyList_AsTuple(places);
    Py_XDECREF(places);
    return origin;
}

PyObject *
fl_coroutine_with_origin(PyObject *op)
{
    struct fl_coroutine *self = (struct fl_coroutine *)op;
    self->origin = places_of(PyEval_GetFrame(), fl_coroutine_origin_depth());
    if (self->origin == NULL) {
        fl_coroutine_end(self); /* escapes */
        Py_CLEAR(op);
    }
    return op;
}

PyObject *
fl_coroutine_get_origin(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *origin = ((struct fl_coroutine *)op)->origin;
    return Py_NewRef(origin == NULL ? Py_None : origin);
}
