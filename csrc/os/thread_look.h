/* What the kernel tells of another thread of this process.
 *
 * Any thread; nothing of Python. The thread may end meanwhile: then nothing is known.
 */
#ifndef FASTLOOP_OS_THREAD_LOOK_H
#define FASTLOOP_OS_THREAD_LOOK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A thread's state as in /proc: 'R' on a processor or waiting for one, 'S' asleep, 'D'
 * asleep whatever comes; 0 if that is not known. */
char fl_thread_state(pid_t thread);

/* The time that it was on a processor or waited for one, in which it slept not, or
 * -1. */
int64_t fl_thread_awake_ns(pid_t thread);

/* Writes the name of the system call that it is in, a string; empty if it is in none or
 * that is not known. */
void fl_thread_call(pid_t thread, char *name, size_t size);

/* The signals that it blocks; false if that is not known. */
bool fl_thread_blocks(pid_t thread, sigset_t *signals);

/* Sends it a signal. 0 or -errno. */
int fl_thread_signal(pid_t thread, int number);

#endif
