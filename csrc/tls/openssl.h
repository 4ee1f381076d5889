/* The functions of the OpenSSL that Python's ssl module has loaded, found at run time:
 * this module is linked to no library of its own, so there is never a second one.
 */
#ifndef FASTLOOP_TLS_OPENSSL_H
#define FASTLOOP_TLS_OPENSSL_H

#include <stddef.h>

struct bio_st;
struct ssl_ctx_st;
struct ssl_st;

/* X(result, name, parameters) */
#define FL_OPENSSL_FUNCTIONS(X)                                             \
    X(unsigned long, OpenSSL_version_num, (void))                           \
    X(unsigned long, ERR_peek_error, (void))                                \
    X(void, ERR_clear_error, (void))                                        \
    X(int, BIO_read, (struct bio_st *, void *, int))                        \
    X(int, BIO_write, (struct bio_st *, const void *, int))                 \
    X(long, BIO_ctrl, (struct bio_st *, int, long, void *))                 \
    X(struct ssl_ctx_st *, SSL_get_SSL_CTX, (const struct ssl_st *))        \
    X(struct bio_st *, SSL_get_rbio, (const struct ssl_st *))               \
    X(struct bio_st *, SSL_get_wbio, (const struct ssl_st *))               \
    X(int, SSL_read_ex, (struct ssl_st *, void *, size_t, size_t *))        \
    X(int, SSL_write_ex, (struct ssl_st *, const void *, size_t, size_t *)) \
    X(int, SSL_get_error, (const struct ssl_st *, int))                     \
    X(int, SSL_has_pending, (const struct ssl_st *))

struct fl_openssl {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): they are types */
#define FL_FIELD_FUNCTION(result, name, parameters) result(*name) parameters;
    FL_OPENSSL_FUNCTIONS(FL_FIELD_FUNCTION)
#undef FL_FIELD_FUNCTION
    void *library; /* keeps them where they are */
};

/* Those that the shared object at path sees; NULL if it has not been loaded, lacks one
 * of them, its version is another, or there is no memory. */
struct fl_openssl *fl_openssl_find(const char *path, unsigned long version);

/* May be NULL. */
void fl_openssl_free(struct fl_openssl *self);

#endif
