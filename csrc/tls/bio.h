/* What OpenSSL reads from and writes to on a connection that is driven: a BIO of ours
 * before the two ssl.MemoryBIO of its object.
 *
 * What has just come is read where it lies, and a record that is to go is put where it
 * is sent from. All else is in the two queues, where Python's methods find it: what
 * came before they were called, too.
 */
#ifndef FASTLOOP_TLS_BIO_H
#define FASTLOOP_TLS_BIO_H

#include "tls/openssl.h"

#include <stdbool.h>

enum {
    FL_RECORD_PLAIN = 16 * 1024, /* the most that is in one */
    FL_RECORD_BYTES = FL_RECORD_PLAIN + 512,
    FL_RECORD_EXTRA = 128, /* more than what makes it one takes */
};

/* Records that are to go. */
struct fl_tls_records {
    char *data;
    size_t room;
    size_t size;
};

struct fl_tls_bio {
    const struct fl_openssl *openssl;
    struct bio_st *in;  /* what came from the peer; owned, like the next */
    struct bio_st *out; /* what is to go to him */
    /* What came behind all that `in` has; size 0: nothing. */
    const char *fresh;
    size_t n_fresh;
    bool in_is_empty;  /* for sure, that is, and so it stays until more comes */
    bool out_is_empty; /* the same */
    /* Takes what is written, while there is nothing in `out`; or NULL. */
    struct fl_tls_records *records;
};

/* Makes such BIOs possible. False if there is no memory. Once. */
bool fl_tls_bio_prepare(struct fl_openssl *openssl);

/* Goes between the SSL and its two BIOs; self stays where it is. False, and nothing has
 * changed, if it has none or there is no memory. */
bool fl_tls_bio_insert(
    struct fl_tls_bio *self, const struct fl_openssl *openssl, struct ssl_st *ssl
);
/* The SSL has its own ones again. */
void fl_tls_bio_remove(struct fl_tls_bio *self, struct ssl_st *ssl);

/* Puts what is fresh, or records, into the queue. False if there is no memory; what was
 * fresh is lost then. */
bool fl_tls_bio_keep_fresh(struct fl_tls_bio *self);
bool fl_tls_bio_keep_records(struct fl_tls_bio *self);

/* More into the queue of what came. False if there is no memory. */
bool fl_tls_bio_add(struct fl_tls_bio *self, const char *data, size_t size);

/* How much the queues have. */
size_t fl_tls_bio_queued_in(struct fl_tls_bio *self);
size_t fl_tls_bio_queued_out(struct fl_tls_bio *self);

#endif
