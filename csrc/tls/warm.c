/* Who keeps OpenSSL's buffers. Nothing here calls Python. */
#include "tls/warm.h"

#include "py/compat.h"

#include <string.h>

/* OpenSSL's numbers, which its headers promise to keep. */
enum {
    SETS_MODE = 33,
    CLEARS_MODE = 78,
    GIVES_BACK = 0x10, /* SSL_MODE_RELEASE_BUFFERS */
};

static void
set_gives_back(const struct fl_tls_engine *engine, bool yes)
{
    const struct fl_openssl *openssl = engine->openssl;
    if (!yes) {
        (void)openssl->SSL_ctrl(engine->ssl, CLEARS_MODE, GIVES_BACK, NULL);
    }
    /* this one tells the layer of records, too, whose copy later releases have */
    (void)openssl->SSL_ctrl(engine->ssl, SETS_MODE, yes ? GIVES_BACK : 0, NULL);
}

/* Between two records, with nothing of one in a buffer, and nobody in OpenSSL. */
static bool
is_at_rest(const struct fl_tls_engine *engine)
{
    const struct fl_openssl *openssl = engine->openssl;
    return engine->depth == 0 && openssl->SSL_in_init(engine->ssl) == 0 &&
           openssl->SSL_has_pending(engine->ssl) == 0 &&
           strcmp(openssl->SSL_rstate_string(engine->ssl), "RH") == 0;
}

void
fl_tls_cool_down(struct fl_tls_engine *engine)
{
    if (engine->place != NULL) {
        *engine->place = NULL;
        engine->place = NULL;
        set_gives_back(engine, true);
    }
}

/* Frees that place. False if its owner is busy, or another thread's. */
static bool
make_room(struct fl_tls_engine **place)
{
    struct fl_tls_engine *owner = *place;
    if (owner == NULL) {
        return true;
    }
    if (owner->thread != PyThread_get_thread_ident() || !is_at_rest(owner)) {
        return false;
    }
    fl_tls_cool_down(owner);
    (void)owner->openssl->SSL_free_buffers(owner->ssl);
    return true;
}

void
fl_tls_warm_up(struct fl_tls_warm *self, struct fl_tls_engine *engine)
{
    struct fl_tls_engine **place = &self->engines[self->next % FL_TLS_WARM];
    self->next++;
    /* what keeps its buffers by its own context's mode needs no place */
    if ((engine->openssl->SSL_ctrl(engine->ssl, SETS_MODE, 0, NULL) & GIVES_BACK) &&
        make_room(place)) {
        *place = engine;
        engine->place = place;
        engine->thread = PyThread_get_thread_ident();
        set_gives_back(engine, false);
    }
}
