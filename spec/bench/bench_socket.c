/* What the kernel alone takes to answer over loopback: one byte of request is read, then an answer of so many bytes is
 * written from memory (writev) or from a file (sendfile). No HTTP, no loop, no server: nobody who copies can be cheaper
 * than the first, nobody who does not than the second.
 *
 *     build-dev/bench/bench_socket
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEAD = 300, LARGEST = 4 * 1024 * 1024, ROUNDS = 5, MOST = 32 };

static char body[LARGEST], head[HEAD];

static void check(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static double cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* Asks on all connections, then reads every answer to its end, and so on. */
static void ask(const int *fds, int connections, size_t length, int times)
{
    static char sink[16 * 1024];
    for (int i = 0; i < times; ++i) {
        for (int k = 0; k < connections; ++k)
            check(write(fds[k], "?", 1) == 1, "ask");
        for (int k = 0; k < connections; ++k) {
            for (size_t got = 0; got < length;) {
                ssize_t count = read(fds[k], sink, sizeof(sink));
                check(count > 0, "read");
                got += (size_t)count;
            }
        }
    }
    _exit(0);
}

static void answer_from_memory(int fd, size_t length)
{
    struct iovec both[2] = {{head, HEAD}, {body, length}};
    ssize_t sent = writev(fd, both, 2);
    check(sent >= HEAD, "writev");
    for (size_t at = (size_t)sent - HEAD; at < length; at += (size_t)sent)
        check((sent = write(fd, body + at, length - at)) > 0, "write");
}

static void answer_from_file(int fd, int file, size_t length)
{
    off_t at = 0;
    check(send(fd, head, HEAD, MSG_MORE) == HEAD, "send");
    while (at < (off_t)length)
        check(sendfile(fd, file, &at, length - (size_t)at) > 0, "sendfile");
}

static void connect_pair(int *ours, int *theirs)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    *theirs = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(*theirs, (struct sockaddr *)&address, size) == 0, "connect");
    check((*ours = accept(listener, NULL, NULL)) >= 0, "accept");
    setsockopt(*ours, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    close(listener);
}

/* Microseconds of this process for one answer. */
static double measure(size_t length, int file, int connections)
{
    int ours[MOST], theirs[MOST], times = (int)(400u * 1024 * 1024 / (length + 20000)) / connections;
    for (int k = 0; k < connections; ++k)
        connect_pair(&ours[k], &theirs[k]);
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0)
        ask(theirs, connections, HEAD + length, times);
    double before = cpu_us();
    for (int i = 0; i < times * connections; ++i) {
        char question;
        int fd = ours[i % connections];
        check(read(fd, &question, 1) == 1, "read");
        if (file < 0)
            answer_from_memory(fd, length);
        else
            answer_from_file(fd, file, length);
    }
    double each = (cpu_us() - before) / times / connections;
    for (int k = 0; k < connections; ++k) {
        close(ours[k]);
        close(theirs[k]);
    }
    waitpid(child, NULL, 0);
    return each;
}

static double least(size_t length, int file, int connections)
{
    double best = measure(length, file, connections);
    for (int i = 1; i < ROUNDS; ++i) {
        double again = measure(length, file, connections);
        best = again < best ? again : best;
    }
    return best;
}

int main(void)
{
    static const size_t sizes[] = {27, 1024, 40 * 1024, 400 * 1024, LARGEST};
    char path[] = "/tmp/fa-bench-XXXXXX";
    int file = mkstemp(path);
    check(file >= 0 && unlink(path) == 0, "a file");
    memset(body, 'x', sizeof(body));
    check(write(file, body, sizeof(body)) == (ssize_t)sizeof(body), "a file");
    printf("| bytes | writev, us | sendfile, us | writev, 32 connections | sendfile, 32 |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i)
        printf("| %zu | %.1f | %.1f | %.1f | %.1f |\n", sizes[i], least(sizes[i], -1, 1), least(sizes[i], file, 1),
               least(sizes[i], -1, MOST), least(sizes[i], file, MOST));
    return 0;
}
