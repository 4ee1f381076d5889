/* Where Python notes that its loop has to leave the fast path.
 *
 * Before that was a field of the thread state it was an int of the interpreter's, in
 * another place in each minor version. A call that is to be made later sets it: it is
 * the first int that this changes from 0 to 1, those of the call itself come behind.
 */
#include "py/mirror/mirror.h"

#if defined(FL_HAVE_THREAD_BREAKER)

void
fl_mirror_find_breaker(struct fl_state *state)
{
    state->breaker_offset = 0;
}

#else

/* Much less than the interpreter's, which has no public end. */
#define SEARCHED_INTS 128

static int
do_nothing(void *Py_UNUSED(arg))
{
    return 0;
}

void
fl_mirror_find_breaker(struct fl_state *state)
{
    int before[SEARCHED_INTS], after[SEARCHED_INTS];
    const void *interp = PyThreadState_Get()->interp;
    memcpy(before, interp, sizeof before);
    if (Py_AddPendingCall(do_nothing, NULL) < 0) {
        return; /* too many wait */
    }
    memcpy(after, interp, sizeof after);
    for (size_t i = 0; i < SEARCHED_INTS; i++) {
        if (before[i] == 0 && after[i] == 1) {
            state->breaker_offset = (Py_ssize_t)(i * sizeof(int));
            return;
        }
    }
}

#endif
