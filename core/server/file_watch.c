#include "server/file_watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEEPEST = 16,
    EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ONLYDIR | IN_EXCL_UNLINK
};

typedef struct folder {
    int id; /* of the kernel's watch; 0: this place is free */
    char *path;
} folder;

struct fa_file_watch {
    int fd;
    fa_scope *scope;
    const fa_log *log;
    bool full; /* which was said */
    folder folders[FA_WATCHED_FOLDERS];
};

static folder *place_of(fa_file_watch *watch, int id)
{
    for (size_t i = 0; i < FA_WATCHED_FOLDERS; ++i) {
        if (watch->folders[i].id == id)
            return &watch->folders[i];
    }
    return NULL;
}

static void say_full(fa_file_watch *watch)
{
    if (!watch->full)
        fa_log_write(watch->log, FA_LOG_WARN,
                     "not all folders can be watched for changes: at most %d, and what the "
                     "system allows (fs.inotify.max_user_watches)",
                     FA_WATCHED_FOLDERS);
    watch->full = true;
}

static bool is_left_out(const char *name)
{
    return name[0] == '.' || strcmp(name, "node_modules") == 0;
}

static void add(fa_file_watch *watch, const char *path, int depth);

static void add_below(fa_file_watch *watch, const char *path, int depth)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char below[4096];
        struct stat info;
        if (is_left_out(entry->d_name) ||
            snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) >= (int)sizeof(below))
            continue;
        if (entry->d_type == DT_DIR ||
            (entry->d_type == DT_UNKNOWN && lstat(below, &info) == 0 && S_ISDIR(info.st_mode)))
            add(watch, below, depth + 1);
    }
    closedir(dir);
}

/* First the watch, then what is there: a folder that comes in between is told twice, which is once. */
static void add(fa_file_watch *watch, const char *path, int depth)
{
    if (depth > DEEPEST)
        return;
    int id = inotify_add_watch(watch->fd, path, EVENTS);
    if (id < 0) {
        if (errno == ENOSPC || errno == ENOMEM)
            say_full(watch);
        return;
    }
    folder *place = place_of(watch, id);
    if (place == NULL)
        place = place_of(watch, 0);
    char *copy = place != NULL ? fa_scope_copy_text(watch->scope, path, strlen(path)) : NULL;
    if (copy == NULL) {
        say_full(watch);
        if (place == NULL || place->id == 0)
            inotify_rm_watch(watch->fd, id);
        return;
    }
    fa_scope_free(watch->scope, place->path); /* of the same folder by an older name */
    *place = (folder){id, copy};
    add_below(watch, path, depth);
}

fa_result fa_file_watch_open(fa_scope *scope, const char *const *roots, const fa_log *log, fa_file_watch **out,
                             fa_error *error)
{
    fa_file_watch *watch = fa_scope_allocate(scope, sizeof(*watch));
    if (watch == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory to watch files");
    watch->scope = scope;
    watch->log = log;
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0) {
        fa_scope_free(scope, watch);
        return fa_fail(error, FA_IO, "files cannot be watched: %s", strerror(errno));
    }
    for (; *roots != NULL; ++roots)
        add(watch, *roots, 0);
    *out = watch;
    return FA_OK;
}

int fa_file_watch_fd(const fa_file_watch *watch)
{
    return watch->fd;
}

static bool is_script(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && name[0] != '.' && strcmp(name + length - 4, ".lua") == 0;
}

static bool look(fa_file_watch *watch, const struct inotify_event *event)
{
    folder *place = event->wd > 0 ? place_of(watch, event->wd) : NULL;
    const char *name = event->len > 0 ? event->name : "";
    if ((event->mask & IN_Q_OVERFLOW) != 0) /* too much at once: anything may have changed */
        return true;
    if (place == NULL)
        return false;
    if ((event->mask & IN_IGNORED) != 0) { /* the folder is gone */
        fa_scope_free(watch->scope, place->path);
        *place = (folder){0, NULL};
        return false;
    }
    if ((event->mask & IN_ISDIR) == 0)
        return is_script(name) && (event->mask & IN_CREATE) == 0; /* a new file is news when it is closed */
    if (is_left_out(name))
        return false;
    if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
        char path[4096];
        if (snprintf(path, sizeof(path), "%s/%s", place->path, name) < (int)sizeof(path))
            add(watch, path, 0);
    }
    return true; /* files may have come with it, or gone */
}

bool fa_file_watch_changed(fa_file_watch *watch)
{
    _Alignas(struct inotify_event) char block[8192];
    bool changed = false;
    for (ssize_t got; (got = read(watch->fd, block, sizeof(block))) > 0;) {
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const void *)(block + at);
            changed = look(watch, event) || changed;
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    return changed;
}

void fa_file_watch_close(fa_file_watch *watch)
{
    if (watch == NULL)
        return;
    close(watch->fd);
    for (size_t i = 0; i < FA_WATCHED_FOLDERS; ++i)
        fa_scope_free(watch->scope, watch->folders[i].path);
    fa_scope_free(watch->scope, watch);
}
