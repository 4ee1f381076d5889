/* What can be found out without the GIL of the thread that holds it.
 *
 * If it computes, a signal makes it write its stack itself: the handler is
 * faulthandler's, and runs in that thread, whose frames stand still meanwhile. One that
 * sleeps gets no signal, which would cut its system call short; there Python's own
 * writer of tracebacks is called, where this Python lets it be found, if it sleeps with
 * the GIL: one that waits for that could go on meanwhile.
 */
#include "core/loop/loop.h"
#include "os/thread_look.h"
#include "watch/lookout_state.h"

#include <dlfcn.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define FIRST_WAIT_MS 30
#define NEXT_WAIT_MS 4
#define AWAKE_MIN 0.1

typedef const char *(*dumper)(int fd, PyThreadState *thread);

static dumper
find_dumper(void)
{
    static const char *const names[] = {
        "PyUnstable_DumpTraceback", "_Py_DumpTraceback"
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        void *found = dlsym(RTLD_DEFAULT, names[i]);
        if (found != NULL) {
            dumper function;
            memcpy(&function, &found, sizeof(function));
            return function;
        }
    }
    return NULL;
}

/* Reads what comes; waits for the first of it. */
static void
read_dump(int fd, struct fl_sight *sight, int wait_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (sight->dump_size < FL_SIGHT_DUMP && poll(&ready, 1, wait_ms) > 0) {
        ssize_t n_read =
            read(fd, sight->dump + sight->dump_size, FL_SIGHT_DUMP - sight->dump_size);
        if (n_read <= 0) {
            break;
        }
        sight->dump_size += (size_t)n_read;
        sight->dump[sight->dump_size] = 0;
        wait_ms = NEXT_WAIT_MS;
    }
}

static void
discard(int fd)
{
    char bytes[1024];
    while (read(fd, bytes, sizeof(bytes)) > 0) {
    }
}

#if defined(FL_DUMPS_SHIMS)
/* Of a process, as its signals are: the same for every interpreter. */
static void (*volatile faulthandlers)(int);

/* How a frame of this Python begins. */
struct frame {
    PyObject *executable;
    const struct frame *previous;
};

/* Whether it is what lies below a call by C code, which has no code. */
static bool
is_shim(const struct frame *frame)
{
    return frame != NULL && !PyCode_Check(frame->executable);
}

/* This Python's writer takes the innermost frame for one with code, and each behind a
 * shim. While a function ends that C code has called, and its variables die, a shim is
 * the innermost. Then nothing is written. */
static void
write_unless_in_between(int number)
{
    const PyThreadState *thread = PyGILState_GetThisThreadState();
    const struct frame *frame =
        thread == NULL ? NULL : (const struct frame *)(void *)thread->current_frame;
    while (frame != NULL && !is_shim(frame)) {
        frame = frame->previous;
        frame = is_shim(frame) ? frame->previous : frame;
    }
    if (frame == NULL) {
        faulthandlers(number);
    }
}
#endif

void
fl_blind_take_handler(struct fl_lookout *self)
{
    int number = self->settings.dump_signal;
    struct sigaction action;
    if (number == 0 || sigaction(number, NULL, &action) < 0) {
        return;
    }
#if defined(FL_DUMPS_SHIMS)
    faulthandlers = action.sa_handler;
    action.sa_handler = write_unless_in_between;
    sigaction(number, &action, NULL);
#endif
    self->dumps = action.sa_handler;
}

/* Whether a thread that has been awake for that share of late is on a processor now, or
 * waits for one: so at two moments, or it might be about to sleep. */
static bool
computes(pid_t thread, double awake_share)
{
    if (awake_share < AWAKE_MIN || fl_thread_state(thread) != 'R') {
        return false;
    }
    struct timespec moment = {0, 2000000};
    nanosleep(&moment, NULL);
    return fl_thread_state(thread) == 'R';
}

void
fl_blind_look(
    const struct fl_lookout *self, struct fl_sight *sight, pid_t thread,
    PyThreadState *python_thread
)
{
    const struct fl_lookout_settings *settings = &self->settings;
    sight->awake = computes(thread, sight->awake_share);
    sight->blind = fl_thread_has_gil(python_thread);
    if (fl_hatch_is_lost(self)) {
        return;
    }
    discard(settings->dump_read_fd);
    if (sight->awake) {
        if (fl_lookout_has_signal(self) &&
            fl_thread_signal(thread, settings->dump_signal) == 0) {
            read_dump(settings->dump_read_fd, sight, FIRST_WAIT_MS);
        }
        return;
    }
    if (!sight->blind) {
        return;
    }
    fl_thread_call(thread, sight->call, sizeof(sight->call));
    dumper dump = find_dumper();
    if (dump != NULL && fl_thread_state(thread) == 'S') {
        (void)dump(settings->dump_write_fd, python_thread);
        read_dump(settings->dump_read_fd, sight, 0);
    }
}

/* So that nobody has to wait for who does not read: what a pipe has no room for is
 * left out. */
static void
write_if_there_is_room(int fd, const char *text, size_t size)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    while (size > 0 && poll(&room, 1, 0) > 0 && (room.revents & POLLOUT) != 0) {
        size_t part = size < PIPE_BUF ? size : PIPE_BUF;
        ssize_t n = write(fd, text, part);
        if (n <= 0) {
            return;
        }
        text += n;
        size -= (size_t)n;
    }
}

void
fl_blind_write(const struct fl_lookout *self, const struct fl_sight *sight)
{
    char text[FL_SIGHT_DUMP + 256];
    int fd = self->settings.tell_fd;
    if (fd < 0 || fl_hatch_is_lost(self)) {
        return;
    }
    int size = snprintf(
        text, sizeof(text), "fastloop: blocked for %.3f s so far %s%s%s\n%s",
        sight->elapsed_s,
        !sight->blind  ? "while another thread holds the GIL"
        : sight->awake ? "by what computes and holds the GIL"
                       : "by what sleeps and holds the GIL",
        sight->call[0] != 0 ? ", in " : "", sight->call, sight->dump
    );
    if (size > 0) {
        write_if_there_is_room(fd, text, (size_t)size);
    }
}
