/* Dead objects that are kept for the next one, and that nobody may touch meanwhile.
 *
 * Their memory is still allocated, so a sanitizer would not see who uses one after its
 * death: it is told here. All but the word that names the type is poisoned, which must
 * live as long as the object is kept. Nothing in other builds.
 */
#ifndef FASTLOOP_PY_POISON_H
#define FASTLOOP_PY_POISON_H

#include "py/compat.h"

#if defined(__SANITIZE_ADDRESS__)

#include <sanitizer/asan_interface.h>

/* What is kept and is no object. */
#define FL_POISON_BYTES(start, n_bytes) ASAN_POISON_MEMORY_REGION(start, n_bytes)
#define FL_UNPOISON_BYTES(start, n_bytes) ASAN_UNPOISON_MEMORY_REGION(start, n_bytes)

static inline void
fl_poison(PyObject *op)
{
    size_t n_bytes = (size_t)Py_TYPE(op)->tp_basicsize;
    ASAN_POISON_MEMORY_REGION(op, offsetof(PyObject, ob_type));
    ASAN_POISON_MEMORY_REGION(op + 1, n_bytes - sizeof(PyObject));
}

static inline void
fl_unpoison(PyObject *op)
{
    ASAN_UNPOISON_MEMORY_REGION(op, (size_t)Py_TYPE(op)->tp_basicsize);
}

#else

#define FL_POISON_BYTES(start, n_bytes) ((void)0)
#define FL_UNPOISON_BYTES(start, n_bytes) ((void)0)

static inline void
fl_poison(PyObject *Py_UNUSED(op))
{
}

static inline void
fl_unpoison(PyObject *Py_UNUSED(op))
{
}

#endif

#endif
