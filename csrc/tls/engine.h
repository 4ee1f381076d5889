/* Records between two queues of ciphertext and the SSL of a Python object.
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

#include "tls/openssl.h"

#include <stdbool.h>

struct fl_tls_engine {
    const struct fl_openssl *openssl; /* NULL: it drives nothing */
    struct ssl_st *ssl;               /* these live as long as the object */
    struct bio_st *in;                /* what came from the peer */
    struct bio_st *out;               /* what is to go to him */
};

enum fl_tls_outcome {
    FL_TLS_DONE,
    FL_TLS_AGAIN, /* more has to come first */
    FL_TLS_OTHER, /* the end, or an error: the same is to be asked of the object */
};

/* Is this the SSL of that context, as far as one can see? Then self drives it. */
bool fl_tls_attach(
    struct fl_tls_engine *self, const struct fl_openssl *openssl, struct ssl_st *ssl,
    const struct ssl_ctx_st *context
);

/* Ciphertext that came. 0, or -1 if there is no memory. */
int fl_tls_feed(const struct fl_tls_engine *self, const char *data, size_t size);

/* How much ciphertext nobody has read yet, of what came or of what is to go. */
size_t fl_tls_pending_in(const struct fl_tls_engine *self);
size_t fl_tls_pending_out(const struct fl_tls_engine *self);

/* Takes size bytes, which are pending, of what is to go. */
bool fl_tls_take_out(const struct fl_tls_engine *self, char *buffer, size_t size);

/* Plain text, of one record at most. *n: its size, if that is DONE. */
enum fl_tls_outcome
fl_tls_read(const struct fl_tls_engine *self, char *buffer, size_t size, size_t *n);

/* Can nothing be read until more comes? */
bool fl_tls_is_exhausted(const struct fl_tls_engine *self);

/* Writes *n bytes of data, from its beginning; all of them, if that is DONE. */
enum fl_tls_outcome fl_tls_write(
    const struct fl_tls_engine *self, const char *data, size_t size, size_t *n
);

#endif
