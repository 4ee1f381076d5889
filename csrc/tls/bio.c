/* The BIO's methods. OpenSSL calls them, in any thread, with or without the GIL:
 * nothing here calls Python.
 */
#include "tls/bio.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

/* OpenSSL's numbers, which its headers promise to keep. */
enum {
    IS_SOURCE_AND_SINK = 0x400,
    ASKS_END = 2,
    ASKS_PENDING = 10,
    FLUSHES = 11,
    ASKS_PENDING_OUT = 13,
    READS_LATER = 0x1 | 0x8, /* a read is to be tried again */
    SAYS_WHEN = 0xf,         /* all flags of that kind */
};

typedef void *bio_data(struct bio_st *);

/* BIO_get_data() of the process's OpenSSL, which is one: a method has nothing but the
 * BIO to find all else by. Set once; other interpreters set the same. */
static _Atomic(bio_data *) data_of;

static struct fl_tls_bio *
self_of(struct bio_st *bio)
{
    return atomic_load_explicit(&data_of, memory_order_relaxed)(bio);
}

static bool
put(const struct fl_tls_bio *self, struct bio_st *queue, const char *data, size_t size)
{
    return size <= INT_MAX &&
           (size == 0 || self->openssl->BIO_write(queue, data, (int)size) == (int)size);
}

static size_t
queued(const struct fl_tls_bio *self, struct bio_st *queue)
{
    long n = self->openssl->BIO_ctrl(queue, ASKS_PENDING, 0, NULL);
    return n > 0 ? (size_t)n : 0;
}

bool
fl_tls_bio_add(struct fl_tls_bio *self, const char *data, size_t size)
{
    self->in_is_empty = false;
    return put(self, self->in, data, size);
}

bool
fl_tls_bio_keep_fresh(struct fl_tls_bio *self)
{
    size_t size = self->n_fresh;
    self->n_fresh = 0;
    return fl_tls_bio_add(self, self->fresh, size);
}

bool
fl_tls_bio_keep_records(struct fl_tls_bio *self)
{
    const struct fl_tls_records *records = self->records;
    self->out_is_empty = false;
    if (records != NULL && !put(self, self->out, records->data, records->size)) {
        return false;
    }
    self->records = NULL;
    return true;
}

size_t
fl_tls_bio_queued_in(struct fl_tls_bio *self)
{
    return self->in_is_empty ? 0 : queued(self, self->in);
}

size_t
fl_tls_bio_queued_out(struct fl_tls_bio *self)
{
    size_t n = self->out_is_empty ? 0 : queued(self, self->out);
    self->out_is_empty = n == 0;
    return n;
}

/* ---- the methods ---- */

/* From the queue, which says what it says. */
static int
read_queue(
    const struct fl_tls_bio *self, struct bio_st *bio, char *data, size_t size,
    size_t *n
)
{
    int got =
        self->openssl->BIO_read(self->in, data, size < INT_MAX ? (int)size : INT_MAX);
    if (got > 0) {
        *n = (size_t)got;
        return 1;
    }
    if (self->openssl->BIO_test_flags(self->in, READS_LATER) == READS_LATER) {
        self->openssl->BIO_set_flags(bio, READS_LATER);
    }
    return got;
}

static int
bio_read(struct bio_st *bio, char *data, size_t size, size_t *n)
{
    struct fl_tls_bio *self = self_of(bio);
    *n = 0;
    self->openssl->BIO_clear_flags(bio, SAYS_WHEN);
    if (self->n_fresh == 0) {
        return read_queue(self, bio, data, size, n);
    }
    *n = size < self->n_fresh ? size : self->n_fresh;
    memcpy(data, self->fresh, *n);
    self->fresh += *n;
    self->n_fresh -= *n;
    return 1;
}

static int
bio_write(struct bio_st *bio, const char *data, size_t size, size_t *n)
{
    struct fl_tls_bio *self = self_of(bio);
    struct fl_tls_records *records = self->records;
    *n = 0;
    self->openssl->BIO_clear_flags(bio, SAYS_WHEN);
    if (records != NULL && size <= records->room - records->size) {
        memcpy(records->data + records->size, data, size);
        records->size += size;
    }
    else if (!fl_tls_bio_keep_records(self) || !put(self, self->out, data, size)) {
        return -1;
    }
    *n = size;
    return 1;
}

static long
bio_answer(struct bio_st *bio, int question, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (question == FLUSHES) {
        return 1;
    }
    if (question != ASKS_END && question != ASKS_PENDING &&
        question != ASKS_PENDING_OUT) { /* has the kernel a part in it? and the like */
        return 0;
    }
    const struct fl_tls_bio *self = self_of(bio);
    if (question == ASKS_END) {
        return self->n_fresh == 0 &&
               self->openssl->BIO_ctrl(self->in, ASKS_END, 0, NULL) != 0;
    }
    if (question == ASKS_PENDING) {
        return (long)(self->n_fresh + queued(self, self->in));
    }
    size_t n = self->records == NULL ? 0 : self->records->size;
    return (long)(n + queued(self, self->out));
}

/* ---- between the SSL and its queues ---- */

bool
fl_tls_bio_prepare(struct fl_openssl *openssl)
{
    bio_data *expected = NULL;
    if (!atomic_compare_exchange_strong(&data_of, &expected, openssl->BIO_get_data) &&
        expected != openssl->BIO_get_data) {
        return false; /* a second OpenSSL in the process */
    }
    struct bio_method_st *method =
        openssl->BIO_meth_new(IS_SOURCE_AND_SINK, "fastloop");
    if (method == NULL) {
        return false;
    }
    openssl->bio_method = method;
    return openssl->BIO_meth_set_read_ex(method, bio_read) == 1 &&
           openssl->BIO_meth_set_write_ex(method, bio_write) == 1 &&
           openssl->BIO_meth_set_ctrl(method, bio_answer) == 1;
}

bool
fl_tls_bio_insert(
    struct fl_tls_bio *self, const struct fl_openssl *openssl, struct ssl_st *ssl
)
{
    struct bio_st *in = openssl->SSL_get_rbio(ssl);
    struct bio_st *out = openssl->SSL_get_wbio(ssl);
    struct bio_st *bio =
        in == NULL || out == NULL ? NULL : openssl->BIO_new(openssl->bio_method);
    if (bio == NULL) {
        return false;
    }
    (void)openssl->BIO_up_ref(in);
    (void)openssl->BIO_up_ref(out);
    *self = (struct fl_tls_bio){.openssl = openssl, .in = in, .out = out};
    openssl->BIO_set_data(bio, self);
    openssl->SSL_set_bio(ssl, bio, bio); /* steals bio */
    return true;
}

void
fl_tls_bio_remove(struct fl_tls_bio *self, struct ssl_st *ssl)
{
    (void)fl_tls_bio_keep_fresh(self);
    (void)fl_tls_bio_keep_records(self);
    self->openssl->SSL_set_bio(ssl, self->in, self->out); /* steals both */
    *self = (struct fl_tls_bio){0};
}
