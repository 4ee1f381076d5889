/* The faults' exceptions, and what the driver sees and does: debug build only. */
#define FL_FAULT_ITSELF
#include "py/fault.h"

#ifdef FASTLOOP_DEBUG

/* The linker's names for the ends of the section. */
extern struct fl_fault_site __start_fl_faults[];
extern struct fl_fault_site __stop_fl_faults[];

/* What became of the last fault; under the GIL of the interpreter that armed it. */
static struct {
    PyObject *error;              /* the exception it raised; owned */
    struct fl_fault_site *silent; /* it raised none so far */
    const char *cleared_in;       /* the file where PyErr_Clear made it unseen, */
    const char *cleared_by;       /* and the function */
} fault_outcome;

static void
raise_for(const struct fl_fault_site *site)
{
    PyErr_Format(
        PyExc_MemoryError, "fault in %s at %s:%d", site->function, site->file,
        site->line
    );
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XSETREF(fault_outcome.error, Py_NewRef(value));
    fault_outcome.cleared_in = fault_outcome.cleared_by = NULL;
    PyErr_Restore(type, value, traceback);
}

bool
fl_fault_raises(struct fl_fault_site *site)
{
    bool fires = fl_fault_fires(site);
    if (fires) {
        raise_for(site);
    }
    return fires;
}

/* Whether the site is the one that was armed, and has failed. */
static bool
has_failed(struct fl_fault_site *site)
{
    unsigned long fails_at = atomic_load(&site->fails_at);
    return fails_at != 0 && atomic_load(&site->passed) >= fails_at;
}

PyObject *
fl_fault_no_memory(void)
{
    struct fl_fault_site *site = fault_outcome.silent;
    if (site == NULL || !has_failed(site)) {
        return PyErr_NoMemory();
    }
    fault_outcome.silent = NULL;
    raise_for(site);
    return NULL;
}

void
fl_fault_clear(const char *file, const char *within)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (value != NULL && value == fault_outcome.error) {
        fault_outcome.cleared_in = file;
        fault_outcome.cleared_by = within;
    }
    PyErr_Restore(type, value, traceback);
    PyErr_Clear();
}

int
fl_fault_drop(PyObject *given)
{
    Py_XDECREF(given);
    return -1;
}

int
fl_fault_drop_at(PyObject **given)
{
    Py_CLEAR(*given);
    return -1;
}

PyObject *
fl_fault_undo(PyObject *made, struct fl_fault_site *site)
{
    if (fl_fault_raises(site)) {
        Py_CLEAR(made);
    }
    return made;
}

/* ---- the driver's view ---- */

PyDoc_STRVAR(
    sites_doc,
    "_fault_sites()\n--\n\n"
    "Return every call that can be made to fail: (file, line, function it is in,\n"
    "function called, times passed)."
);

static PyObject *
fault_sites(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PyList_New(0);
    for (struct fl_fault_site *site = __start_fl_faults;
         list != NULL && site < __stop_fl_faults; site++) {
        PyObject *entry = Py_BuildValue(
            "(sissk)", site->file, site->line, site->within, site->function,
            atomic_load(&site->passed)
        );
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
    }
    return list;
}

PyDoc_STRVAR(
    arm_doc,
    "_fault_arm(index, nth, /)\n--\n\n"
    "Make the nth passage from now of _fault_sites()[index] fail; of no other site."
);

static PyObject *
fault_arm(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_ssize_t index;
    unsigned long nth;
    if (!PyArg_ParseTuple(args, "nk", &index, &nth)) {
        return NULL;
    }
    if (index < 0 || index >= __stop_fl_faults - __start_fl_faults || nth == 0) {
        PyErr_SetString(PyExc_IndexError, "no such site or passage");
        return NULL;
    }
    for (struct fl_fault_site *site = __start_fl_faults; site < __stop_fl_faults;
         site++) {
        atomic_store(&site->fails_at, 0);
    }
    struct fl_fault_site *site = &__start_fl_faults[index];
    Py_CLEAR(fault_outcome.error);
    fault_outcome.cleared_in = fault_outcome.cleared_by = NULL;
    fault_outcome.silent = site;
    atomic_store(&site->fails_at, atomic_load(&site->passed) + nth);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    outcome_doc,
    "_fault_outcome()\n--\n\n"
    "Return what became of the armed fault, and forget it: (whether it came, its\n"
    "exception or None, the file and the function where C code cleared that or None)."
);

static PyObject *
fault_outcome_taken(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    bool came = false;
    for (struct fl_fault_site *site = __start_fl_faults; site < __stop_fl_faults;
         site++) {
        came = came || has_failed(site);
        atomic_store(&site->fails_at, 0);
    }
    PyObject *error = fault_outcome.error;
    fault_outcome.error = NULL;
    fault_outcome.silent = NULL;
    return Py_BuildValue(
        "(NNzz)", PyBool_FromLong(came), error != NULL ? error : Py_NewRef(Py_None),
        fault_outcome.cleared_in, fault_outcome.cleared_by
    );
}

static PyMethodDef fault_methods[] = {
    {"_fault_arm", fault_arm, METH_VARARGS, arm_doc},
    {"_fault_outcome", fault_outcome_taken, METH_NOARGS, outcome_doc},
    {"_fault_sites", fault_sites, METH_NOARGS, sites_doc},
    {NULL, NULL, 0, NULL},
};

int
fl_fault_add_methods(PyObject *module)
{
    return PyModule_AddFunctions(module, fault_methods);
}

#endif
