/* What the loop has done, and what waits: stats(), metrics(). */
#include "core/loop/loop.h"

static double
ticks_to_seconds(const LoopObject *self, int64_t ticks)
{
    return ticks <= 0 ? 0.0 : (double)ticks / self->tick_rate.ticks_per_ns * 1e-9;
}

static double
longest_step(LoopObject *self)
{
    double longest_s = ticks_to_seconds(self, self->metrics.longest_ticks);
    if (longest_s > self->longest_step_s) {
        self->longest_step_s = longest_s; /* a rate known better never lowers it */
    }
    return self->longest_step_s;
}

PyObject *
fl_loop_stats(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    fl_loop_settle_rate(self, fl_clock_ticks(), fl_clock_monotonic_ns());
    return Py_BuildValue(
        "{s:K,s:K,s:n,s:n,s:n,s:K,s:d}", "iterations", self->n_iterations, "polls",
        self->n_polls, "ready", (Py_ssize_t)fl_ring_count(&self->ready), "timers",
        (Py_ssize_t)self->timers.count, "watches",
        (Py_ssize_t)fl_loop_count_watches(self), "steps", self->n_steps,
        "longest_step_s", longest_step(self)
    );
}

/* counts: FL_N_BUCKETS. New, a tuple, or NULL. */
static PyObject *
bucket_counts(const uint64_t *counts)
{
    PyObject *tuple = PyTuple_New(FL_N_BUCKETS);
    for (Py_ssize_t i = 0; tuple != NULL && i < FL_N_BUCKETS; i++) {
        PyObject *count = PyLong_FromUnsignedLongLong(counts[i]);
        if (count == NULL) {
            Py_CLEAR(tuple);
        }
        else {
            PyTuple_SET_ITEM(tuple, i, count);
        }
    }
    return tuple;
}

/* Those of the first bucket are the steps that are in no other. */
static PyObject *
lag_counts(const LoopObject *self)
{
    const struct fl_metrics *metrics = &self->metrics;
    uint64_t counts[FL_N_BUCKETS];
    uint64_t n_steps = 0, n_lags = 0;
    for (unsigned int i = 0; i < FL_N_BUCKETS; i++) {
        counts[i] = i == 0 ? 0 : metrics->lags[i];
        if (i != 0 && i == metrics->lag_bucket) {
            counts[i] += self->ready.head - metrics->lag_from;
        }
        n_steps += metrics->steps[i];
        n_lags += counts[i];
    }
    counts[0] = n_steps > n_lags ? n_steps - n_lags : 0;
    return bucket_counts(counts);
}

/* [(name, seconds, end)], the longest first after sorting in Python. */
static PyObject *
slowest_steps(const LoopObject *self, int64_t now_ns)
{
    const struct fl_metrics *metrics = &self->metrics;
    PyObject *list = PyList_New(0);
    for (unsigned int i = 0; list != NULL && i < metrics->n_slowest; i++) {
        const struct fl_slow_step *step = &metrics->slowest[i];
        if (step->name == NULL || now_ns - step->end_ns > FL_LATELY_NS) {
            continue;
        }
        PyObject *row = Py_BuildValue(
            "(Odd)", step->name, ticks_to_seconds(self, step->ticks),
            (double)step->end_ns / 1e9
        );
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    return list;
}

static Py_ssize_t
count_transports(const LoopObject *self)
{
    Py_ssize_t n = 0;
    for (size_t fd = 0; fd < self->fd_owners.size; fd++) {
        n += self->fd_owners.slots[fd] != NULL;
    }
    return n;
}

/* In the order of fastloop._metrics.Metrics' first fields, but tasks. */
static PyObject *
figures(LoopObject *self, int64_t now_ticks, int64_t now_ns)
{
    int64_t run_ticks = self->run_ticks + (self->running ? now_ticks : 0);
    int64_t since_ticks = now_ticks - self->last_step_ticks;
    int64_t idle_ticks = self->idle_ticks + (self->sleeping ? since_ticks : 0);
    bool in_step = self->n_nested > 0 && !self->sleeping;
    return Py_BuildValue(
        "(ddddNKKKKnnnn)", (double)now_ns / 1e9,
        (double)(now_ns - self->birth_ns) / 1e9,
        ticks_to_seconds(self, run_ticks - idle_ticks),
        ticks_to_seconds(self, idle_ticks),
        in_step ? PyFloat_FromDouble(
                      (double)now_ns / 1e9 - ticks_to_seconds(self, since_ticks)
                  )
                : Py_NewRef(Py_None),
        self->n_iterations, self->n_polls, self->n_steps, self->n_wakeups,
        (Py_ssize_t)fl_ring_count(&self->ready), (Py_ssize_t)self->timers.count,
        (Py_ssize_t)fl_loop_count_watches(self), count_transports(self)
    );
}

PyObject *
fl_loop_read_metrics(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    int64_t now_ticks = fl_clock_ticks();
    int64_t now_ns = fl_clock_monotonic_ns();
    fl_loop_settle_rate(self, now_ticks, now_ns);
    PyObject *basic = figures(self, now_ticks, now_ns);
    PyObject *steps = basic == NULL ? NULL : bucket_counts(self->metrics.steps);
    PyObject *lags = steps == NULL ? NULL : lag_counts(self);
    PyObject *slowest = lags == NULL ? NULL : slowest_steps(self, now_ns);
    PyObject *all = NULL;
    if (slowest != NULL) {
        all = Py_BuildValue(
            "(OOOOdd)", basic, steps, lags, slowest, longest_step(self),
            ticks_to_seconds(self, self->metrics.longest_lag_ticks)
        );
    }
    Py_XDECREF(basic);
    Py_XDECREF(steps);
    Py_XDECREF(lags);
    Py_XDECREF(slowest);
    return all;
}

PyObject *
fl_loop_reset_metrics(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    fl_metrics_reset(&self->metrics);
    self->longest_step_s = 0.0;
    Py_RETURN_NONE;
}
