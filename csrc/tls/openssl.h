/* The functions of the OpenSSL that Python's ssl module has loaded, found at run time:
 * this module is linked to no library of its own, so there is never a second one.
 */
#ifndef FASTLOOP_TLS_OPENSSL_H
#define FASTLOOP_TLS_OPENSSL_H

#include <stddef.h>
#include <stdint.h>

struct bio_method_st;
struct bio_st;
struct fl_tls_engine;
struct ssl_ctx_st;
struct ssl_st;

/* What a BIO of ours is made of. */
typedef int fl_bio_reads(struct bio_st *, char *, size_t, size_t *);
typedef int fl_bio_writes(struct bio_st *, const char *, size_t, size_t *);
typedef long fl_bio_answers(struct bio_st *, int, long, void *);

/* X(result, name, parameters) */
#define FL_OPENSSL_FUNCTIONS(X)                                               \
    X(struct bio_method_st *, BIO_meth_new, (int, const char *))              \
    X(void, BIO_meth_free, (struct bio_method_st *))                          \
    X(int, BIO_meth_set_read_ex, (struct bio_method_st *, fl_bio_reads *))    \
    X(int, BIO_meth_set_write_ex, (struct bio_method_st *, fl_bio_writes *))  \
    X(int, BIO_meth_set_ctrl, (struct bio_method_st *, fl_bio_answers *))     \
    X(struct bio_st *, BIO_new, (const struct bio_method_st *))               \
    X(int, BIO_up_ref, (struct bio_st *))                                     \
    X(void, BIO_set_data, (struct bio_st *, void *))                          \
    X(void *, BIO_get_data, (struct bio_st *))                                \
    X(void, BIO_set_flags, (struct bio_st *, int))                            \
    X(void, BIO_clear_flags, (struct bio_st *, int))                          \
    X(int, BIO_test_flags, (const struct bio_st *, int))                      \
    X(void, SSL_set_bio, (struct ssl_st *, struct bio_st *, struct bio_st *)) \
    X(long, SSL_ctrl, (struct ssl_st *, int, long, void *))                   \
    X(int, SSL_free_buffers, (struct ssl_st *))                               \
    X(int, SSL_in_init, (const struct ssl_st *))                              \
    X(const char *, SSL_rstate_string, (const struct ssl_st *))               \
    X(unsigned long, OpenSSL_version_num, (void))                             \
    X(unsigned long, ERR_peek_error, (void))                                  \
    X(void, ERR_clear_error, (void))                                          \
    X(int, BIO_read, (struct bio_st *, void *, int))                          \
    X(int, BIO_write, (struct bio_st *, const void *, int))                   \
    X(long, BIO_ctrl, (struct bio_st *, int, long, void *))                   \
    X(struct ssl_ctx_st *, SSL_get_SSL_CTX, (const struct ssl_st *))          \
    X(struct bio_st *, SSL_get_rbio, (const struct ssl_st *))                 \
    X(struct bio_st *, SSL_get_wbio, (const struct ssl_st *))                 \
    X(int, SSL_read_ex, (struct ssl_st *, void *, size_t, size_t *))          \
    X(int, SSL_write_ex, (struct ssl_st *, const void *, size_t, size_t *))   \
    X(int, SSL_get_error, (const struct ssl_st *, int))                       \
    X(int, SSL_has_pending, (const struct ssl_st *))

enum { FL_TLS_WARM = 16 };

/* tls/warm.h */
struct fl_tls_warm {
    struct fl_tls_engine *engines[FL_TLS_WARM]; /* NULL: free */
    uint32_t next;                              /* who of them is to make room */
    uint32_t uses;                              /* of all connections */
};

struct fl_openssl {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): they are types */
#define FL_FIELD_FUNCTION(result, name, parameters) result(*name) parameters;
    FL_OPENSSL_FUNCTIONS(FL_FIELD_FUNCTION)
#undef FL_FIELD_FUNCTION
    void *library;                    /* keeps them where they are */
    struct bio_method_st *bio_method; /* tls/bio.h; or NULL */
    struct fl_tls_warm warm;
    char *place; /* tls/outgoing.c; malloc's, or NULL */
};

/* Those that the shared object at path sees; NULL if it has not been loaded, lacks one
 * of them, its version is another, or there is no memory. */
struct fl_openssl *fl_openssl_find(const char *path, unsigned long version);

/* May be NULL. */
void fl_openssl_free(struct fl_openssl *self);

#endif
