/* Lines on their way to a file, and the thread that takes them there: whoever logs never waits for that file.
 *
 * Whoever logs puts whole lines into a ring of fixed size. A line that does not fit is dropped and counted, and the count is told in one line
 * of `options.log`, at most every five seconds. The writer's thread is the only one that a full pipe, a stopped terminal or a slow disk holds
 * up. Lines of one ring keep their order, and lines never mix.
 *
 * Memory is the caller's, all of it. Thread: start and stop, one; the rest, any.
 */
#ifndef FA_BASE_LOG_WRITER_H
#define FA_BASE_LOG_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

typedef struct fa_log_writer fa_log_writer;

typedef struct fa_log_ring {
    fa_log_writer *writer;
    pthread_mutex_t lock; /* among those who put lines in: held for a copy, never for a write */
    char *bytes;
    size_t size;
    _Atomic size_t put, taken;  /* bytes, ever */
    _Atomic uint64_t dropped;   /* lines that found no room, or could not be written */
    _Atomic uint64_t held_back; /* lines that their author left out (a rate) */
} fa_log_ring;

typedef struct fa_log_writer_options {
    const char *name;   /* "access log", for messages; and, cut, of the thread */
    const char *path;   /* opened for appending, made when missing; NULL: fd. Borrowed until the writer has stopped */
    int fd;             /* stays the caller's, and stays as it is (blocking or not) */
    fa_log_ring *rings; /* filled in by start; borrowed until the writer has stopped */
    size_t ring_count;
    char *memory;      /* ring_count * ring_size bytes; borrowed likewise */
    size_t ring_size;  /* bytes; the longest line fits */
    unsigned delay_ms; /* how long lines may be gathered before they are written together; 0: not at all */
    const fa_log *log; /* hears of drops and failures; may be the one that these rings belong to; NULL: nobody */
} fa_log_writer_options;

struct fa_log_writer {
    fa_log_writer_options options;
    int fd, wake; /* wake: an eventfd */
    bool regular; /* a file on a disk: always ready */
    pthread_t thread;
    _Atomic bool asleep, stopping, reopening;
    uint64_t deadline_ms; /* once it stops: until then it tries to write what is left */
    uint64_t told_at_ms, told_dropped, told_held_back;
    bool failing; /* the last write failed: said once */
};

/* Opens and runs. FA_IO when the file cannot be opened or there is no thread: nothing has happened then. */
fa_result fa_log_writer_start(fa_log_writer *writer, const fa_log_writer_options *options, fa_error *error);

/* Closes and opens the file anew, after its present lines; when that fails the old one goes on. Nothing without a path. */
void fa_log_writer_reopen(fa_log_writer *writer);

/* Writes what is left, for at most a second where nobody reads, and ends the thread. The rings must not be used any more. Harmless on a
 * zeroed writer. */
void fa_log_writer_stop(fa_log_writer *writer);

/* line: with its newline. False: dropped. */
bool fa_log_put(fa_log_ring *ring, const char *line, size_t length);

/* A line was not put at all, on purpose. */
void fa_log_hold_back(fa_log_ring *ring);

#endif
