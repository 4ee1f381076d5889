/* OpenSSL's calls that a record takes. */
#include "tls/engine.h"

#include <limits.h>

/* OpenSSL's numbers, which its headers promise to keep. */
enum {
    BIO_ASKS_PENDING = 10,
    SSL_WANTS_READ = 2,
};

bool
fl_tls_attach(
    struct fl_tls_engine *self, const struct fl_openssl *openssl, struct ssl_st *ssl,
    const struct ssl_ctx_st *context
)
{
    if (ssl == NULL || context == NULL || openssl->SSL_get_SSL_CTX(ssl) != context) {
        return false;
    }
    self->in = openssl->SSL_get_rbio(ssl);
    self->out = openssl->SSL_get_wbio(ssl);
    if (self->in == NULL || self->out == NULL) {
        return false;
    }
    self->openssl = openssl;
    self->ssl = ssl;
    return true;
}

static size_t
pending(const struct fl_tls_engine *self, struct bio_st *bio)
{
    long n = self->openssl->BIO_ctrl(bio, BIO_ASKS_PENDING, 0, NULL);
    return n > 0 ? (size_t)n : 0;
}

size_t
fl_tls_pending_in(const struct fl_tls_engine *self)
{
    return pending(self, self->in);
}

size_t
fl_tls_pending_out(const struct fl_tls_engine *self)
{
    return pending(self, self->out);
}

int
fl_tls_feed(const struct fl_tls_engine *self, const char *data, size_t size)
{
    return size <= INT_MAX &&
                   self->openssl->BIO_write(self->in, data, (int)size) == (int)size
               ? 0
               : -1;
}

bool
fl_tls_take_out(const struct fl_tls_engine *self, char *buffer, size_t size)
{
    return size <= INT_MAX &&
           self->openssl->BIO_read(self->out, buffer, (int)size) == (int)size;
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
fl_tls_read(const struct fl_tls_engine *self, char *buffer, size_t size, size_t *n)
{
    forget_errors(self);
    if (self->openssl->SSL_read_ex(self->ssl, buffer, size, n) == 1) {
        return FL_TLS_DONE;
    }
    return outcome(self);
}

bool
fl_tls_is_exhausted(const struct fl_tls_engine *self)
{
    return pending(self, self->in) == 0 &&
           self->openssl->SSL_has_pending(self->ssl) == 0;
}

enum fl_tls_outcome
fl_tls_write(const struct fl_tls_engine *self, const char *data, size_t size, size_t *n)
{
    forget_errors(self);
    *n = 0;
    while (*n < size) {
        size_t written = 0;
        if (self->openssl->SSL_write_ex(self->ssl, data + *n, size - *n, &written) !=
            1) {
            return outcome(self);
        }
        *n += written;
    }
    return FL_TLS_DONE;
}
