/* What the fuzz harnesses share: a program read from bytes, one operation after the
 * other, and a model held against the floors. Each harness is linked with libFuzzer,
 * or with fuzz_main.c where there is none; tools/fuzz_floors.sh does either. */
#ifndef FASTLOOP_TESTS_FUZZ_H
#define FASTLOOP_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_program {
    const uint8_t *next;
    const uint8_t *end;
};

static inline bool
fuzz_more(const struct fuzz_program *program)
{
    return program->next < program->end;
}

/* The next byte, 0 at the end. */
static inline uint8_t
fuzz_byte(struct fuzz_program *program)
{
    return program->next < program->end ? *program->next++ : 0;
}

/* A number below n. */
static inline size_t
fuzz_below(struct fuzz_program *program, size_t n)
{
    return fuzz_byte(program) % n;
}

_Noreturn static inline void
fuzz_failed(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}

#define HOLDS(condition) \
    ((condition) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #condition))

#endif
