/* Debug builds: whether a loop's structures are consistent. */
#include "core/io/source.h"

#ifdef FASTLOOP_DEBUG

static bool
ready_is_sound(const LoopObject *self)
{
    if (fl_ring_check(&self->ready) < 0) {
        return false;
    }
    for (size_t i = 0; i < fl_ring_count(&self->ready); i++) {
        if ((fl_ring_peek(&self->ready, i) & ~FL_ENTRY_KIND_MASK) == 0) {
            return false;
        }
    }
    return true;
}

static bool
list_is_sound(const struct fl_list *head)
{
    const struct fl_list *link = head;
    do {
        if (link->next->prev != link || link->prev->next != link) {
            return false;
        }
        link = link->next;
    } while (link != head);
    return true;
}

static bool
owners_are_sound(const LoopObject *self)
{
    size_t n_unlisted = 0;
    for (size_t fd = 0; fd < self->fd_owners.size; fd++) {
        const struct fl_source *source = self->fd_owners.slots[fd];
        if (source == NULL) {
            continue;
        }
        if (!source->owns_fd || source->watch.fd != (int)fd || source->loop != self) {
            return false;
        }
        n_unlisted += !source->listed;
    }
    return n_unlisted == self->n_unlisted_owners;
}

const char *
fl_loop_check(const LoopObject *self)
{
    if (!ready_is_sound(self)) {
        return "the ready queue";
    }
    if (fl_timers_check(&self->timers) < 0) {
        return "the timers";
    }
    if (fl_poller_check(&self->poller) < 0) {
        return "the table of watches";
    }
    if (!list_is_sound(&self->reader_watches) || !list_is_sound(&self->sources)) {
        return "a list of watches";
    }
    return owners_are_sound(self) ? NULL : "the owners of fds";
}

#endif
