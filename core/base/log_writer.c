/* The ring has one taker, who needs no lock, and writes straight from its memory; `put` and `taken` only ever grow. */
#include "base/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    PIECE_BYTES = 4096, /* a pipe that is ready takes so many at once */
    LAST_WORDS_MS = 1000,
    STUCK_MS = LAST_WORDS_MS + 500,
    TELL_EVERY_MS = 5000
};

/* ---- putting ---- */

static void ring_bell(fa_log_writer *writer)
{
    const uint64_t one = 1;
    ssize_t ignored = write(writer->wake, &one, sizeof(one)); /* fails only when it rings already */
    (void)ignored;
}

/* The writer says that it sleeps and then looks at the rings; we fill the ring and then look whether it sleeps. */
static void wake_up(fa_log_writer *writer)
{
    if (writer->asleep && atomic_exchange(&writer->asleep, false))
        ring_bell(writer);
}

static void copy_in(fa_log_ring *ring, size_t at, const char *line, size_t length)
{
    size_t start = at % ring->size, till_wrap = ring->size - start;
    size_t first = length < till_wrap ? length : till_wrap;
    memcpy(ring->bytes + start, line, first);
    memcpy(ring->bytes, line + first, length - first);
}

bool fa_log_put(fa_log_ring *ring, const char *line, size_t length)
{
    pthread_mutex_lock(&ring->lock);
    size_t put = ring->put;
    bool fits = length <= ring->size - (put - ring->taken);
    if (fits) {
        copy_in(ring, put, line, length);
        ring->put = put + length;
    } else {
        ring->dropped++;
    }
    pthread_mutex_unlock(&ring->lock);
    wake_up(ring->writer);
    return fits;
}

void fa_log_hold_back(fa_log_ring *ring)
{
    ring->held_back++;
    wake_up(ring->writer);
}

/* ---- the file ---- */

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                0640); /* a fifo must not hold us up */
}

static void take_file(fa_log_writer *writer, int fd)
{
    struct stat info;
    writer->fd = fd;
    writer->regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    writer->failing = false;
}

static void reopen(fa_log_writer *writer)
{
    const fa_log_writer_options *options = &writer->options;
    int fd = options->path != NULL ? open_file(options->path) : -1;
    if (options->path == NULL)
        return;
    if (fd < 0) {
        fa_log_write(options->log, FA_LOG_ERROR, "%s: %s: %s; the old file goes on", options->name, options->path,
                     strerror(errno));
        return;
    }
    close(writer->fd);
    take_file(writer, fd);
    fa_log_write(options->log, FA_LOG_INFO, "%s: %s opened anew", options->name, options->path);
}

/* ---- writing ---- */

/* Waits until the file takes something. False when the writer is to stop and patience has ended. */
static bool wait_ready(fa_log_writer *writer)
{
    for (;;) {
        struct pollfd ready[2] = {{.fd = writer->fd, .events = POLLOUT}, {.fd = writer->wake, .events = POLLIN}};
        bool stopping = writer->stopping;
        uint64_t now_ms = fa_now_ms();
        if (stopping && now_ms >= writer->deadline_ms)
            return false;
        int patience = stopping ? (int)(writer->deadline_ms - now_ms) : -1;
        poll(ready, stopping ? 1 : 2, patience);
        if (ready[0].revents != 0)
            return true; /* or an error, which the write will name */
        uint64_t rung;
        if (ready[1].revents != 0 && read(writer->wake, &rung, sizeof(rung)) < 0)
            continue;
    }
}

static ssize_t write_piece(fa_log_writer *writer, const char *bytes, size_t length)
{
    int unused;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &unused); /* another process may have filled the pipe meanwhile */
    ssize_t written = write(writer->fd, bytes, length);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    return written;
}

static void note_failure(fa_log_writer *writer, int reason)
{
    if (!writer->failing)
        fa_log_write(writer->options.log, FA_LOG_ERROR, "%s: cannot be written: %s", writer->options.name,
                     strerror(reason));
    writer->failing = true;
}

/* What stands in the ring up to `end` will not be written. */
static void give_up(fa_log_ring *ring, size_t end)
{
    uint64_t lines = 0;
    for (size_t at = ring->taken; at < end; ++at)
        lines += ring->bytes[at % ring->size] == '\n';
    ring->dropped += lines;
    ring->taken = end;
}

/* Writes what stands in it now: whole lines. False when there was nothing. */
static bool empty_ring(fa_log_writer *writer, fa_log_ring *ring)
{
    size_t end = ring->put, most = writer->regular ? SIZE_MAX : PIECE_BYTES;
    bool any = end != ring->taken;
    while (ring->taken != end) {
        size_t start = ring->taken % ring->size, length = end - ring->taken;
        length = length < ring->size - start ? length : ring->size - start;
        if (!writer->regular && !wait_ready(writer)) {
            give_up(ring, end);
            return true;
        }
        ssize_t written = write_piece(writer, ring->bytes + start, length < most ? length : most);
        if (written > 0) {
            ring->taken += (size_t)written;
            writer->failing = false;
        } else if (errno != EAGAIN && errno != EINTR) {
            note_failure(writer, errno);
            give_up(ring, end);
        }
    }
    return any;
}

/* ---- drops ---- */

static uint64_t untold(const fa_log_writer *writer, uint64_t *dropped, uint64_t *held_back)
{
    *dropped = *held_back = 0;
    for (size_t i = 0; i < writer->options.ring_count; ++i) {
        *dropped += writer->options.rings[i].dropped;
        *held_back += writer->options.rings[i].held_back;
    }
    return *dropped - writer->told_dropped + *held_back - writer->told_held_back;
}

