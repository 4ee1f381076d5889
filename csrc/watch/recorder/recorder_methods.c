/* The recorder as the module's functions: what was recorded becomes Python's objects.
 */
#include "watch/recorder/recorder_life.h"

/* ---- beginning ---- */

static bool
are_texts(PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(tuple, i))) {
            return false;
        }
    }
    return true;
}

PyObject *
fl_timeline_start(PyObject *module, PyObject *args)
{
    struct fl_state *state = fl_state_of_module(module);
    struct fl_recorder_given given;
    Py_ssize_t room;
    PyObject *loop, *task;
    if (!PyArg_ParseTuple(
            args, "nO!O!O!OOO:_timeline_start", &room, &PyTuple_Type, &given.folders,
            &PyType_Type, &given.partial, &PyTuple_Type, &given.probes, &loop, &task,
            &given.name_of_thread
        )) {
        return NULL;
    }
    if (state->recorder != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a timeline is being recorded already");
        return NULL;
    }
    if (room < 1 || room > FL_RECORD_ROOM_MAX || !are_texts(given.folders)) {
        PyErr_Format(
            PyExc_ValueError, "events must be 1 to %d, not %zd", FL_RECORD_ROOM_MAX,
            room
        );
        return NULL;
    }
    if (fl_recorder_start(state, (size_t)room, &given) < 0) {
        return NULL;
    }
    LoopObject *own = fl_loop_of(loop);
    if (own != NULL && own->running && state->task_type != NULL &&
        PyObject_TypeCheck(task, state->task_type) &&
        fl_recorder_open_step(state->recorder, own, task) < 0) {
        fl_recorder_drop(state);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- columns ---- */

/* Nanoseconds since the beginning, never less than before. */
static PyObject *
times_of(const struct fl_recorder *self, double ticks_per_ns)
{
    PyObject *made =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(self->count * sizeof(double)));
    if (made == NULL) {
        return NULL;
    }
    char *at = PyBytes_AS_STRING(made);
    double last = 0.0;
    for (size_t i = 0; i < self->count; i++) {
        double ns = (double)(self->events[i].ticks - self->began_ticks) / ticks_per_ns;
        last = ns > last ? ns : last;
        memcpy(at + i * sizeof(double), &last, sizeof(double));
    }
    return made;
}

static PyObject *
kinds_of(const struct fl_recorder *self)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->count);
    for (size_t i = 0; made != NULL && i < self->count; i++) {
        PyBytes_AS_STRING(made)[i] = (char)self->events[i].kind;
    }
    return made;
}

/* field: its offset in an event. */
static PyObject *
column_of(const struct fl_recorder *self, size_t field)
{
    PyObject *made =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(self->count * sizeof(uint32_t)));
    for (size_t i = 0; made != NULL && i < self->count; i++) {
        memcpy(
            PyBytes_AS_STRING(made) + i * sizeof(uint32_t),
            (const char *)&self->events[i] + field, sizeof(uint32_t)
        );
    }
    return made;
}

/* ---- texts ---- */

static PyObject *
text_of_task(const struct fl_recorded_task *task)
{
    PyObject *name = task->name;
    if (name == NULL) {
        return PyUnicode_FromString("a task");
    }
    if (PyUnicode_CheckExact(name)) {
        return Py_NewRef(name);
    }
    long number = PyLong_AsLong(name);
    return number == -1 ? NULL : PyUnicode_FromFormat("Task-%ld", number);
}

static PyObject *
text_of_name(const struct fl_recorder *self, const struct fl_recorded_name *name)
{
    if (name->task != 0) {
        return text_of_task(FL_RECORDED(self->tasks, fl_recorded_task, name->task));
    }
    if (name->op == NULL) {
        return PyUnicode_FromString(name->text);
    }
    if (PyCode_Check(name->op)) {
        return Py_NewRef(((PyCodeObject *)(void *)name->op)->co_qualname);
    }
    if (PyType_Check(name->op)) {
        const PyTypeObject *type = (PyTypeObject *)(void *)name->op;
        return PyUnicode_FromString(fl_type_short_name(type));
    }
    return Py_NewRef(name->op);
}

static PyObject *
row_of_name(const struct fl_recorder *self, uint32_t number)
{
    return text_of_name(self, FL_RECORDED(self->names, fl_recorded_name, number));
}

