/* What the files of traffic share: see protocol.h. */
#ifndef FASTLOOP_TLS_TRAFFIC_H
#define FASTLOOP_TLS_TRAFFIC_H

#include "base/hot.h"
#include "tls/protocol.h"
#include "tls/warm.h"

/* asyncio's method of that name, on the same object; argument may be NULL. New or NULL.
 * escapes. */
PyObject *
fl_tls_stock(PyObject *class, PyObject *name, PyObject *op, PyObject *argument);
/* The same of the protocol, without arguments. 0 or -1. escapes. */
int fl_tls_stock_noargs(TlsObject *self, PyObject *name);
/* The object's own method of that name. 0 or -1. escapes. */
int fl_tls_call(TlsObject *self, PyObject *name);
/* except Exception: self._fatal_error(...). 0, or -1 with an exception. escapes. */
int fl_tls_failed(TlsObject *self);

/* _control_app_writing and _control_ssl_reading. 0 or -1. escapes. */
int fl_tls_mind_writing(TlsObject *self);
int fl_tls_mind_reading(TlsObject *self);
/* _process_outgoing. 0 or -1. escapes. */
int fl_tls_send(TlsObject *self);

static inline bool
fl_tls_is_driven(const TlsObject *self)
{
    return self->engine.openssl != NULL;
}

/* A record comes or goes. */
static inline void
fl_tls_is_used(TlsObject *self)
{
    fl_tls_use(&self->module->tls.openssl->warm, &self->engine);
}

static inline bool
fl_tls_is_flag(const PyObject *value)
{
    return value == Py_True || value == Py_False;
}

static inline PyObject *
fl_tls_none(int status)
{
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

#endif
