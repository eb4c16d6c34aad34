#include "origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing.h"

typedef struct client {
    origin *o;
    int fd;
    char in[70000];
    size_t have;
    char method[32], target[4096];
    char *head; /* of headers; NUL-terminated lines end with \n */
    char *body;
    size_t body_length;
} client;

static bool put(int fd, const void *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t n = send(fd, (const char *)bytes + at, length - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool put_text(int fd, const char *text)
{
    return put(fd, text, strlen(text));
}

static bool answer(int fd, int status, const char *more, const void *body, size_t length)
{
    char head[6000];
    int n =
        snprintf(head, sizeof(head), "HTTP/1.1 %d Because\r\nContent-Length: %zu\r\nContent-Type: text/plain\r\n%s\r\n",
                 status, length, more);
    return put(fd, head, (size_t)n) && put(fd, body, length);
}

static bool answer_text(int fd, const char *text)
{
    return answer(fd, 200, "", text, strlen(text));
}

/* Until the other side closes, or the origin stops. */
static void wait_for_end(client *c)
{
    char byte;
    while (recv(c->fd, &byte, 1, 0) > 0)
        ;
}

static bool many(client *c, size_t chunks, size_t size)
{
    char *bytes = malloc(size + 32);
    int n = snprintf(bytes, 32, "%zx\r\n", size);
    memset(bytes + n, 'x', size);
    memcpy(bytes + (size_t)n + size, "\r\n", 2);
    bool good = put_text(c->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; good && (chunks == 0 || i < chunks) && !c->o->stopping; ++i)
        good = put(c->fd, bytes, (size_t)n + size + 2);
    free(bytes);
    return good && put_text(c->fd, "0\r\n\r\n");
}

static bool bytes(client *c, size_t length)
{
    char *body = malloc(length + 1);
    for (size_t i = 0; i < length; ++i)
        body[i] = (char)('a' + i % 26);
    bool good = answer(c->fd, 200, "", body, length);
    free(body);
    return good;
}

static bool say(client *c)
{
    const origin *o = c->o;
    size_t piece = o->said_piece != 0 ? o->said_piece : o->said_length;
    put_text(c->fd, o->said_head != NULL ? o->said_head : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (size_t at = 0; at < o->said_length; at += piece) {
        size_t left = o->said_length - at;
        if (!put(c->fd, o->said + at, left < piece ? left : piece))
            return false;
        usleep(200); /* so that it arrives by itself, mostly; nothing depends on it */
    }
    return false;
}

static bool show(client *c)
{
    char *text = malloc(140000);
    int n = snprintf(text, 140000, "%s %s\n%s\n%.*s", c->method, c->target, c->head, (int)c->body_length, c->body);
    bool good = answer(c->fd, 200, "", text, (size_t)n);
    free(text);
    return good;
}

static bool is(const char *target, const char *path)
{
    size_t length = strlen(path);
    return strncmp(target, path, length) == 0 && (target[length] == '\0' || target[length] == '?');
}

static bool respond(client *c)
{
    char more[5000] = "", text[64];
    size_t a = 0, b = 0;
    const char *t = c->target;
    if (is(t, "/hello"))
        return answer_text(c->fd, "hello");
    if (is(t, "/echo"))
        return answer(c->fd, 200, "", c->body, c->body_length);
    if (is(t, "/head"))
        return show(c);
    if (sscanf(t, "/status/%zu/%zu", &a, &b) >= 1) {
        if (strchr(t + 8, '/') != NULL)
            snprintf(more, sizeof(more), "Retry-After: %zu\r\n", b);
        snprintf(text, sizeof(text), "status %zu", a);
        return answer(c->fd, (int)a, more, text, strlen(text));
    }
    if (sscanf(t, "/bytes/%zu", &a) == 1)
        return bytes(c, a);
    if (sscanf(t, "/chunks/%zu/%zu", &a, &b) == 2)
        return many(c, a, b);
    if (is(t, "/endless"))
        return many(c, 0, 1000);
    if (is(t, "/stall") || is(t, "/cut")) {
        put_text(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
        if (is(t, "/stall"))
            wait_for_end(c);
        return false;
    }
    if (is(t, "/once-silent") && c->o->flaky++ > 0)
        return answer_text(c->fd, "heard");
    if (is(t, "/silent") || is(t, "/once-silent"))
        wait_for_end(c);
    if (is(t, "/silent") || is(t, "/once-silent") || is(t, "/nothing"))
        return false;
    if (is(t, "/garbage")) {
        put_text(c->fd, "This is no HTTP.\r\n\r\n");
        return false;
    }
    if (is(t, "/longhead")) {
        put_text(c->fd, "HTTP/1.1 200 OK\r\n");
        while (!c->o->stopping && put_text(c->fd, "X-Long: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\r\n"))
            ;
        return false;
    }
    if (sscanf(t, "/flaky/%zu", &a) == 1)
        return c->o->flaky++ < a ? answer(c->fd, 503, "", "ill", 3) : answer_text(c->fd, "well");
    if (sscanf(t, "/goto/%zu", &a) == 1 && strchr(t, '?') != NULL) {
        snprintf(more, sizeof(more), "Location: %s\r\n", strchr(t, '?') + 1);
        return answer(c->fd, (int)a, more, "elsewhere", 9);
    }
    if (is(t, "/last")) {
        answer_text(c->fd, "last");
        return false;
    }
    if (is(t, "/say"))
        return say(c);
    return answer(c->fd, 404, "", "unknown", 7);
}

/* ---- reading requests ---- */

static bool more(client *c)
{
    ssize_t n = c->have < sizeof(c->in) - 1 ? recv(c->fd, c->in + c->have, sizeof(c->in) - 1 - c->have, 0) : 0;
    if (n <= 0)
        return false;
    c->have += (size_t)n;
    c->in[c->have] = '\0';
    return true;
}

/* Content-Length or chunks; a body that does not fit is read and forgotten but for its beginning. */
static size_t declared(const char *head)
{
    const char *at = strcasestr(head, "\r\ncontent-length:");
    return at != NULL ? strtoul(at + 17, NULL, 10) : 0;
}

static bool read_chunks(client *c, char *start)
{
    while (strstr(start, "0\r\n\r\n") == NULL) {
        if (!more(c))
            return false;
    }
    c->body = start;
    c->body_length = c->have - (size_t)(start - c->in);
    return true;
}

static bool read_request(client *c)
{
    char *end;
    while ((end = strstr(c->in, "\r\n\r\n")) == NULL) {
        if (!more(c))
            return false;
        if (c->in[0] == 0x16) { /* somebody wants TLS */
            put_text(c->fd, "HTTP/1.1 400 In the clear, please\r\n\r\n");
            return false;
        }
    }
    char *body = end + 4;
    size_t length = declared(c->in), forgotten = 0;
    end[2] = '\0';
    bool chunked = strcasestr(c->in, "transfer-encoding: chunked") != NULL;
    if (sscanf(c->in, "%31s %4095s", c->method, c->target) != 2)
        return false;
    c->head = strchr(c->in, '\n') + 1;
    size_t at = (size_t)(body - c->in);
    if (chunked && !read_chunks(c, body))
        return false;
    while (!chunked && c->have - at + forgotten < length) {
        if (c->have > sizeof(c->in) - 4096) {
            forgotten += c->have - at - 1000;
            c->have = at + 1000;
        }
        if (!more(c))
            return false;
    }
    if (!chunked) {
        c->body = body;
        c->body_length = length < c->have - at ? length : c->have - at;
    }
    for (char *from = c->head, *to = c->head; (*to = *from) != '\0'; ++from)
        to += *from != '\r';
    return true;
}

static void next_request(client *c)
{
    /* No client of ours pipelines. */
    c->have = 0;
    c->in[0] = '\0';
}

static void forget(origin *o, int fd)
{
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->client_count; ++i) {
        if (o->clients[i] == fd) {
            o->clients[i] = o->clients[--o->client_count];
            break;
        }
    }
    close(fd);
    pthread_mutex_unlock(&o->lock);
}

static void *serve(void *argument)
{
    client *c = argument;
    origin *o = c->o;
    while (!o->stopping && read_request(c)) {
        o->requests++;
        if (!respond(c))
            break;
        next_request(c);
    }
    forget(o, c->fd);
    free(c);
    o->open--;
    o->threads--;
    return NULL;
}

static void *accept_all(void *argument)
{
    origin *o = argument;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    for (;;) {
        pthread_t thread;
        int fd = accept4(o->listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
        if (fd < 0)
            break;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        client *c = calloc(1, sizeof(*c));
        c->o = o;
        c->fd = fd;
        pthread_mutex_lock(&o->lock);
        o->clients[o->client_count++] = fd;
        pthread_mutex_unlock(&o->lock);
        o->connections++;
        o->open++;
        o->threads++;
        if (pthread_create(&thread, &attributes, serve, c) != 0)
            abort();
    }
    pthread_attr_destroy(&attributes);
    return NULL;
}

void origin_begin(origin *o)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int one = 1;
    pthread_mutex_init(&o->lock, NULL);
    o->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(o->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(o->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(o->listener, 1024), 0);
    assert_int_equal(getsockname(o->listener, (struct sockaddr *)&address, &length), 0);
    o->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&o->thread, NULL, accept_all, o), 0);
}

void origin_end(origin *o)
{
    o->stopping = true;
    shutdown(o->listener, SHUT_RDWR);
    pthread_join(o->thread, NULL);
    close(o->listener);
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->client_count; ++i)
        shutdown(o->clients[i], SHUT_RDWR);
    pthread_mutex_unlock(&o->lock);
    for (unsigned i = 0; o->threads > 0 && i < 20000; ++i)
        usleep(1000);
    assert_int_equal(o->threads, 0);
    pthread_mutex_destroy(&o->lock);
}
