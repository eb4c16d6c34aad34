#include "server/control.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/c_locale.h"
#include "base/clock.h"
#include "server/process_hint.h"

enum { PATIENCE_MS = 2000, SERVERS_IN_PROCESS = 16, SEEN_STALE = 256 };

struct fa_control {
    int listener, wake; /* wake: an eventfd that says stop */
    pthread_t thread;
    fa_scope *scope;
    fa_control_answer answer;
    void *context;
    char path[FA_CONTROL_PATH];
};

/* ---- answering ---- */

/* Waits until the socket is ready, but no longer than till the deadline, nor when the server stops. wake: -1 for clients. */
static bool is_ready(int fd, short events, int wake, uint64_t deadline_ms)
{
    struct pollfd ready[2] = {{.fd = fd, .events = events}, {.fd = wake, .events = POLLIN}};
    uint64_t now_ms = fa_now_ms();
    return now_ms < deadline_ms && poll(ready, 2, (int)(deadline_ms - now_ms)) > 0 && ready[1].revents == 0;
}

/* One line; false when none came in time, or too long a one. */
static bool read_request(const fa_control *control, int fd, uint64_t deadline_ms, char request[FA_CONTROL_REQUEST])
{
    size_t used = 0;
    while (used < FA_CONTROL_REQUEST - 1 && is_ready(fd, POLLIN, control->wake, deadline_ms)) {
        ssize_t got = recv(fd, request + used, FA_CONTROL_REQUEST - 1 - used, MSG_DONTWAIT);
        if (got <= 0)
            return false;
        used += (size_t)got;
        request[used] = '\0';
        char *end = strchr(request, '\n');
        if (end != NULL) {
            *end = '\0';
            return true;
        }
    }
    return false;
}

static void send_all(int fd, const void *data, size_t length)
{
    uint64_t deadline_ms = fa_now_ms() + PATIENCE_MS;
    for (const char *at = data; length > 0 && is_ready(fd, POLLOUT, -1, deadline_ms);) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            return;
        at += sent;
        length -= (size_t)sent;
    }
}

static void send_error(int fd, const char *what)
{
    char text[96];
    int length = snprintf(text, sizeof(text), "error: %s\n", what);
    send_all(fd, text, (size_t)length);
}

static void send_answer(int fd, fa_result result, const fa_buffer *answer)
{
    if (result == FA_OK)
        send_all(fd, fa_buffer_data(answer), fa_buffer_length(answer));
    else
        send_error(fd, result == FA_INVALID ? "this server does not know that request" : fa_result_name(result));
}

void fa_control_reply(int connection, fa_result result, const fa_buffer *answer)
{
    send_answer(connection, result, answer);
    close(connection);
}

/* False: somebody has taken the connection over. */
static bool serve(const fa_control *control, int fd)
{
    int connection = fd;
    char request[FA_CONTROL_REQUEST];
    fa_buffer *out;
    if (!read_request(control, fd, fa_now_ms() + PATIENCE_MS, request))
        return true;
    if (fa_buffer_new_detached(fa_scope_account(control->scope), 4096, "control answer", FA_HERE, &out) != FA_OK) {
        send_error(fd, "the server has no memory to answer");
        return true;
    }
    fa_result result = control->answer(control->context, request, &connection, out);
    if (connection >= 0)
        send_answer(fd, result, out);
    fa_buffer_release(out);
    return connection >= 0;
}

static void *run(void *argument)
{
    const fa_control *control = argument;
    fa_c_locale_enter();
    struct pollfd ready[2] = {{.fd = control->listener, .events = POLLIN}, {.fd = control->wake, .events = POLLIN}};
    for (;;) {
        if (poll(ready, 2, -1) < 0)
            continue;
        if (ready[1].revents != 0)
            return NULL;
        int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        if (serve(control, fd))
            close(fd);
    }
}

/* ---- the folder and the socket in it ---- */

const char *fa_control_folder(unsigned index, char out[FA_CONTROL_PATH])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    bool has_runtime = runtime != NULL && *runtime == '/' && strlen(runtime) < FA_CONTROL_PATH - 40;
    if (index == 0 && has_runtime)
        snprintf(out, FA_CONTROL_PATH, "%s/fitnessally", runtime);
    else if (index == (has_runtime ? 1U : 0U))
        snprintf(out, FA_CONTROL_PATH, "/tmp/fitnessally-%u", (unsigned)geteuid());
    else
        return NULL;
    return out;
}

