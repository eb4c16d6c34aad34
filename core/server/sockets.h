/* Listening sockets that outlive a process: what a server was given to listen on, and what it has to give on.
 *
 * A server keeps a duplicate of each listening socket that it has, so that they can go to its successor (server/handover.h); what connects
 * meanwhile waits in the kernel, and nobody is reset. It has to let go of them before it drains, or the kernel would go on accepting.
 *
 * Thread: one at a time.
 */
#ifndef FA_SERVER_SOCKETS_H
#define FA_SERVER_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

enum { FA_MOST_SOCKETS = 1024 }; /* 16 addresses for each of 64 workers */

typedef struct fa_sockets {
    int fds[FA_MOST_SOCKETS]; /* -1: taken out */
    size_t count;
    bool given; /* they say where it listens, whatever the configuration says */
} fa_sockets;

/* Keeps a duplicate. Beyond FA_MOST_SOCKETS, or without a descriptor, it is not kept: then that one does not go to a successor. */
void fa_sockets_keep(fa_sockets *sockets, int fd);

/* Takes over the descriptor itself. False: there are too many, and it is closed. */
bool fa_sockets_add(fa_sockets *sockets, int fd);

/* Takes out those that are bound to the address ("HOST:PORT", perhaps behind a scheme; with port 0 those of one port) into `fds`, which has
 * room for all. Returns how many. */
size_t fa_sockets_take(fa_sockets *sockets, const char *address, int *fds);

/* The address of one that is still there, as "http://HOST:PORT"; false when there is none. */
bool fa_sockets_next(const fa_sockets *sockets, char *address, size_t size);

/* Closes those that are still there. */
void fa_sockets_close(fa_sockets *sockets);

#endif
