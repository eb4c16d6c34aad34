/* Steady load, and every request accounted for: so many requests a second, on kept connections and on new ones.
 *
 *     bench_steady HOST PORT RATE SECONDS [PATH [KEPT [NEW]]]      HOST: an IPv4 address, behind https:// for TLS; KEPT: connections that
 *                                                                  are kept, 64; NEW: percent of the requests that open one, 50
 *
 * Prints one line of JSON. A request has failed when its connection was refused, was closed or reset before the whole answer came, when the
 * answer is not 200, or when there is none within 5 s. A kept connection that is closed while nothing is asked on it, or that said
 * "Connection: close", is replaced: that is no failure. So what this counts is what a careful client would lose.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
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
    int fd;                                          /* -1: free */
    SSL *ssl;                                        /* NULL: in the clear */
    bool kept, connecting, greeting, asked, is_idle; /* greeting: in the handshake */
    long long asked_ns;
    size_t used;
    char answer[ANSWER];
} client;

typedef enum reason { REFUSED, CLOSED, RESET, STATUS, LATE } reason;

static struct sockaddr_in to;
static SSL_CTX *tls; /* NULL: in the clear */
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
    SSL_free(c->ssl);
    c->ssl = NULL;
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

/* As send and recv; a TLS connection that has nothing for us yet is EAGAIN, and one that ends without its word is an end. */
static ssize_t give(client *c, const char *text, size_t length)
{
    if (c->ssl == NULL)
        return send(c->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    ERR_clear_error();
    errno = 0;
    return SSL_write(c->ssl, text, (int)length);
}

static ssize_t receive(client *c, char *text, size_t size)
{
    if (c->ssl == NULL)
        return recv(c->fd, text, size, MSG_DONTWAIT);
    ERR_clear_error();
    errno = 0;
    int got = SSL_read(c->ssl, text, (int)size);
    if (got > 0)
        return got;
    int why = SSL_get_error(c->ssl, got);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        errno = EAGAIN;
    return errno == 0 ? 0 : -1;
}

static void ask(client *c)
{
    const char *text = request[c->kept];
    if (c->is_idle)
        leave_idle(c);
    c->is_idle = false;
    c->asked = true;
    c->used = 0;
    if (give(c, text, strlen(text)) <= 0)
        fail(c, errno == ECONNRESET || errno == EPIPE ? RESET : CLOSED);
}

static void greet(client *c)
{
    ERR_clear_error();
    errno = 0;
    int done = SSL_do_handshake(c->ssl), why = SSL_get_error(c->ssl, done);
    c->greeting = done != 1;
    if (done == 1)
        ask(c);
    else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        fail(c, errno == ECONNRESET || errno == EPIPE ? RESET : CLOSED);
}

/* The way is open. */
static void begin(client *c)
{
    if (tls == NULL) {
        ask(c);
        return;
    }
    c->ssl = SSL_new(tls);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    greet(c);
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
    c->is_idle = c->greeting = false;
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
        begin(c);
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
    begin(c);
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
    if (c->greeting) {
        greet(c);
        return;
    }
    ssize_t got = receive(c, c->answer + c->used, ANSWER - 1 - c->used);
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
        else if (c->ssl != NULL && SSL_has_pending(c->ssl)) /* of that epoll knows nothing */
            readable(c);
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

/* Whoever has not looked for a while (another process had the core) may hold connections that were closed long ago. */
static bool has_ended(client *c)
{
    char byte;
    ssize_t got = c->ssl == NULL ? recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) : receive(c, &byte, 1);
    return got >= 0 || errno != EAGAIN;
}

static client *an_idle_one(void)
{
    while (idle_count > 0) {
        client *c = idle[rand() % (int)idle_count];
        if (!has_ended(c))
            return c;
        ++replaced;
        drop(c);
    }
    return NULL;
}

static bool may_keep_one_more(size_t kept)
{
    size_t keeping = 0;
    for (size_t i = 0; i < MOST; ++i)
        keeping += clients[i].fd >= 0 && clients[i].kept;
    return keeping < kept;
}

/* false: all that are kept are busy. It waits then: one more connection would be one more handshake, for a server that is behind already. */
static bool one_request(size_t kept, unsigned percent_new)
{
    bool on_kept = (sent * percent_new) % 100 + percent_new < 100; /* spread evenly */
    client *c = on_kept ? an_idle_one() : NULL;
    if (c != NULL) {
        ++sent;
        c->asked_ns = now_ns();
        ask(c);
    } else if (!on_kept || may_keep_one_more(kept)) {
        open_and_ask(on_kept);
    } else {
        return false;
    }
    return true;
}

static void run(double rate, double seconds, size_t kept, unsigned percent_new)
{
    long long begin = now_ns(), end = begin + (long long)(seconds * 1e9), patience = end + 6000000000;
    struct epoll_event events[256];
    for (long long now = begin; now < patience && (now < end || open_count > idle_count); now = now_ns()) {
        double due = (double)((now < end ? now : end) - begin) / 1e9 * rate;
        for (int i = 0; i < 200 && (double)sent < due && one_request(kept, percent_new);)
            ++i;
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
        fprintf(stderr, "usage: bench_steady HOST PORT RATE SECONDS [PATH [KEPT [NEW]]]\n");
        return 2;
    }
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    const char *host = argv[1], *path = argc > 5 ? argv[5] : "/";
    if (strncmp(host, "https://", 8) == 0) {
        host += 8;
        tls = SSL_CTX_new(TLS_client_method()); /* whose certificate it is does not matter here */
        signal(SIGPIPE, SIG_IGN);
    }
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    inet_pton(AF_INET, host, &to.sin_addr);
    snprintf(request[0], sizeof(request[0]), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    snprintf(request[1], sizeof(request[1]), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    latencies = malloc((size_t)(rate * seconds + 1000) * sizeof(float));
    for (size_t i = 0; i < MOST; ++i)
        clients[i].fd = -1;
    long long begin = now_ns();
    run(rate, seconds, argc > 6 ? (size_t)atoi(argv[6]) : 64, argc > 7 ? (unsigned)atoi(argv[7]) : 50);
    double took = (double)(now_ns() - begin) / 1e9;
    qsort(latencies, answered, sizeof(float), by_size);
    printf("{\"sent\":%lu,\"answered\":%lu,\"failed\":%lu,\"refused\":%lu,\"closed\":%lu,\"reset\":%lu,\"status\":%lu,"
           "\"late\":%lu,\"replaced\":%lu,\"rate\":%.0f,\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f}\n",
           sent, answered, sent - answered, failed[REFUSED], failed[CLOSED], failed[RESET], failed[STATUS],
           failed[LATE], replaced, (double)sent / (took < seconds ? seconds : took), at(0.5), at(0.99), at(1));
    return sent == answered ? 0 : 1;
}
