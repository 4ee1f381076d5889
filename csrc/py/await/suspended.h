/* Looking at coroutines that are suspended, without making objects or running code.
 *
 * What a coroutine awaits is asked of its own type's getter, once that has said that it
 * is suspended: of one that runs it may be anything (3.11, 3.12). Where it stands has
 * no such way but by a frame object, which would stay. So two words of the frame inside
 * are found by trying, in coroutines of which both are known: they are where they are
 * in all of one Python, and where they are not found there is no line.
 */
#ifndef FASTLOOP_PY_SUSPENDED_H
#define FASTLOOP_PY_SUSPENDED_H

#include "py/compat.h"

#define FL_N_SUSPENDED_KINDS 3 /* coroutines, generators, asynchronous generators */

struct fl_suspended_kind {
    PyTypeObject *type;
    getter is_suspended; /* NULL if it is not told */
    getter awaited;
};

struct fl_suspended {
    struct fl_suspended_kind kinds[FL_N_SUSPENDED_KINDS];
    Py_ssize_t code_at; /* words from the object's beginning; 0: not known */
    Py_ssize_t instruction_at;
};

/* probes: a tuple of suspended coroutines, each at another instruction. 0, or -1 with
 * an exception; that the words are not found is none. */
int fl_suspended_learn(struct fl_suspended *self, PyObject *probes);

/* Its kind if op is a coroutine or a generator of Python's that is suspended, or NULL.
 */
const struct fl_suspended_kind *
fl_suspended_kind(const struct fl_suspended *self, PyObject *op);

/* Whether op is such a one, and what it awaits: borrowed from it, or NULL. What lies in
 * between and is Python's own, such as a step of an asynchronous generator, is passed
 * by. */
bool
fl_suspended_step(const struct fl_suspended *self, PyObject *op, PyObject **awaited);

/* Its code, borrowed, also of one in another state, or NULL if that is not known; the
 * offset of its instruction. (The getter of the code tells audit hooks.) */
PyObject *fl_suspended_code(const struct fl_suspended *self, PyObject *op);
int
fl_suspended_instruction(const struct fl_suspended *self, PyObject *op, PyObject *code);

#endif
