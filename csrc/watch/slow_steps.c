/* A step that took longer than most: counted, remembered by its name, and told to the
 * lookout. */
#include "core/task/task_observe.h"
#include "py/error.h"
#include "watch/names.h"

void
fl_loop_settle_rate(LoopObject *self, int64_t now_ticks, int64_t now_ns)
{
    fl_tick_rate_settle(&self->tick_rate, now_ticks, now_ns);
    fl_metrics_set_rate(&self->metrics, self->tick_rate.ticks_per_ns);
}

/* Tells the watch of the end of a step. name: a str or NULL. */
static void
tell_end(LoopObject *self, uintptr_t word, int64_t ticks, PyObject *name)
{
    /* what is between steps is counted before it is over */
    int64_t begin = self->last_step_ticks - (word == 0 ? 0 : ticks);
    const char *text = name == NULL ? "" : PyUnicode_AsUTF8(name);
    if (text == NULL) {
        PyErr_Clear();
    }
    fl_lookout_step_ended(self, begin, ticks, text == NULL ? "" : text);
}

void
fl_loop_note_slow(LoopObject *self, uintptr_t word, int64_t ticks)
{
    int64_t now_ns = fl_clock_monotonic_ns();
    fl_loop_settle_rate(self, fl_clock_ticks(), now_ns);
    if ((word & FL_ENTRY_KIND_MASK) - FL_ENTRY_STEP < FL_N_TASK_ENTRIES) {
        fl_base_task((PyObject *)(word & ~FL_ENTRY_KIND_MASK))->stepped =
            fl_observe_moment(self->last_step_ticks);
    }
    bool watched = fl_lookout_minds(self, ticks);
    bool slow =
        fl_metrics_slow_step(&self->metrics, ticks, self->tick_rate.ticks_per_ns);
    if (!slow && !watched) {
        return;
    }
    PyObject *exc = fl_error_take();
    PyObject *name = fl_entry_name(self, word);
    if (name == NULL) {
        PyErr_Clear();
    }
    if (watched) {
        tell_end(self, word, ticks, name);
    }
    if (slow) {
        fl_metrics_remember(&self->metrics, name, ticks, now_ns);
    }
    else {
        Py_XDECREF(name);
    }
    fl_error_restore(exc);
}
