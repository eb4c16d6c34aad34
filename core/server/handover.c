#include "server/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define OUR_SOCKETS "FA_LISTEN_FDS" /* numbers with commas between */
#define OUR_GIVEN   "FA_LISTEN_GIVEN"
#define OUR_LEASH   "FA_LEASH"
#define SUPERVISED  "FA_SUPERVISED"

enum { SOCKETS_A_MESSAGE = 64 };

/* ---- what we were started with ---- */

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof(listening);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0;
}

static void take_socket(fa_inheritance *inheritance, int fd)
{
    if (!is_listening(fd))
        return;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fa_sockets_add(&inheritance->sockets, fd);
}

static void take_systemds(fa_inheritance *inheritance)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != (long)getpid())
        return;
    long last = 3 + strtol(count, NULL, 10);
    inheritance->sockets.given = last > 3;
    for (long fd = 3; fd < last && fd < 3 + FA_MOST_SOCKETS; ++fd)
        take_socket(inheritance, (int)fd);
}

static void take_ours(fa_inheritance *inheritance)
{
    char *end;
    const char *at = getenv(OUR_SOCKETS);
    if (at == NULL)
        return;
    inheritance->sockets.given = getenv(OUR_GIVEN) != NULL;
    for (; *at >= '0' && *at <= '9'; at = *end == ',' ? end + 1 : end)
        take_socket(inheritance, (int)strtol(at, &end, 10));
}

static int leash_of_environment(void)
{
    const char *number = getenv(OUR_LEASH);
    int fd = number != NULL ? (int)strtol(number, NULL, 10) : -1;
    int type = 0;
    socklen_t size = sizeof(type);
    return fd > 2 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET ? fd : -1;
}

void fa_inheritance_take(fa_inheritance *inheritance)
{
    memset(inheritance, 0, sizeof(*inheritance));
    take_systemds(inheritance);
    take_ours(inheritance);
    inheritance->leash = leash_of_environment();
    inheritance->supervised = inheritance->leash >= 0 && getenv(SUPERVISED) != NULL;
    if (inheritance->leash >= 0)
        fcntl(inheritance->leash, F_SETFD, FD_CLOEXEC);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    unsetenv(OUR_SOCKETS);
    unsetenv(OUR_GIVEN);
    unsetenv(SUPERVISED);
}

void fa_inheritance_ready(fa_inheritance *inheritance, const fa_sockets *listening)
{
    if (inheritance->leash < 0)
        return;
    fa_sockets part = {.given = listening->given};
    for (size_t i = 0; i < listening->count; ++i) {
        part.fds[part.count++] = listening->fds[i];
        if (part.count == SOCKETS_A_MESSAGE || i + 1 == listening->count) {
            fa_leash_send(inheritance->leash, 'S', listening->given ? "given" : "", &part);
            part.count = 0;
        }
    }
    fa_leash_send(inheritance->leash, 'R', "", NULL);
    if (inheritance->supervised)
        return;
    close(inheritance->leash);
    inheritance->leash = -1;
}

void fa_inheritance_failed(const char *why)
{
    int leash = leash_of_environment();
    if (leash >= 0)
        fa_leash_send(leash, 'F', why, NULL);
}

/* ---- the leash ---- */

/* Room for the descriptors of one message, as the kernel wants it. */
typedef union baggage {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(SOCKETS_A_MESSAGE * sizeof(int))];
} baggage;

static void pack(struct msghdr *message, baggage *room, const fa_sockets *sockets)
{
    size_t bytes = sockets->count * sizeof(int);
    memset(room, 0, sizeof(*room));
    message->msg_control = room->bytes;
    message->msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(head), sockets->fds, bytes);
}

bool fa_leash_send(int leash, char what, const char *text, const fa_sockets *sockets)
{
    baggage room;
    size_t length = strlen(text);
    struct iovec parts[2] = {{&what, 1}, {(char *)text, length < FA_LEASH_TEXT - 1 ? length : FA_LEASH_TEXT - 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (sockets != NULL && sockets->count > 0)
        pack(&message, &room, sockets);
    return sendmsg(leash, &message, MSG_NOSIGNAL) >= 0;
}

static void unpack(struct msghdr *message, fa_sockets *sockets)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
            fa_sockets_add(sockets, fd);
        }
    }
}

