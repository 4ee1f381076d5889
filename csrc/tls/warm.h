/* Connections that keep OpenSSL's buffers between two records.
 *
 * The contexts of Python's ssl make OpenSSL give them back after each, 34 KiB that are
 * asked of malloc again for the next; so an idle connection is small. Here a few keep
 * them, of those that were used last: what all idle ones need is bounded as before.
 */
#ifndef FASTLOOP_TLS_WARM_H
#define FASTLOOP_TLS_WARM_H

#include "base/hot.h"
#include "tls/engine.h"

/* Lets one have a place, if another can be sent away. */
void fl_tls_warm_up(struct fl_tls_warm *self, struct fl_tls_engine *engine);

/* Its place is free; may be called always. Its buffers are as they were. */
void fl_tls_cool_down(struct fl_tls_engine *engine);

/* A record comes or goes, between two calls of OpenSSL. */
static inline void
fl_tls_use(struct fl_tls_warm *self, struct fl_tls_engine *engine)
{
    if (engine->place != NULL) {
        return;
    }
    /* fast: buffers that stay, 1,300 instructions of a 1 KiB echo; one of so many that
     * they would be lost before the next use is left alone */
    uint32_t others = self->uses - engine->last_use;
    self->uses++;
    engine->last_use = self->uses;
    if (others < FL_TLS_WARM) {
        fl_tls_warm_up(self, engine);
    }
}

#endif
