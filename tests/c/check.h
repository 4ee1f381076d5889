/* A test program is a set of cases, each run in a process of its own:
 * `program CASE`, exit status 0 when it holds. */
#ifndef FASTLOOP_TESTS_CHECK_H
#define FASTLOOP_TESTS_CHECK_H

#include <stdbool.h>

void check_register(const char *name, void (*run)(void));
_Noreturn void check_failed(const char *file, int line, const char *condition);

/* Ends the case: what it is about is not here. Exit status 77. */
_Noreturn void check_passed_over(const char *reason);

/* Calls that the floors make, and may be told to fail (see check.c). */
enum fault_call {
    FAULT_ALLOC, /* malloc, calloc, realloc */
    FAULT_EPOLL_CREATE,
    FAULT_EPOLL_CTL,
    FAULT_EPOLL_WAIT,
    FAULT_EPOLL_PWAIT2,
    FAULT_EVENTFD,
    FAULT_SOCKETPAIR,
    FAULT_READ,
    FAULT_N_CALLS,
};

/* The call after n_before more successful ones fails, once, with err. */
void fault_inject(enum fault_call call, int n_before, int err);

/* As fault_inject, but every call from then on fails, until fault_clear. */
void fault_inject_all(enum fault_call call, int err);
void fault_clear(void);

/* How often the call was made so far. */
int fault_count(enum fault_call call);

#define CHECK(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

#define CASE(name)                                                 \
    static void name(void);                                        \
    __attribute__((constructor)) static void register_##name(void) \
    {                                                              \
        check_register(#name, name);                               \
    }                                                              \
    static void name(void)

#endif
