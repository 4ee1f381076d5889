/* Dead objects of one type, kept to be born again.
 *
 * For types whose objects come and go once per await. A kept object has no
 * references, is untracked by the garbage collector and zero from its link on but
 * for the link itself, which is any pointer of the object. The type is not owned
 * while an object is dead, or the lists would keep the module alive.
 */
#ifndef FASTLOOP_PY_FREELIST_H
#define FASTLOOP_PY_FREELIST_H

#include "py/compat.h"
#include "py/poison.h"

#include <stdbool.h>
#include <stddef.h>

/* Futures: 2 MB, tasks: 3 MB, until the loop is idle. */
#define FL_FREELIST_MAX 8192
#define FL_FREELIST_IDLE 256

struct fl_freelist {
    PyObject *first;
    int count;
};

/* A kept object, alive again and untracked, or NULL. link: its offset. */
static inline PyObject *
fl_freelist_take(struct fl_freelist *list, PyTypeObject *type, size_t link)
{
    PyObject *op = list->first;
    if (op != NULL) {
        fl_unpoison(op);
        PyObject **next = (PyObject **)(void *)((char *)op + link);
        list->first = *next;
        list->count--;
        *next = NULL;
        (void)PyObject_Init(op, type);
    }
    return op;
}

/* A new object, tracked: a kept one, or one from the type's allocator, and then *fresh.
 * list: NULL for a type that keeps none. New or NULL. */
static inline PyObject *
fl_freelist_alloc(
    struct fl_freelist *list, PyTypeObject *type, size_t link, bool *fresh
)
{
    PyObject *op = list == NULL ? NULL : fl_freelist_take(list, type, link);
    *fresh = op == NULL;
    if (op == NULL) {
        return FL_SLOT_POINTER(type->tp_alloc(type, 0));
    }
    PyObject_GC_Track(op);
    return op;
}

/* To be called at the end of tp_dealloc: keeps op and returns true, or false if it
 * is to be freed. One that was finalized never is again, so it is not kept. */
static inline bool
fl_freelist_keep_unless(
    struct fl_freelist *list, PyObject *op, size_t link, bool finalized
)
{
    if (list->count >= FL_FREELIST_MAX || finalized) {
        return false;
    }
    *(PyObject **)(void *)((char *)op + link) = list->first;
    list->first = op;
    list->count++;
    fl_poison(op);
    return true;
}

/* The same for a type that does not note it itself. */
static inline bool
fl_freelist_keep(struct fl_freelist *list, PyObject *op, size_t link)
{
    return fl_freelist_keep_unless(list, op, link, PyObject_GC_IsFinalized(op));
}

/* Frees all but max. */
static inline void
fl_freelist_trim(struct fl_freelist *list, int max, size_t link)
{
    for (; list->count > max; list->count--) {
        PyObject *op = list->first;
        fl_unpoison(op);
        list->first = *(PyObject **)(void *)((char *)op + link);
        PyObject_GC_Del(op);
    }
}

#endif
