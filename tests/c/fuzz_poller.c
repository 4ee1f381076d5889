/* Random programs on the poller; the model knows which file each number is, which
 * files are ready, and which file each watch was last registered with.
 *
 * A watch whose number was closed or given another file behind the poller's back is
 * stale: it may be told of the old file while a duplicate keeps that alive, and need
 * not be; it is never told of the number's next file. It is doubtful once the poller
 * may know that: then the old file may be under its number again, and be missed.
 */
#include "os/poller.h"

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_NUMBERS 8
#define FIRST_NUMBER 100
#define N_FILES 256
#define BOTH (FL_POLL_READ | FL_POLL_WRITE)

struct file {
    int peer; /* the other end of a pair, or -1: an eventfd, or its peer is closed */
    bool pair;
    bool readable;
    int n_numbers; /* that are this file */
};

struct probe {
    struct fl_watch watch;
    struct file *registered; /* the kernel knows the watch by this file */
    bool in;
    bool doubtful;
    bool settled; /* must be told in this dispatch, if it is ready */
    bool called;
    uint32_t told;
};

static struct {
    struct fl_poller poller;
    struct probe probe[N_NUMBERS];
    struct file *number[N_NUMBERS]; /* NULL: closed */
    struct file files[N_FILES];
    size_t n_files;
    struct fuzz_program program;
    bool dispatching;
} m;

static int
fd_of(size_t i)
{
    return FIRST_NUMBER + (int)i;
}

static uint32_t
ready(const struct file *file)
{
    bool hung_up = file->pair && file->peer < 0;
    return FL_POLL_WRITE | (file->readable || hung_up ? FL_POLL_READ : 0);
}

/* ---- files ---- */

static void
close_number(size_t i)
{
    struct file *file = m.number[i];
    if (file == NULL) {
        return;
    }
    HOLDS(close(fd_of(i)) == 0);
    m.number[i] = NULL;
    if (--file->n_numbers > 0) {
        return;
    }
    if (file->peer >= 0) {
        (void)close(file->peer);
    }
    for (size_t k = 0; k < N_NUMBERS; k++) {
        if (m.probe[k].registered == file) {
            m.probe[k].registered = NULL;
        }
    }
}

static void
open_number(size_t i, bool pair)
{
    if (m.n_files == N_FILES) {
        return;
    }
    close_number(i);
    int ends[2] = {-1, -1};
    if (pair) {
        HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    }
    else {
        ends[0] = eventfd(0, EFD_NONBLOCK);
    }
    HOLDS(ends[0] >= 0 && dup2(ends[0], fd_of(i)) == fd_of(i));
    (void)close(ends[0]);
    struct file *file = &m.files[m.n_files++];
    *file = (struct file){.peer = ends[1], .pair = pair, .n_numbers = 1};
    m.number[i] = file;
}

static void
duplicate(size_t from, size_t to)
{
    if (m.number[from] == NULL || m.number[from] == m.number[to]) {
        return;
    }
    close_number(to);
    HOLDS(dup2(fd_of(from), fd_of(to)) == fd_of(to));
    m.number[to] = m.number[from];
    m.number[to]->n_numbers++;
}

