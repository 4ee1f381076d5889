/* OpenSSL's calls that a record takes. */
#include "tls/engine.h"

#include "tls/warm.h"

#include <limits.h>

/* OpenSSL's numbers, which its headers promise to keep. */
enum {
    SSL_WANTS_READ = 2,
};

bool
fl_tls_attach(
    struct fl_tls_engine *self, const struct fl_openssl *openssl, struct ssl_st *ssl,
    const struct ssl_ctx_st *context
)
{
    if (ssl == NULL || context == NULL || openssl->SSL_get_SSL_CTX(ssl) != context ||
        !fl_tls_bio_insert(&self->bio, openssl, ssl)) {
        return false;
    }
    self->openssl = openssl;
    self->ssl = ssl;
    return true;
}

void
fl_tls_detach(struct fl_tls_engine *self)
{
    if (self->openssl != NULL) {
        fl_tls_cool_down(self);
        self->openssl = NULL;
        fl_tls_bio_remove(&self->bio, self->ssl);
    }
}

bool
fl_tls_feed(struct fl_tls_engine *self, const char *data, size_t size)
{
    return fl_tls_keep(self) && fl_tls_bio_add(&self->bio, data, size);
}

bool
fl_tls_lend(struct fl_tls_engine *self, const char *data, size_t size)
{
    struct fl_tls_bio *bio = &self->bio;
    if (bio->n_fresh > 0 || fl_tls_bio_queued_in(bio) > 0) {
        return fl_tls_feed(self, data, size);
    }
    bio->in_is_empty = true;
    bio->fresh = data;
    bio->n_fresh = size;
    return true;
}

void
fl_tls_gather(struct fl_tls_engine *self, struct fl_tls_records *records)
{
    records->size = 0;
    if (fl_tls_pending_out(self) == 0) {
        self->bio.records = records;
    }
}

bool
fl_tls_gathered(struct fl_tls_engine *self)
{
    bool gathered = self->bio.records != NULL;
    self->bio.records = NULL;
    return gathered;
}

bool
fl_tls_put_out(struct fl_tls_engine *self, const char *data, size_t size)
{
    self->bio.out_is_empty = false;
    return self->openssl->BIO_write(self->bio.out, data, (int)size) == (int)size;
}

bool
fl_tls_take_out(const struct fl_tls_engine *self, char *buffer, size_t size)
{
    return size <= INT_MAX &&
           self->openssl->BIO_read(self->bio.out, buffer, (int)size) == (int)size;
}

/* What others left in the thread's queue of errors would be taken for ours. */
static void
forget_errors(const struct fl_tls_engine *self)
{
    if (self->openssl->ERR_peek_error() != 0) {
        self->openssl->ERR_clear_error();
    }
}

/* Of a call that has failed. An error stays in the queue, where the object's method
 * finds it when it is called next. */
static enum fl_tls_outcome
outcome(const struct fl_tls_engine *self)
{
    return self->openssl->SSL_get_error(self->ssl, 0) == SSL_WANTS_READ ? FL_TLS_AGAIN
                                                                        : FL_TLS_OTHER;
}

enum fl_tls_outcome
fl_tls_read(struct fl_tls_engine *self, char *buffer, size_t size, size_t *n)
{
    forget_errors(self);
    self->depth++;
    int done = self->openssl->SSL_read_ex(self->ssl, buffer, size, n);
    self->depth--;
    return done == 1 ? FL_TLS_DONE : outcome(self);
}

bool
fl_tls_is_exhausted(struct fl_tls_engine *self)
{
    return fl_tls_pending_in(self) == 0 &&
           self->openssl->SSL_has_pending(self->ssl) == 0;
}

enum fl_tls_outcome
fl_tls_write(struct fl_tls_engine *self, const char *data, size_t size, size_t *n)
{
    const struct fl_openssl *openssl = self->openssl;
    int done = 1;
    self->depth++; /* fast: it does not fail for want of more, so old errors may stay */
    for (*n = 0; done == 1 && *n < size;) {
        size_t written = 0;
        done = openssl->SSL_write_ex(self->ssl, data + *n, size - *n, &written);
        *n += written;
    }
    self->depth--;
    return done == 1 ? FL_TLS_DONE : outcome(self);
}
