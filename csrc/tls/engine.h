/* Records between the SSL of a Python object and whatever carries them.
 *
 * ssl.SSLContext.wrap_bio has made the object and its queues, two ssl.MemoryBIO, with
 * all that the context says of it. Here they are driven without their methods; whoever
 * calls those finds everything as he would without us. So what is rare (handshakes,
 * shutdowns, errors and their exceptions) is done by the methods.
 *
 * Nothing here calls Python, but OpenSSL may call what the context's owner has
 * registered.
 */
#ifndef FASTLOOP_TLS_ENGINE_H
#define FASTLOOP_TLS_ENGINE_H

#include "tls/bio.h"

#include <stdbool.h>
#include <stdint.h>

struct fl_tls_engine {
    const struct fl_openssl *openssl; /* NULL: it drives nothing */
    struct ssl_st *ssl;               /* lives as long as the object */
    struct fl_tls_bio bio;
    /* tls/warm.h */
    struct fl_tls_engine **place; /* NULL: OpenSSL gives its buffers back */
    unsigned long thread;         /* whose place it is */
    uint32_t last_use;
    int depth; /* of calls of OpenSSL that have not returned */
};

enum fl_tls_outcome {
    FL_TLS_DONE,
    FL_TLS_AGAIN, /* more has to come first */
    FL_TLS_OTHER, /* the end, or an error: the same is to be asked of the object */
};

/* Is this the SSL of that context, as far as one can see? Then self, which stays where
 * it is, drives it until it is detached. */
bool fl_tls_attach(
    struct fl_tls_engine *self, const struct fl_openssl *openssl, struct ssl_st *ssl,
    const struct ssl_ctx_st *context
);
/* The SSL is as it was found. May be called always. */
void fl_tls_detach(struct fl_tls_engine *self);

/* ---- from the peer ---- */

/* Ciphertext that came. false if there is no memory. */
bool fl_tls_feed(struct fl_tls_engine *self, const char *data, size_t size);
/* The same, and it lies there until fl_tls_keep(). */
bool fl_tls_lend(struct fl_tls_engine *self, const char *data, size_t size);

/* It lies there no longer. False if there is no memory. */
static inline bool
fl_tls_keep(struct fl_tls_engine *self)
{
    self->bio.in_is_empty = false;
    return self->bio.n_fresh == 0 || fl_tls_bio_keep_fresh(&self->bio);
}

/* How much ciphertext nobody has read yet. */
static inline size_t
fl_tls_pending_in(struct fl_tls_engine *self)
{
    return self->bio.n_fresh + fl_tls_bio_queued_in(&self->bio);
}

/* Plain text, of one record at most. *n: its size, if that is DONE. */
enum fl_tls_outcome
fl_tls_read(struct fl_tls_engine *self, char *buffer, size_t size, size_t *n);

/* Can nothing be read until more comes? */
bool fl_tls_is_exhausted(struct fl_tls_engine *self);

/* ---- to the peer ---- */

/* Writes *n bytes of data, from its beginning; all of them, if that is DONE. */
enum fl_tls_outcome
fl_tls_write(struct fl_tls_engine *self, const char *data, size_t size, size_t *n);

/* How much ciphertext waits to be taken out. */
static inline size_t
fl_tls_pending_out(struct fl_tls_engine *self)
{
    if (self->bio.records != NULL) { /* who asks finds all in the queue */
        (void)fl_tls_bio_keep_records(&self->bio);
    }
    return fl_tls_bio_queued_out(&self->bio);
}

/* Takes size bytes, which are pending, of it. */
bool fl_tls_take_out(const struct fl_tls_engine *self, char *buffer, size_t size);

/* What is written goes there, as long as it fits and nobody looks; not if something is
 * pending. */
void fl_tls_gather(struct fl_tls_engine *self, struct fl_tls_records *records);
/* The end of that. Is it all there, and has nobody seen it? */
bool fl_tls_gathered(struct fl_tls_engine *self);
/* Records that were gathered, to the rest of what is pending. False if there is no
 * memory. */
bool fl_tls_put_out(struct fl_tls_engine *self, const char *data, size_t size);

#endif
