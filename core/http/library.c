/* What h2o keeps for the whole process and for each thread, beside its contexts.
 *
 * Process: h2o_socket_buffer_mmap_settings, an exported variable, says from which size on a connection's input lies in
 * an unlinked file, and where. h2o reads it without a lock, so it may only change while no edge lives: the first edge
 * sets it, and whoever comes with other values while others live is told that the first ones stand.
 *
 * Thread: free lists, which h2o_version.h empties. */
#include "http/edge.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <h2o/version.h>

static struct {
    pthread_mutex_t lock; /* guards edges and, while there is none, h2o's settings */
    unsigned edges;
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* h2o finds out that a directory cannot be written to when a client sends a body; we want to know before. */
static fa_result try_directory(const char *name_template, fa_error *error)
{
    char name[FILENAME_MAX];
    snprintf(name, sizeof(name), "%s", name_template);
    int fd = mkstemp(name);
    if (fd < 0)
        return fa_fail(error, FA_IO, "the spool directory cannot be written to: %.*s: %s",
                       (int)(strrchr(name_template, '/') - name_template), name_template, strerror(errno));
    unlink(name);
    close(fd);
    return FA_OK;
}

fa_result fa_http_library_begin(const fa_http_options *options, const fa_log *log, fa_error *error)
{
    h2o_buffer_mmap_settings_t wanted = {.threshold = options->spool_threshold};
    int length = snprintf(wanted.fn_template, sizeof(wanted.fn_template), "%s/h2o.b.XXXXXX", options->spool_dir);
    if (length < 0 || (size_t)length >= sizeof(wanted.fn_template))
        return fa_fail(error, FA_INVALID, "the name of the spool directory is too long");
    fa_result result = try_directory(wanted.fn_template, error);
    if (result != FA_OK)
        return result;

    pthread_mutex_lock(&library.lock);
    if (library.edges++ == 0)
        h2o_socket_buffer_mmap_settings = wanted;
    bool same = h2o_socket_buffer_mmap_settings.threshold == wanted.threshold &&
                strcmp(h2o_socket_buffer_mmap_settings.fn_template, wanted.fn_template) == 0;
    pthread_mutex_unlock(&library.lock);
    if (!same)
        fa_log_write(log, FA_LOG_WARN, "http: spooling stays at %s: another server of this process set it first",
                     h2o_socket_buffer_mmap_settings.fn_template);
    return FA_OK;
}

void fa_http_library_end(void)
{
    pthread_mutex_lock(&library.lock);
    library.edges--;
    pthread_mutex_unlock(&library.lock);
}

void fa_http_library_forget_thread(void)
{
    fa_h2o_forget_thread();
}

const char *fa_http_library_version(void)
{
    return H2O_VERSION;
}