static void
make_readable(size_t i)
{
    const uint64_t one = 1;
    struct file *file = m.number[i];
    if (file == NULL || file->readable || (file->pair && file->peer < 0)) {
        return;
    }
    int fd = file->pair ? file->peer : fd_of(i);
    HOLDS(write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
    file->readable = true;
}

static void
drain(size_t i)
{
    uint64_t taken;
    struct file *file = m.number[i];
    if (file != NULL && file->readable) {
        HOLDS(read(fd_of(i), &taken, sizeof(taken)) == (ssize_t)sizeof(taken));
        file->readable = false;
    }
}

static void
hang_up(size_t i)
{
    struct file *file = m.number[i];
    if (file != NULL && file->peer >= 0) {
        (void)close(file->peer);
        file->peer = -1;
    }
}

/* ---- watches ---- */

static bool
is_settled(size_t i)
{
    const struct probe *probe = &m.probe[i];
    return probe->in && !probe->doubtful && probe->watch.events != 0 &&
           m.number[i] != NULL && probe->registered == m.number[i];
}

static void
add(size_t i, uint32_t events, bool one_shot)
{
    struct probe *probe = &m.probe[i];
    if (probe->in) {
        HOLDS(fl_poller_add(&m.poller, &probe->watch) == -EEXIST);
        return;
    }
    probe->watch.events = events;
    probe->watch.one_shot = one_shot;
    probe->doubtful = false;
    int err = fl_poller_add(&m.poller, &probe->watch);
    HOLDS(err == (m.number[i] == NULL ? -EBADF : 0));
    probe->in = err == 0;
    probe->settled = false;
    probe->called = true; /* no event that was fetched before may reach it */
    probe->registered = err == 0 && events != 0 ? m.number[i] : NULL;
}

static void
change(size_t i, uint32_t events, bool renew)
{
    struct probe *probe = &m.probe[i];
    uint32_t before = probe->watch.events;
    int err = renew ? fl_poller_renew(&m.poller, &probe->watch, events)
                    : fl_poller_modify(&m.poller, &probe->watch, events);
    if (!probe->in) {
        HOLDS(err == -ENOENT);
        return;
    }
    if (before == events && (!renew || events == 0)) {
        HOLDS(err == 0);
        return;
    }
    if (events == 0 || before == 0) {
        HOLDS(err == (events != 0 && m.number[i] == NULL ? -EBADF : 0));
    }
    else if (m.number[i] == NULL) {
        HOLDS(err == -EBADF);
    }
    else if (!probe->doubtful) {
        HOLDS(err == (probe->registered == m.number[i] ? 0 : -ENOENT));
    }
    HOLDS(probe->watch.events == (err == 0 ? events : before));
    probe->settled = false;
    if (err == 0) {
        probe->registered = events == 0 ? NULL : m.number[i];
    }
    probe->doubtful = err < 0 && before != 0;
}

static void
take_out(size_t i)
{
    HOLDS(fl_poller_remove(&m.poller, &m.probe[i].watch) == 0);
    m.probe[i].in = m.probe[i].settled = false;
    m.probe[i].registered = NULL;
}

static void
find(size_t i)
{
    struct fl_watch *found = fl_poller_find(&m.poller, fd_of(i));
    HOLDS(found == (m.probe[i].in ? &m.probe[i].watch : NULL));
    HOLDS(fl_poller_find(&m.poller, -1) == NULL);
    HOLDS(fl_poller_find(&m.poller, 1 << 20) == NULL);
}

/* The kernel object is a new one: every watch that is not stale is registered. */
static void
note_reopened(void)
{
    for (size_t i = 0; i < N_NUMBERS; i++) {
        struct probe *probe = &m.probe[i];
        if (probe->in && probe->watch.events == 0) {
            probe->registered = NULL;
        }
        else if (probe->in && probe->registered != m.number[i]) {
            probe->doubtful = true;
        }
    }
}

static void
reopen(void)
{
    HOLDS(fl_poller_reopen(&m.poller) == 0);
    note_reopened();
}

/* ---- a program ---- */

static void operate(size_t n_kinds);

static void
on_ready(struct fl_watch *watch, uint32_t events)
{
    struct probe *probe = (struct probe *)watch;
    HOLDS(probe->in && !probe->called);
    HOLDS(events != 0 && (watch->one_shot || (events & ~watch->events) == 0));
    HOLDS(!watch->one_shot || watch->events == 0);
    if (probe->registered != m.number[watch->fd - FIRST_NUMBER]) {
        probe->doubtful = true;
    }
    probe->called = true;
    probe->told = events;
    if (fuzz_byte(&m.program) % 2 == 0) {
        operate(8);
    }
}

static void
wait_and_dispatch(void)
{
    uint32_t expected[N_NUMBERS];
    size_t n_expected = 0;
    for (size_t i = 0; i < N_NUMBERS; i++) {
        struct probe *probe = &m.probe[i];
        probe->called = false;
        probe->settled = is_settled(i);
        expected[i] = probe->settled ? ready(m.number[i]) & probe->watch.events : 0;
        n_expected += expected[i] != 0;
    }
    int n = fl_poller_wait(&m.poller, 0);
    HOLDS(n >= (int)n_expected);
    int before = m.poller.epoll_fd;
    m.dispatching = true;
    (void)fl_poller_dispatch(&m.poller);
    m.dispatching = false;
    for (size_t i = 0; i < N_NUMBERS; i++) {
        const struct probe *probe = &m.probe[i];
        if (probe->settled) {
            HOLDS(probe->called == (expected[i] != 0));
            HOLDS(!probe->called || probe->told == expected[i]);
        }
    }
    if (m.poller.epoll_fd != before) {
        note_reopened();
    }
}

/* The first 8 kinds may also be done while a watch is told. */
static void
operate(size_t n_kinds)
{
    size_t kind = fuzz_below(&m.program, n_kinds);
    size_t i = fuzz_below(&m.program, N_NUMBERS);
    uint32_t events = fuzz_byte(&m.program) & BOTH;
    switch (kind) {
    case 0:
        take_out(i);
        break;
    case 1:
        add(i, events, fuzz_byte(&m.program) % 2 == 0);
        break;
    case 2:
        change(i, events, false);
        break;
    case 3:
        change(i, events, true);
        break;
    case 4:
        make_readable(i);
        break;
    case 5:
        drain(i);
        break;
    case 6:
        hang_up(i);
        break;
    case 7:
        find(i);
        break;
    case 8:
        close_number(i);
        break;
    case 9:
    case 10:
        open_number(i, kind == 9);
        break;
    case 11:
        duplicate(i, fuzz_below(&m.program, N_NUMBERS));
        break;
    case 12:
        reopen();
        break;
    default:
        wait_and_dispatch();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&m, 0, sizeof(m));
    m.program = (struct fuzz_program){data, data + size};
    HOLDS(fl_poller_open(&m.poller) == 0);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        m.probe[i].watch.fd = fd_of(i);
        m.probe[i].watch.on_ready = on_ready;
        if (i % 2 == 0) {
            open_number(i, i % 4 == 0);
        }
    }
    while (fuzz_more(&m.program)) {
        operate(16);
        size_t n_in = 0;
        for (size_t i = 0; i < N_NUMBERS; i++) {
            n_in += m.probe[i].in;
        }
        HOLDS(m.poller.n_watches == n_in);
    }
    fl_poller_close(&m.poller);
    fl_poller_close(&m.poller);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        close_number(i);
    }
    return 0;
}
