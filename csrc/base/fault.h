/* Faults on purpose, in the debug build: each call that may fail can be made to, once.
 *
 * Macros named like the calls stand before them, here those of the C library, in
 * py/fault.h those of Python. Every call so written leaves a record of itself, its
 * site, in a section of the module that the linker joins into one array: the build
 * counts its sites itself. A release build sees nothing of this.
 *
 * The records are variables that outlive an interpreter, as nothing else is: a call
 * of malloc has no object at hand to find them by. Any thread.
 */
#ifndef FASTLOOP_BASE_FAULT_H
#define FASTLOOP_BASE_FAULT_H

#ifdef FASTLOOP_DEBUG

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Aligned so that the linker puts no gaps between them. */
struct fl_fault_site {
    _Alignas(64) const char *file;
    const char *within;   /* the function the call is in */
    const char *function; /* the one called */
    int line;
    atomic_ulong passed;
    atomic_ulong fails_at; /* the number of the passage that fails; 0 for none */
};

/* Counts a passage; true, and errno set, if it is the one to fail. */
static inline bool
fl_fault_fires(struct fl_fault_site *site)
{
    unsigned long number = atomic_fetch_add(&site->passed, 1) + 1;
    if (number != atomic_load(&site->fails_at)) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

/* The record of the place where this is written. */
#define FL_FAULT_SITE(name)                                                          \
    __extension__({                                                                  \
        static struct fl_fault_site fault_site __attribute__((                       \
            section("fl_faults")                                                     \
        )) = {                                                                       \
            .file = __FILE__, .within = __func__, .function = name, .line = __LINE__ \
        };                                                                           \
        &fault_site;                                                                 \
    })

/* For calls that return NULL and set no exception. */
#define FL_FAULT_SILENT(function, ...) \
    (fl_fault_fires(FL_FAULT_SITE(#function)) ? NULL : function(__VA_ARGS__))

#define malloc(...) FL_FAULT_SILENT(malloc, __VA_ARGS__)
#define calloc(...) FL_FAULT_SILENT(calloc, __VA_ARGS__)
#define realloc(...) FL_FAULT_SILENT(realloc, __VA_ARGS__)
#define aligned_alloc(...) FL_FAULT_SILENT(aligned_alloc, __VA_ARGS__)
#define posix_memalign(...)                                   \
    (fl_fault_fires(FL_FAULT_SITE("posix_memalign")) ? ENOMEM \
                                                     : posix_memalign(__VA_ARGS__))

#endif

#endif
