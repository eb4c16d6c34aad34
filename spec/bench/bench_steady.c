/* Steady load, and every request accounted for: so many requests a second, half of them on kept connections, half on new ones.
 *
 *     bench_steady HOST PORT RATE SECONDS [PATH [KEPT]]      HOST: an IPv4 address; KEPT: connections that are kept, 64
 *
 * Prints one line of JSON. A request has failed when its connection was refused, was closed or reset before the whole answer came, when the
 * answer is not 200, or when there is none within 5 s. A kept connection that is closed while nothing is asked on it, or that said
 * "Connection: close", is replaced: that is no failure. So what this counts is what a careful client would lose.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, ANSWER = 8192, PATIENCE_NS = 2000000000, TICK_NS = 1000000, REASONS = 5 };

typedef struct client {
    int fd; /* -1: free */
    bool kept, connecting, asked, is_idle;
    long long asked_ns;
    size_t used;
    char answer[ANSWER];
} client;

typedef enum reason { REFUSED, CLOSED, RESET, STATUS, LATE } reason;

static struct sockaddr_in to;
static char request[2][512];
static int poll_fd;
static client clients[MOST], *idle[MOST];
static size_t idle_count, open_count, slowest_at;
static unsigned long sent, answered, failed[REASONS], replaced;
static float *latencies;

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void leave_idle(const client *c)
{
    for (size_t i = 0; i < idle_count; ++i) {
        if (idle[i] == c) {
            idle[i] = idle[--idle_count];
            return;
        }
    }
}

static void drop(client *c)
{
    if (c->is_idle)
        leave_idle(c);
    close(c->fd);
    c->fd = -1;
    c->is_idle = c->asked = false;
    --open_count;
}

static void fail(client *c, reason why)
{
    failed[why]++;
    drop(c);
}

static void ask(client *c)
{
    const char *text = request[c->kept];
    if (c->is_idle)
        leave_idle(c);
    c->is_idle = false;
    c->asked = true;
    c->used = 0;
    if (send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        fail(c, errno == ECONNRESET || errno == EPIPE ? RESET : CLOSED);
}

static void open_and_ask(bool kept)
{
    client *c = NULL;
    for (size_t i = 0; i < MOST && c == NULL; ++i) {
        if (clients[i].fd < 0)
            c = &clients[i];
    }
    ++sent;
    if (c == NULL || (c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0) {
        failed[LATE]++;
        return;
    }
    ++open_count;
    const int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->kept = kept;
    c->asked = true;
    c->is_idle = false;
    c->used = 0;
    c->asked_ns = now_ns();
    c->connecting = connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0;
    if (c->connecting && errno != EINPROGRESS) {
        fail(c, REFUSED);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | (c->connecting ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
    if (!c->connecting)
        ask(c);
}

static void connected(client *c)
{
    int error = 0;
    socklen_t size = sizeof(error);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    c->connecting = false;
    if (error != 0) {
        fail(c, REFUSED);
        return;
    }
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
    ask(c);
}

/* Whether the answer is there whole; it has a Content-Length. */
static bool is_whole(const client *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "content-length:");
    return end != NULL && length != NULL && length < end &&
           c->used >= (size_t)(end + 4 - c->answer) + strtoul(length + 15, NULL, 10);
}

static void take(client *c)
{
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0) {
        fail(c, STATUS);
        return;
    }
    latencies[answered++] = (float)(now_ns() - c->asked_ns) / 1e6F;
    c->asked = false;
    if (!c->kept || strcasestr(c->answer, "connection: close") != NULL) {
        replaced += c->kept;
        drop(c);
        return;
    }
    c->is_idle = true;
    idle[idle_count++] = c;
}

static void readable(client *c)
{
    ssize_t got = recv(c->fd, c->answer + c->used, ANSWER - 1 - c->used, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 && !c->asked) {
        ++replaced;
        drop(c);
    } else if (got <= 0) {
        fail(c, got == 0 ? CLOSED : RESET);
    } else {
        c->used += (size_t)got;
        c->answer[c->used] = '\0';
        if (is_whole(c))
            take(c);
    }
}

static void look_for_late_ones(void)
{
    long long now = now_ns();
    for (size_t i = 0; i < MOST; ++i) {
        client *c = &clients[i];
        if (c->fd >= 0 && c->asked && now - c->asked_ns > (long long)PATIENCE_NS * 5 / 2)
            fail(c, LATE);
    }
}

static void one_request(size_t kept)
{
    if (sent % 2 == 0 && idle_count > 0) {
        client *c = idle[rand() % (int)idle_count];
        ++sent;
        c->asked_ns = now_ns();
        ask(c);
    } else {
        size_t keeping = 0;
        for (size_t i = 0; i < MOST && sent % 2 == 0; ++i)
            keeping += clients[i].fd >= 0 && clients[i].kept;
        open_and_ask(sent % 2 == 0 && keeping < kept);
    }
}

static void run(double rate, double seconds, size_t kept)
{
    long long begin = now_ns(), end = begin + (long long)(seconds * 1e9), patience = end + 6000000000;
    struct epoll_event events[256];
    for (long long now = begin; now < patience && (now < end || open_count > idle_count); now = now_ns()) {
        double due = (double)((now < end ? now : end) - begin) / 1e9 * rate;
        for (int i = 0; i < 200 && (double)sent < due; ++i)
            one_request(kept);
        int count = epoll_wait(poll_fd, events, 256, 1);
        for (int i = 0; i < count; ++i) {
            client *c = events[i].data.ptr;
            if (c->fd >= 0 && c->connecting)
                connected(c);
            else if (c->fd >= 0)
                readable(c);
        }
        if (now / 500000000 != (long long)slowest_at) {
            slowest_at = (size_t)(now / 500000000);
            look_for_late_ones();
        }
    }
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double at(double part)
{
    return answered == 0 ? 0 : (double)latencies[(size_t)(part * (double)(answered - 1))];
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: bench_steady HOST PORT RATE SECONDS [PATH [KEPT]]\n");
        return 2;
    }
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    const char *path = argc > 5 ? argv[5] : "/";
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    snprintf(request[0], sizeof(request[0]), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    snprintf(request[1], sizeof(request[1]), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    latencies = malloc((size_t)(rate * seconds + 1000) * sizeof(float));
    for (size_t i = 0; i < MOST; ++i)
        clients[i].fd = -1;
    long long begin = now_ns();
    run(rate, seconds, argc > 6 ? (size_t)atoi(argv[6]) : 64);
    double took = (double)(now_ns() - begin) / 1e9;
    qsort(latencies, answered, sizeof(float), by_size);
    printf("{\"sent\":%lu,\"answered\":%lu,\"failed\":%lu,\"refused\":%lu,\"closed\":%lu,\"reset\":%lu,\"status\":%lu,"
           "\"late\":%lu,\"replaced\":%lu,\"rate\":%.0f,\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f}\n",
           sent, answered, sent - answered, failed[REFUSED], failed[CLOSED], failed[RESET], failed[STATUS],
           failed[LATE], replaced, (double)sent / (took < seconds ? seconds : took), at(0.5), at(0.99), at(1));
    return sent == answered ? 0 : 1;
}
