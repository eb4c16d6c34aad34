/* A C program with the server inside: starts it on a free port, asks it one question, prints the answer, stops it.
 *
 *     build/examples/embed/embed
 */
#include <arpa/inet.h>
#include <fitnessally/fitnessally.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sends one GET to "http://127.0.0.1:PORT" and prints what comes back. */
static int ask(const char *address, const char *path)
{
    char text[4096];
    int port;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sscanf(address, "http://127.0.0.1:%d", &port) != 1)
        return 1;
    to.sin_port = htons((uint16_t)port);
    if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) != 0) {
        perror("connect");
        return 1;
    }
    int length = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    ssize_t got = write(s, text, (size_t)length);
    while (got > 0 && (got = read(s, text, sizeof(text))) > 0)
        fwrite(text, 1, (size_t)got, stdout);
    close(s);
    return got < 0;
}

int main(void)
{
    fa_error error = {""};
    fa_server *server = NULL;
    /* No plugins and no file: the ten lines of examples/hello are the whole application. */
    const char *const settings[] = {"listen=127.0.0.1:0", ("app=" EMBED_APP), "plugins_enabled=", "log_level=warn"};
    int status = 1;
    if (fa_server_create(NULL, &server, &error) == FA_OK &&
        fa_server_configure(server, NULL, settings, sizeof(settings) / sizeof(settings[0]), &error) == FA_OK &&
        fa_server_start(server, &error) == FA_OK) {
        status = ask(fa_server_address(server, 0), "/hello/embedder");
        fa_server_stop(server, 1000);
    } else {
        fprintf(stderr, "embed: %s\n", error.text);
    }
    fa_server_destroy(server);
    return status;
}