static PyObject *
row_of_place(const struct fl_recorder *self, uint32_t number)
{
    const struct fl_recorded_place *place =
        FL_RECORDED(self->places, fl_recorded_place, number);
    PyCodeObject *code = (PyCodeObject *)(void *)place->code;
    int line = place->instruction < 0 ? code->co_firstlineno
                                      : PyCode_Addr2Line(code, place->instruction);
    return Py_BuildValue(
        "(OiO)", code->co_filename, line < 0 ? 0 : line, code->co_qualname
    );
}

static PyObject *
row_of_task(const struct fl_recorder *self, uint32_t number)
{
    const struct fl_recorded_task *task =
        FL_RECORDED(self->tasks, fl_recorded_task, number);
    PyObject *coroutine = task->coroutine == 0 ? PyUnicode_FromString("")
                                               : row_of_name(self, task->coroutine);
    PyObject *name = coroutine == NULL ? NULL : text_of_task(task);
    if (name == NULL) {
        Py_XDECREF(coroutine);
        return NULL;
    }
    return Py_BuildValue(
        "(INNIIIi)", (unsigned int)number, name, coroutine, (unsigned int)task->loop,
        (unsigned int)task->parent, (unsigned int)task->place, (int)task->outcome
    );
}

static PyObject *
row_of_loop(const struct fl_recorder *self, uint32_t number)
{
    const struct fl_recorded_loop *loop =
        FL_RECORDED(self->loops, fl_recorded_loop, number);
    return Py_BuildValue(
        "(IkO)", (unsigned int)number, loop->thread,
        loop->name == NULL ? Py_None : loop->name
    );
}

static PyObject *
rows_of(
    const struct fl_recorder *self, const struct fl_recorded_list *list,
    PyObject *(*row_of)(const struct fl_recorder *, uint32_t)
)
{
    PyObject *rows = PyList_New((Py_ssize_t)list->count);
    for (size_t i = 0; rows != NULL && i < list->count; i++) {
        PyObject *row = row_of(self, (uint32_t)(i + 1));
        if (row == NULL) {
            Py_CLEAR(rows);
            break;
        }
        PyList_SET_ITEM(rows, (Py_ssize_t)i, row);
    }
    return rows;
}

/* ---- end ---- */

/* Steals value. 0, or -1 with an exception. */
static int
put(PyObject *dict, const char *key, PyObject *value)
{
    int status = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);
    Py_XDECREF(value);
    return status;
}

static int
put_all(const struct fl_recorder *self, PyObject *dict)
{
    double length_ns = (double)(fl_clock_monotonic_ns() - self->began_ns);
    double ticks = (double)(fl_clock_ticks() - self->began_ticks);
    double rate = length_ns > 0.0 && ticks > 0.0 ? ticks / length_ns : 1.0;
    PyObject *lost = PyLong_FromUnsignedLongLong(self->n_lost);
    if (put(dict, "length_ns", PyFloat_FromDouble(length_ns)) < 0 ||
        put(dict, "lost", lost) < 0 || put(dict, "kind", kinds_of(self)) < 0 ||
        put(dict, "time", times_of(self, rate)) < 0) {
        return -1;
    }
    if (put(dict, "subject", column_of(self, offsetof(struct fl_event, subject))) < 0 ||
        put(dict, "other", column_of(self, offsetof(struct fl_event, other))) < 0 ||
        put(dict, "place", column_of(self, offsetof(struct fl_event, place))) < 0) {
        return -1;
    }
    if (put(dict, "names", rows_of(self, &self->names, row_of_name)) < 0 ||
        put(dict, "places", rows_of(self, &self->places, row_of_place)) < 0 ||
        put(dict, "tasks", rows_of(self, &self->tasks, row_of_task)) < 0) {
        return -1;
    }
    return put(dict, "loops", rows_of(self, &self->loops, row_of_loop));
}

PyObject *
fl_timeline_stop(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct fl_recorder *self = fl_recorder_stop(fl_state_of_module(module));
    if (self == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *dict = PyDict_New();
    if (dict != NULL && put_all(self, dict) < 0) {
        Py_CLEAR(dict);
    }
    fl_recorder_free(self);
    return dict;
}