/* In /tmp anybody can make a folder of that name first: then it is not used. */
static fa_result check_folder(const char *folder, fa_error *error)
{
    struct stat info;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fa_fail(error, FA_IO, "%s: %s", folder, strerror(errno));
    if (lstat(folder, &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 0077) != 0)
        return fa_fail(error, FA_IO, "%s is not a folder that only this user can open", folder);
    return FA_OK;
}

static fa_result address_of(const char *path, struct sockaddr_un *address, fa_error *error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path))
        return fa_fail(error, FA_INVALID, "%s: a socket's path has at most %zu bytes", path,
                       sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, strlen(path) + 1);
    return FA_OK;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 &&
        (address_of(path, &address, NULL) != FA_OK || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool is_socket_name(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".sock") == 0 && *name >= '1' && *name <= '9';
}

/* Takes away what killed servers have left: sockets that nobody listens on. */
static void remove_stale(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned seen = 0;
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL && seen < SEEN_STALE;) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (!is_socket_name(entry->d_name) || strlen(path) >= FA_CONTROL_PATH)
            continue;
        ++seen;
        int fd = connect_to(path);
        if (fd >= 0)
            close(fd);
        else if (errno == ECONNREFUSED)
            unlink(path);
    }
    closedir(dir);
}

static fa_result bind_in(fa_control *control, const char *folder, fa_error *error)
{
    struct sockaddr_un address;
    fa_result result = check_folder(folder, error);
    if (result != FA_OK)
        return result;
    remove_stale(folder);
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (control->listener < 0)
        return fa_fail(error, FA_IO, "a control socket: %s", strerror(errno));
    for (int n = 0; n < SERVERS_IN_PROCESS; ++n) {
        char path[300], number[16] = "";
        if (n > 0)
            snprintf(number, sizeof(number), "-%d", n);
        snprintf(path, sizeof(path), "%s/%ld%s.sock", folder, (long)getpid(), number);
        if ((result = address_of(path, &address, error)) != FA_OK)
            return result;
        if (bind(control->listener, (struct sockaddr *)&address, sizeof(address)) == 0) {
            memcpy(control->path, path, strlen(path) + 1);
            chmod(path, 0600);
            return listen(control->listener, 4) == 0 ? FA_OK : fa_fail(error, FA_IO, "%s: %s", path, strerror(errno));
        }
    }
    return fa_fail(error, FA_IO, "%s: %s", address.sun_path, strerror(errno));
}

/* ---- beginning and end ---- */

static void close_all(const fa_control *control)
{
    if (control->path[0] != '\0')
        unlink(control->path);
    if (control->listener >= 0)
        close(control->listener);
    if (control->wake >= 0)
        close(control->wake);
}

fa_result fa_control_start(fa_scope *scope, const char *folder, fa_control_answer answer, void *context,
                           fa_control **out, fa_error *error)
{
    char usual[FA_CONTROL_PATH];
    fa_control *control = fa_scope_allocate(scope, sizeof(*control));
    if (control == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the control socket");
    control->scope = scope;
    control->answer = answer;
    control->context = context;
    control->listener = -1;
    control->wake = eventfd(0, EFD_CLOEXEC);
    fa_result result = control->wake < 0 ? fa_fail(error, FA_IO, "a control socket: %s", strerror(errno)) : FA_OK;
    if (result == FA_OK && folder != NULL)
        result = bind_in(control, folder, error);
    else if (result == FA_OK)
        result = bind_in(control, fa_control_folder(0, usual), error);
    if (result == FA_OK) {
        int status = pthread_create(&control->thread, NULL, run, control);
        if (status != 0)
            result = fa_fail(error, FA_IO, "no thread for the control socket: %s", strerror(status));
    }
    if (result != FA_OK) {
        close_all(control);
        fa_scope_free(scope, control);
        return result;
    }
    pthread_setname_np(control->thread, "fa-control");
    *out = control;
    return FA_OK;
}

const char *fa_control_path(const fa_control *control)
{
    return control->path;
}

void fa_control_stop(fa_control *control)
{
    if (control == NULL)
        return;
    const uint64_t one = 1;
    ssize_t ignored = write(control->wake, &one, sizeof(one));
    (void)ignored;
    pthread_join(control->thread, NULL);
    close_all(control);
    fa_scope_free(control->scope, control);
}

/* ---- the other end ---- */

/* The servers that were found, for people: their processes, and below that what is known of each, as far as there is room. */
typedef struct found_servers {
    char pids[120], hints[260];
} found_servers;

static void note_server(found_servers *servers, long pid)
{
    char hint[100];
    size_t used = strlen(servers->pids), hinted = strlen(servers->hints);
    snprintf(servers->pids + used, sizeof(servers->pids) - used, "%s%ld", used > 0 ? ", " : "", pid);
    fa_process_hint(pid, hint, sizeof(hint));
    if (hint[0] != '\0' && hinted + strlen(hint) + 16 < sizeof(servers->hints))
        snprintf(servers->hints + hinted, sizeof(servers->hints) - hinted, "\n  %ld %s", pid, hint);
}

/* Counts the servers in a folder that answer and are of that process; the last one's path stands in `path`. */
static unsigned search(const char *folder, long pid, char path[FA_CONTROL_PATH], found_servers *servers)
{
    unsigned found = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char candidate[400];
        long owner = is_socket_name(entry->d_name) ? strtol(entry->d_name, NULL, 10) : 0;
        snprintf(candidate, sizeof(candidate), "%s/%s", folder, entry->d_name);
        if (owner == 0 || (pid != 0 && owner != pid) || strlen(candidate) >= FA_CONTROL_PATH)
            continue;
        int fd = connect_to(candidate); /* the server finds no request, and forgets it */
        if (fd < 0)
            continue;
        close(fd);
        note_server(servers, owner);
        memcpy(path, candidate, strlen(candidate) + 1);
        ++found;
    }
    closedir(dir);
    return found;
}

