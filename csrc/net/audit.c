/* A hook in C for Python's audit events. */
#include "net/audit.h"

#include "base/fault.h"

#include <stdlib.h>
#include <string.h>

#define OWN_EVENT "fastloop.join"

static bool
starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool
starts_with_one(const char *event, const char *const *kinds)
{
    for (; *kinds != NULL; kinds++) {
        if (starts_with(event, *kinds)) {
            return true;
        }
    }
    return false;
}

/* Is it of something that may be seen outside of the process, or that takes long, or of
 * a thread that may do either? Nearly all are told apart by their first letter: each
 * id() is an event. */
static bool
reaches_out(const char *event)
{
    static const char *const with_f[] = {"fcntl.", NULL};
    static const char *const with_o[] = {"open", "os.", NULL};
    static const char *const with_s[] = {
        "shutil.", "signal.", "socket.", "subprocess.", "syslog.", NULL,
    };
    static const char *const with_t[] = {"time.sleep", NULL};
    static const char *const with_line[] = {"_thread.start_", NULL};
    switch (event[0]) {
    case 'f':
        return starts_with_one(event, with_f);
    case 'o':
        return starts_with_one(event, with_o);
    case 's':
        return starts_with_one(event, with_s);
    case 't':
        return starts_with_one(event, with_t);
    case '_':
        return starts_with_one(event, with_line);
    default:
        return false;
    }
}

static int
on_event(const char *event, PyObject *Py_UNUSED(args), void *data)
{
    struct fl_audit *self = data;
    if (reaches_out(event) && self->interpreter == PyInterpreterState_Get() &&
        self->state != NULL) {
        return fl_thread_flush(self->state); /* escapes */
    }
    if (!self->heard && strcmp(event, OWN_EVENT) == 0) {
        self->heard = true;
    }
    return 0;
}

void
fl_audit_add_hook(struct fl_state *state)
{
    struct fl_audit *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return;
    }
    self->state = state;
    self->interpreter = PyInterpreterState_Get();
    state->net.audit = self;
    /* a hook of the program's may refuse it, in silence too */
    if (PySys_AddAuditHook(on_event, self) < 0 || /* escapes */
        PySys_Audit(OWN_EVENT, NULL) < 0) {       /* escapes */
        PyErr_Clear();
    }
}

void
fl_audit_leave(struct fl_state *state)
{
    if (state->net.audit != NULL) {
        state->net.audit->state =
            NULL; /* it may be called as long as there is Python */
        state->net.audit = NULL;
    }
}
