/* asyncio's counter of default task names.
 *
 * Ours are numbered by the same counter, or two tasks would be Task-3. asyncio has no
 * function that counts; the counter is a word of its module's state, and on 3.11 of its
 * library's data. It is the word there that goes up by one with each task, and that
 * names the next one when it is written.
 */
#include "py/mirror/mirror.h"

#include <stdlib.h>
#include <string.h>
#if defined(FL_EAGER_TASK_NAMES)
#include <link.h>
#endif

/* Where the counter may lie. */
struct region {
    const void *inside; /* a static object of the library's */
    uint64_t *words;
    size_t n_words;
};

#if defined(FL_EAGER_TASK_NAMES)

/* The writable segment of a library with region->inside in it. */
static int
look_into_library(struct dl_phdr_info *info, size_t Py_UNUSED(size), void *arg)
{
    struct region *region = arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        uintptr_t inside = (uintptr_t)region->inside;
        if (header->p_type == PT_LOAD && (header->p_flags & PF_W) != 0 &&
            inside >= start && inside < start + header->p_memsz) {
            uintptr_t aligned = (start + 7) & ~(uintptr_t)7;
            region->words = (uint64_t *)aligned;
            region->n_words = (start + header->p_memsz - aligned) / sizeof(uint64_t);
            return 1;
        }
    }
    return 0;
}

/* The module has no definition in a second interpreter. */
static int
find_region(
    const struct fl_state *state, struct region *region, PyObject *Py_UNUSED(asyncio)
)
{
    region->inside = state->asyncio_Task;
    dl_iterate_phdr(look_into_library, region);
    return 0;
}

#else

static int
find_region(
    const struct fl_state *Py_UNUSED(state), struct region *region, PyObject *asyncio
)
{
    const struct PyModuleDef *def = PyModule_GetDef(asyncio);
    if (def == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    region->words = PyModule_GetState(asyncio);
    if (region->words != NULL && def->m_size > 0) {
        region->n_words = (size_t)def->m_size / sizeof(uint64_t);
    }
    return PyErr_Occurred() ? -1 : 0;
}

#endif

/* The number in the default name of a new task of asyncio's: 0, or -1 with an
 * exception; *number is 0 if it has another kind of name. */
static int
number_of_new_task(
    const struct fl_state *state, PyObject *loop, PyObject *coro, uint64_t *number
)
{
    *number = 0;
    PyObject *stack[2] = {coro, loop};
    PyObject *task = PyObject_Vectorcall(state->asyncio_Task, stack, 1, state->kw_loop);
    if (task == NULL) {
        return -1;
    }
    int status = PyObject_SetAttrString(task, "_log_destroy_pending", Py_False);
    PyObject *name = status < 0 ? NULL : PyObject_CallMethod(task, "get_name", NULL);
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    if (text != NULL && strncmp(text, "Task-", 5) == 0) {
        *number = strtoull(text + 5, NULL, 10);
    }
    Py_XDECREF(name);
    Py_DECREF(task);
    return text == NULL ? -1 : 0;
}

/* Whether the next task is named by this word; it is set back. 1, 0 or -1. */
static int
names_tasks(
    const struct fl_state *state, PyObject *loop, PyObject *coro, uint64_t *word
)
{
    const uint64_t kept = *word, tried = kept + 1000;
    uint64_t number;
    *word = tried;
    int status = number_of_new_task(state, loop, coro, &number);
    bool named = *word == tried + 1 && number == tried + 1;
    *word = kept;
    return status < 0 ? -1 : named;
}

/* Looks for it between two tasks: before is what the region held at the first. */
static int
find_counter(
    struct fl_state *state, const struct region *region, uint64_t *before,
    PyObject *loop, PyObject *coro
)
{
    uint64_t first, second;
    if (number_of_new_task(state, loop, coro, &first) < 0) {
        return -1;
    }
    memcpy(before, region->words, region->n_words * sizeof(uint64_t));
    if (number_of_new_task(state, loop, coro, &second) < 0) {
        return -1;
    }
    for (size_t i = 0; i < region->n_words; i++) {
        if (before[i] != first || region->words[i] != second || second != first + 1) {
            continue;
        }
        int found = names_tasks(state, loop, coro, &region->words[i]);
        if (found < 0) {
            return -1;
        }
        if (found) {
            region->words[i] = first - 1; /* nobody shall see that we looked */
            state->types.task_names = &region->words[i];
            return 0;
        }
    }
    return 0;
}

int
fl_mirror_find_names(
    struct fl_state *state, PyObject *asyncio, PyObject *loop, PyObject *coro
)
{
    struct region region = {NULL, NULL, 0};
    state->types.task_names = &state->types.n_task_names;
    if (find_region(state, &region, asyncio) < 0) {
        return -1;
    }
    if (region.n_words == 0) {
        return 0;
    }
    uint64_t *before = PyMem_Malloc(region.n_words * sizeof(uint64_t));
    if (before == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int status = find_counter(state, &region, before, loop, coro);
    PyMem_Free(before);
    return status;
}
