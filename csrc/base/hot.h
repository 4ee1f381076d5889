/* Which way a hot function is laid out, where the compiler cannot know.
 *
 * Left to itself it inlines what never happens, and then saves registers for it in each
 * call: 13 instructions, of which a switch of tasks made five lots.
 */
#ifndef FASTLOOP_BASE_HOT_H
#define FASTLOOP_BASE_HOT_H

/* A function that is never inlined, and a branch to it that is not expected. */
#define FL_SLOW __attribute__((noinline, cold))

/* The same for what does happen, somewhere. */
#define FL_APART __attribute__((noinline))

/* A function that is made anew for each caller, with what the caller knows. */
#define FL_INLINE static inline __attribute__((always_inline))

#define FL_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define FL_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#endif