char fa_leash_receive(int leash, int timeout_ms, char text[FA_LEASH_TEXT], fa_sockets *sockets)
{
    baggage room;
    char what = '\0';
    struct pollfd ready = {.fd = leash, .events = POLLIN};
    struct iovec parts[2] = {{&what, 1}, {text, FA_LEASH_TEXT - 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (sockets != NULL) {
        message.msg_control = room.bytes;
        message.msg_controllen = sizeof(room.bytes);
    }
    if (poll(&ready, 1, timeout_ms) <= 0)
        return '?';
    ssize_t length = recvmsg(leash, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (length <= 0)
        return length < 0 && (errno == EAGAIN || errno == EINTR) ? '?' : '\0';
    text[length - 1] = '\0';
    if (sockets != NULL)
        unpack(&message, sockets);
    return what;
}

/* ---- starting another ---- */

static bool is_ours(const char *variable)
{
    static const char *const names[] = {OUR_SOCKETS "=", OUR_GIVEN "=", OUR_LEASH "=",    SUPERVISED "=",
                                        "LISTEN_PID=",   "LISTEN_FDS=", "LISTEN_FDNAMES="};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

typedef struct surroundings {
    char sockets[FA_MOST_SOCKETS * 8 + 32], leash[32];
    char **list; /* malloc'ed; borrows the rest */
} surroundings;

static bool make_surroundings(surroundings *s, const fa_sockets *sockets, bool supervised, int leash)
{
    size_t count = 0, used = (size_t)snprintf(s->sockets, sizeof(s->sockets), OUR_SOCKETS "=");
    while (environ[count] != NULL)
        ++count;
    s->list = malloc((count + 5) * sizeof(char *));
    if (s->list == NULL)
        return false;
    count = 0;
    for (char **variable = environ; *variable != NULL; ++variable) {
        if (!is_ours(*variable))
            s->list[count++] = *variable;
    }
    for (size_t i = 0; i < sockets->count; ++i)
        used +=
            (size_t)snprintf(s->sockets + used, sizeof(s->sockets) - used, "%s%d", i > 0 ? "," : "", sockets->fds[i]);
    snprintf(s->leash, sizeof(s->leash), OUR_LEASH "=%d", leash);
    s->list[count++] = s->leash;
    if (sockets->count > 0)
        s->list[count++] = s->sockets;
    if (sockets->given)
        s->list[count++] = (char *)OUR_GIVEN "=1";
    if (supervised)
        s->list[count++] = (char *)SUPERVISED "=1";
    s->list[count] = NULL;
    return true;
}

/* The descriptors keep their numbers: a dup onto itself only lets it through exec. */
static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, const fa_sockets *sockets,
                   int leash)
{
    sigset_t none, all;
    int status = posix_spawn_file_actions_adddup2(actions, leash, leash);
    for (size_t i = 0; i < sockets->count && status == 0; ++i)
        status = posix_spawn_file_actions_adddup2(actions, sockets->fds[i], sockets->fds[i]);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return status;
}

static int spawn(char *const *argv, const fa_sockets *sockets, bool supervised, int leash, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    surroundings s;
    if (!make_surroundings(&s, sockets, supervised, leash))
        return ENOMEM;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int status = prepare(&actions, &attributes, sockets, leash);
    if (status == 0)
        status = posix_spawnp(pid, argv[0], &actions, &attributes, argv, s.list);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(s.list);
    return status;
}

fa_result fa_handover_spawn(char *const *argv, const fa_sockets *sockets, bool supervised, pid_t *pid, int *leash,
                            fa_error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return fa_fail(error, FA_IO, "%s cannot be started: %s", argv[0], strerror(errno));
    int status = spawn(argv, sockets, supervised, pair[1], pid);
    close(pair[1]);
    if (status != 0) {
        close(pair[0]);
        return fa_fail(error, FA_IO, "%s cannot be started: %s", argv[0], strerror(status));
    }
    *leash = pair[0];
    return FA_OK;
}

const char *fa_exit_story(int status, char text[80])
{
    if (WIFSIGNALED(status))
        snprintf(text, 80, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, 80, "ended with status %d", WEXITSTATUS(status));
    return text;
}

static int end_and_wait(pid_t pid, bool kill_it)
{
    int status = 0;
    if (kill_it)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

fa_result fa_handover_await(pid_t pid, int leash, fa_error *error)
{
    char text[FA_LEASH_TEXT], story[80], what;
    uint64_t now_ms = fa_now_ms(), deadline_ms = now_ms + FA_SUCCESSOR_PATIENCE_MS;
    do {
        what = fa_leash_receive(leash, (int)(deadline_ms - now_ms), text, NULL);
        now_ms = fa_now_ms();
    } while (what != 'R' && what != 'F' && what != '\0' && now_ms < deadline_ms);
    close(leash);
    if (what == 'R')
        return FA_OK;
    int status = end_and_wait(pid, what != 'F' && what != '\0');
    if (what == 'F')
        return fa_fail(error, FA_IO, "%s", text);
    if (what == '\0')
        return fa_fail(error, FA_IO, "the new process %s before it served", fa_exit_story(status, story));
    return fa_fail(error, FA_TIMED_OUT, "the new process did not serve within %d s", FA_SUCCESSOR_PATIENCE_MS / 1000);
}

/* ---- systemd ---- */

void fa_notify_systemd(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path != NULL ? strlen(path) : 0;
    if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* a name without a file */
    ssize_t ignored = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    (void)ignored;
    close(fd);
}