/* Returns how long it may sleep until there is something to tell, -1: for ever. */
static int tell_drops(fa_log_writer *writer)
{
    uint64_t dropped, held_back, now_ms = fa_now_ms(), count = untold(writer, &dropped, &held_back);
    if (count == 0 || writer->options.log == NULL)
        return -1;
    if (writer->told_at_ms != 0 && now_ms < writer->told_at_ms + TELL_EVERY_MS && !writer->stopping)
        return (int)(writer->told_at_ms + TELL_EVERY_MS - now_ms);
    fa_log_write(writer->options.log, FA_LOG_WARN,
                 "%s: %llu lines were dropped: %llu because they were not taken in time, %llu above the rate",
                 writer->options.name, (unsigned long long)count, (unsigned long long)(dropped - writer->told_dropped),
                 (unsigned long long)(held_back - writer->told_held_back));
    writer->told_at_ms = now_ms;
    writer->told_dropped = dropped;
    writer->told_held_back = held_back;
    return -1;
}

/* ---- the thread ---- */

static bool empty_rings(fa_log_writer *writer)
{
    bool any = false;
    for (size_t i = 0; i < writer->options.ring_count; ++i)
        any = empty_ring(writer, &writer->options.rings[i]) || any;
    return any;
}

static bool has_lines(const fa_log_writer *writer)
{
    for (size_t i = 0; i < writer->options.ring_count; ++i) {
        if (writer->options.rings[i].put != writer->options.rings[i].taken)
            return true;
    }
    return false;
}

static void sleep_until_rung(const fa_log_writer *writer, int timeout_ms)
{
    uint64_t rung;
    struct pollfd bell = {.fd = writer->wake, .events = POLLIN};
    if (poll(&bell, 1, timeout_ms) > 0 && read(writer->wake, &rung, sizeof(rung)) < 0)
        return;
}

static void *run(void *argument)
{
    int unused;
    fa_log_writer *writer = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    for (;;) {
        bool last = writer->stopping; /* before the rings are looked at: what was put before the stop is written */
        if (atomic_exchange(&writer->reopening, false))
            reopen(writer);
        if (empty_rings(writer))
            continue;
        int timeout_ms = tell_drops(writer);
        if (last && !has_lines(writer))
            return NULL;
        writer->asleep = true;
        if (!has_lines(writer) && !writer->stopping && !writer->reopening)
            sleep_until_rung(writer, timeout_ms);
        writer->asleep = false;
        if (writer->options.delay_ms != 0 && !writer->stopping)
            sleep_until_rung(writer, (int)writer->options.delay_ms); /* nobody rings for lines meanwhile */
    }
}

/* ---- beginning and end ---- */

static fa_result open_target(fa_log_writer *writer, fa_error *error)
{
    const fa_log_writer_options *options = &writer->options;
    int fd = options->path != NULL ? open_file(options->path) : options->fd;
    if (fd < 0)
        return fa_fail(error, FA_IO, "%s: %s: %s", options->name, options->path != NULL ? options->path : "no file",
                       strerror(errno));
    take_file(writer, fd);
    writer->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (writer->wake >= 0)
        return FA_OK;
    fa_fail(error, FA_IO, "%s: %s", options->name, strerror(errno));
    if (options->path != NULL)
        close(fd);
    return FA_IO;
}

static void close_target(const fa_log_writer *writer)
{
    for (size_t i = 0; i < writer->options.ring_count; ++i)
        pthread_mutex_destroy(&writer->options.rings[i].lock);
    if (writer->options.path != NULL)
        close(writer->fd);
    close(writer->wake);
}

static int start_thread(fa_log_writer *writer)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for others; a reader that went is an error of write */
    int status = pthread_create(&writer->thread, NULL, run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

fa_result fa_log_writer_start(fa_log_writer *writer, const fa_log_writer_options *options, fa_error *error)
{
    char name[16];
    memset(writer, 0, sizeof(*writer));
    writer->options = *options;
    if (open_target(writer, error) != FA_OK) {
        memset(writer, 0, sizeof(*writer));
        return FA_IO;
    }
    for (size_t i = 0; i < options->ring_count; ++i) {
        fa_log_ring *ring = &options->rings[i];
        memset(ring, 0, sizeof(*ring));
        pthread_mutex_init(&ring->lock, NULL);
        ring->writer = writer;
        ring->bytes = options->memory + i * options->ring_size;
        ring->size = options->ring_size;
    }
    int status = start_thread(writer);
    if (status != 0) {
        close_target(writer);
        memset(writer, 0, sizeof(*writer));
        return fa_fail(error, FA_IO, "%s: no thread: %s", options->name, strerror(status));
    }
    snprintf(name, sizeof(name), "fa-%s", options->name);
    pthread_setname_np(writer->thread, name);
    return FA_OK;
}

void fa_log_writer_reopen(fa_log_writer *writer)
{
    writer->reopening = true;
    ring_bell(writer);
}

void fa_log_writer_stop(fa_log_writer *writer)
{
    struct timespec until;
    if (writer->options.rings == NULL)
        return;
    writer->deadline_ms = fa_now_ms() + LAST_WORDS_MS;
    writer->stopping = true;
    ring_bell(writer);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STUCK_MS % 1000 * 1000000L;
    until.tv_sec += STUCK_MS / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (pthread_timedjoin_np(writer->thread, NULL, &until) != 0) { /* inside a write that does not return */
        pthread_cancel(writer->thread);
        pthread_join(writer->thread, NULL);
    }
    close_target(writer);
    memset(writer, 0, sizeof(*writer));
}