fa_result fa_control_find(long pid, char path[FA_CONTROL_PATH], fa_error *error)
{
    char folder[FA_CONTROL_PATH], folders[2 * FA_CONTROL_PATH + 8] = "";
    found_servers servers = {"", ""};
    unsigned found = 0;
    for (unsigned i = 0; fa_control_folder(i, folder) != NULL; ++i) {
        size_t used = strlen(folders);
        found += search(folder, pid, path, &servers);
        snprintf(folders + used, sizeof(folders) - used, "%s%s", used > 0 ? " and " : "", folder);
    }
    if (found == 1)
        return FA_OK;
    if (found > 1 && pid != 0)
        return fa_fail(error, FA_CONFLICT, "process %ld runs %u servers: say which with --socket PATH", pid, found);
    if (found > 1)
        return fa_fail(error, FA_CONFLICT, "%u servers run here: say which with --pid PID (%s)%s", found, servers.pids,
                       servers.hints);
    if (pid != 0)
        return fa_fail(error, FA_NOT_FOUND, "process %ld is no server of this user that answers (looked in %s)", pid,
                       folders);
    return fa_fail(error, FA_NOT_FOUND,
                   "no server of this user runs here (looked in %s); start one with `fitnessally serve`, or name the "
                   "socket of another with --socket PATH",
                   folders);
}

static char *read_all(int fd)
{
    size_t size = 0, used = 0;
    char *text = NULL;
    for (;;) {
        if (size - used < 2) {
            char *larger = realloc(text, size += 65536);
            if (larger == NULL) {
                free(text);
                return NULL;
            }
            text = larger;
        }
        ssize_t got = recv(fd, text + used, size - used - 1, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    return text;
}

fa_result fa_control_open(const char *path, const char *request, int *connection, fa_error *error)
{
    int fd = connect_to(path);
    if (fd < 0)
        return fa_fail(error, FA_IO, "%s: %s", path, errno == ECONNREFUSED ? "nobody answers" : strerror(errno));
    send_all(fd, request, strlen(request));
    send_all(fd, "\n", 1);
    *connection = fd;
    return FA_OK;
}

fa_result fa_control_ask(const char *path, const char *request, char **answer, fa_error *error)
{
    int fd = -1;
    fa_result result = fa_control_open(path, request, &fd, error);
    if (result != FA_OK || fd < 0)
        return result;
    char *text = read_all(fd);
    close(fd);
    if (text == NULL || *text == '\0') {
        free(text);
        return fa_fail(error, FA_IO, "%s: the server gave no answer", path);
    }
    if (strncmp(text, "error: ", 7) == 0) {
        text[strcspn(text, "\n")] = '\0';
        fa_fail(error, FA_UNSUPPORTED, "%s", text + 7);
        free(text);
        return FA_UNSUPPORTED;
    }
    *answer = text;
    return FA_OK;
}
