/* Giving up what is queued: words of the ready ring, and timers. */
#include "core/handle/alarm.h"
#include "core/handle/timer_handle.h"
#include "core/io/source.h"

static void
drop_word(uintptr_t word, void (*drop_handle)(HandleObject *))
{
    if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_HANDLE) {
        drop_handle((HandleObject *)word);
    }
    else if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_SOURCE) {
        fl_source_forget_queued(word);
    }
    else if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_ALARM) {
        fl_alarm_drop_word(word);
    }
    else {
        Py_DECREF((PyObject *)(word & ~FL_ENTRY_KIND_MASK));
    }
}

void
fl_loop_drop_word(uintptr_t word)
{
    drop_word(word, fl_handle_release); /* escapes */
}

/* Before anything escapes no handle knows the loop any more. */
static void
drop_queued_of_dying(LoopObject *self)
{
    struct fl_list timers;
    fl_list_init(&timers);
    struct fl_timer *timer;
    while ((timer = fl_timers_any(&self->timers)) != NULL) {
        fl_timers_remove(&self->timers, timer);
        fl_list_append(&timers, &timer->link);
        if (timer->kind == FL_TIMER_OF_HANDLE) {
            fl_handle_forget_loop(&fl_timer_handle_of(timer)->base);
        }
        else {
            fl_alarm_let_go(timer);
        }
    }
    for (size_t i = 0; i < fl_ring_count(&self->ready); i++) {
        uintptr_t word = fl_ring_peek(&self->ready, i);
        if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_HANDLE) {
            fl_handle_forget_loop((HandleObject *)word);
        }
        else if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_ALARM) {
            fl_alarm_let_go_word(word);
        }
    }
    while (fl_ring_count(&self->ready) > 0) {
        drop_word(fl_ring_pop(&self->ready), fl_handle_orphan); /* escapes */
    }
    while (!fl_list_empty(&timers)) {
        timer = FL_CONTAINER_OF(timers.next, struct fl_timer, link);
        fl_list_unlink(&timer->link);
        if (timer->kind == FL_TIMER_OF_HANDLE) {
            fl_handle_orphan(&fl_timer_handle_of(timer)->base); /* escapes */
        }
        else {
            fl_alarm_drop(timer); /* escapes */
        }
    }
}

void
fl_loop_drop_queued(LoopObject *self, bool dying)
{
    if (dying) {
        drop_queued_of_dying(self);
        return;
    }
    while (fl_ring_count(&self->ready) > 0) {
        drop_word(fl_ring_pop(&self->ready), fl_handle_release); /* escapes */
    }
    struct fl_timer *timer;
    while ((timer = fl_timers_any(&self->timers)) != NULL) {
        fl_timers_remove(&self->timers, timer);
        if (timer->kind == FL_TIMER_OF_HANDLE) {
            fl_handle_release(&fl_timer_handle_of(timer)->base); /* escapes */
        }
        else {
            fl_alarm_drop(timer); /* escapes */
        }
    }
}
