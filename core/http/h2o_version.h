/* All that depends on which libh2o this is built against (cmake -DH2O_ROOT=PREFIX). Only edge.h includes it.
 *
 * Built and tested: 2.2.5, as Debian 12 has it. Later ones were read, not built: docs/http.md has the list of what would have to be done
 * there. H2O_LIBRARY_VERSION_* of <h2o/version.h> tells them apart (2.2.5 is library 0.13.5). */
#ifndef FA_HTTP_H2O_VERSION_H
#define FA_HTTP_H2O_VERSION_H

#include <h2o.h>
#include <h2o/version.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FA_H2O_2_2 (H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13)

#if !FA_H2O_2_2 && !defined(FA_H2O_UNTRIED)
#error "this libh2o has never been tried: see `A newer libh2o` in docs/http.md; -DFA_H2O_UNTRIED goes on"
#endif

/* ---- a call from the loop, on a clean stack ---- */
#if FA_H2O_2_2
typedef h2o_timeout_entry_t fa_h2o_timer;
#define fa_h2o_timer_soon(context, timer) h2o_timeout_link((context)->loop, &(context)->zero_timeout, timer)
#define fa_h2o_timer_stop(timer)          h2o_timeout_unlink(timer)
#define fa_h2o_timer_is_set(timer)        h2o_timeout_is_linked(timer)
#else /* from 2.3 on: timers have their own delay */
typedef h2o_timer_t fa_h2o_timer;
#define fa_h2o_timer_soon(context, timer) h2o_timer_link((context)->loop, 0, timer)
#define fa_h2o_timer_stop(timer)          h2o_timer_unlink(timer)
#define fa_h2o_timer_is_set(timer)        h2o_timer_is_linked(timer)
#endif

/* ---- what an output stream gets ---- */
#if FA_H2O_2_2
typedef h2o_iovec_t fa_h2o_piece;
#define fa_h2o_piece_init(piece, bytes, length) (*(piece) = h2o_iovec_init(bytes, length))
#else
typedef h2o_sendvec_t fa_h2o_piece;
#define fa_h2o_piece_init(piece, bytes, length) h2o_sendvec_init_raw(piece, bytes, length)
#endif

/* ---- reading ---- */

/* How many bytes the last read of the socket has brought: to be asked after each. seen: the caller's, of this socket alone, 0 at first. */
static inline size_t fa_h2o_new_bytes(const h2o_socket_t *socket,
                                      uint64_t *seen) /* NOLINT(readability-non-const-parameter): newer ones write it */
{
#if FA_H2O_2_2
    (void)seen;
    return socket->bytes_read;
#else /* counts all that there ever were */
    size_t fresh = (size_t)(socket->bytes_read - *seen);
    *seen = socket->bytes_read;
    return fresh;
#endif
}

/* ---- the end of one HTTP/2 connection ---- */
#if FA_H2O_2_2
/* What a connection is in the list of its context: the last one, after h2o_http2_accept. */
static inline h2o_linklist_t *fa_h2o_http2_newest(h2o_context_t *context)
{
    return context->http2._conns.prev;
}

/* h2o ends all connections of a context when it drains, in two steps: first each client hears that it should ask elsewhere (GOAWAY with the
 * highest of all streams) and is answered all the same; a second later streams that are opened are passed over, and the connection closes
 * when none is left that is being answered. No call ends one. So the list is narrowed to it for that of the drain, which calls nobody. False:
 * h2o drains, and has its second step before it: that is for all. */
static inline bool fa_h2o_http2_end(h2o_context_t *context, h2o_linklist_t *connection, bool for_good)
{
    h2o_linklist_t others, *all = &context->http2._conns;
    h2o_timeout_entry_t *again = &context->http2._graceful_shutdown_timeout;
    h2o_timeout_cb drains = again->cb;
    if (h2o_timeout_is_linked(again))
        return false;
    again->cb = NULL; /* else it does nothing */
    h2o_linklist_init_anchor(&others);
    h2o_linklist_unlink(connection);
    h2o_linklist_insert_list(&others, all);
    h2o_linklist_insert(all, connection);
    context->globalconf->http2.callbacks.request_shutdown(context);
    h2o_timeout_unlink(again);
    if (for_good)
        again->cb(again);
    h2o_timeout_unlink(again);
    again->cb = drains;
    h2o_linklist_insert_list(all, &others);
    return true;
}
#else /* to do: the latest have request_shutdown for each connection; until then it goes on */
static inline h2o_linklist_t *fa_h2o_http2_newest(h2o_context_t *context)
{
    (void)context;
    return NULL;
}

static inline bool fa_h2o_http2_end(h2o_context_t *context, h2o_linklist_t *connection, bool for_good)
{
    (void)context, (void)connection, (void)for_good;
    return true;
}
#endif

/* ---- what each thread keeps ---- */
#if FA_H2O_2_2
/* The first word of every chunk on h2o's free lists and in its pools points to the next one. */
static inline void fa_h2o_free_chain(void *chunk)
{
    while (chunk != NULL) {
        void *next = *(void **)chunk;
        free(chunk);
        chunk = next;
    }
}

/* Gives back the calling thread's two free lists of at most 16 chunks each, for pools (4 KB) and input buffers (8 KB): no call of the
 * library does, so a thread that ends would lose them. That of the pools is hidden, but a pool takes its chunks from there: one that needs
 * more of them than the list can hold is made, and they are freed instead of given back. */
static inline void fa_h2o_forget_thread(void)
{
    enum { MOST_CHUNKS = 16, PART = 1008 }; /* four parts fill a chunk; larger ones would be allocated directly */
    h2o_mem_recycle_t *buffers = &h2o_socket_buffer_prototype.allocator;
    fa_h2o_free_chain(buffers->_link);
    buffers->_link = NULL;
    buffers->cnt = 0;
    h2o_mem_pool_t pool;
    h2o_mem_init_pool(&pool);
    for (int i = 0; i < MOST_CHUNKS * 4 + 1; ++i)
        h2o_mem_alloc_pool(&pool, PART);
    fa_h2o_free_chain(pool.chunks);
}
#else
static inline void fa_h2o_forget_thread(void)
{
    h2o_buffer_clear_recycle(1);
    h2o_mem_clear_recycle(&h2o_mem_pool_allocator, 1);
}
#endif

/* ---- TLS ---- */
#if FA_H2O_2_2
#define fa_h2o_handshake(socket, context, done) h2o_socket_ssl_handshake(socket, context, NULL, done)
#else
#define fa_h2o_handshake(socket, context, done)                                                                        \
    h2o_socket_ssl_handshake(socket, context, NULL, h2o_iovec_init(NULL, 0), done)
#endif

/* What is behind h2o_socket_t.ssl, which h2o does not show: in 2.2.5 and in all later ones its first two members. */
struct fa_h2o_ssl {
    SSL_CTX *context;
    SSL *ssl;
};

/* The OpenSSL object of a connection under TLS; NULL before the first byte of the handshake. */
static inline SSL *fa_h2o_ssl_of(const h2o_socket_t *socket)
{
    return ((const struct fa_h2o_ssl *)(const void *)socket->ssl)->ssl;
}

/* And back: its BIO holds the socket. NULL when h2o does not have it, or not any more. */
static inline h2o_socket_t *fa_h2o_socket_of(const SSL *ssl)
{
    BIO *bio = SSL_get_rbio(ssl);
    return bio != NULL && strcmp(BIO_method_name(bio), "h2o_socket") == 0 ? BIO_get_data(bio) : NULL;
}

#endif
