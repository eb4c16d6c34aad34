/* Files that the cache does not take: read piece by piece from one open file, at the pace of the client.
 *
 * At most one piece is in memory for each client, charged to its request, and the next is read when the socket has
 * taken it. Every read checks that the file is still the one that the head told of; when it is not, the connection is
 * cut: a client never gets half of the old and half of the new. (A file that is replaced by a rename is not changed by
 * that: the open one is the old one.) */
#include "media/internal.h"

#include <string.h>
#include <unistd.h>

#include "worker/job.h"

enum { PIECE_SIZE = 256 * 1024 };

/* Lies in the request scope. */
typedef struct stream {
    fa_exchange *exchange;
    fa_media_view view;
    fa_media_file file;
    int status;
    fa_byte_range range;
    fa_open_file *open; /* NULL once the last piece has been read */
    uint64_t offset;    /* of the next piece, in the file */
    fa_job *job;        /* the read under way, or NULL */
    fa_buffer *next;    /* for the job that is being prepared */
    fa_scope_hook at_end;
} stream;

/* One read. Outlives the stream when the client vanishes meanwhile. */
typedef struct piece {
    fa_open_file *open;
    fa_buffer *buffer; /* until the stream takes it */
    fa_file_id id;
    uint64_t offset;
    size_t length;
    void *space;
    fa_result result;
} piece;

/* ---- the open file ---- */

fa_open_file *fa_open_file_new(fa_worker *worker, int fd)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(worker));
    if (fa_account_allocate(account, sizeof(fa_open_file), &memory) != FA_OK) {
        close(fd);
        return NULL;
    }
    fa_open_file *open = memory;
    *open = (fa_open_file){fd, 1, fa_account_ref(account)};
    return open;
}

fa_open_file *fa_open_file_hold(fa_open_file *open)
{
    open->holds++;
    return open;
}

void fa_open_file_drop(fa_open_file *open)
{
    if (open == NULL || --open->holds != 0)
        return;
    fa_account *account = open->account;
    close(open->fd); /* was only read: there is nothing to write back that could block the loop */
    fa_account_free(account, open, sizeof(*open));
    fa_account_unref(account);
}

/* ---- reading ---- */

static size_t piece_length(const stream *s)
{
    uint64_t left = s->range.first + s->range.length - s->offset;
    return left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
}

static void read_piece(void *data)
{
    piece *p = data;
    p->result = fa_file_read(p->open->fd, &p->id, p->offset, p->space, p->length);
}

static void drop_piece(void *data)
{
    piece *p = data;
    if (p->buffer != NULL)
        fa_buffer_release(p->buffer);
    fa_open_file_drop(p->open);
}

/* The head leaves with the first piece, so that a file which cannot even be begun is an honest 503. */
static fa_result start_answer(stream *s)
{
    fa_media_head head;
    if (s->exchange->status != 0)
        return FA_OK;
    fa_media_make_head(&head, &s->view, &s->file, s->status, &s->range);
    return fa_exchange_start(s->exchange, s->status, head.headers, head.count, (int64_t)s->range.length);
}

static void send_piece(stream *s, fa_buffer *buffer)
{
    fa_exchange *exchange = s->exchange;
    fa_piece whole = {buffer, 0, fa_buffer_length(buffer)};
    s->offset += whole.length;
    bool last = s->offset == s->range.first + s->range.length;
    if (last) {
        fa_open_file_drop(s->open);
        s->open = NULL;
    }
    fa_result result = start_answer(s);
    if (result == FA_OK)
        result = fa_exchange_send(exchange, &whole, 1, last);
    fa_buffer_release(buffer); /* from here on the lease holds it */
    if (result != FA_OK)       /* else, after the last piece, exchange and stream are perhaps gone */
        fa_media_refuse(exchange, result);
}

static void on_piece_read(void *data, void *context)
{
    piece *p = data;
    stream *s = context;
    s->job = NULL;
    if (p->result != FA_OK) {
        fa_media_refuse(s->exchange, FA_IO); /* before the head 503, after it a cut */
        return;
    }
    fa_buffer *buffer = p->buffer;
    p->buffer = NULL;
    fa_buffer_commit(buffer, p->length);
    fa_buffer_seal(buffer);
    send_piece(s, buffer);
}

static void prepare_piece(void *data, void *context)
{
    piece *p = data;
    stream *s = context;
    p->open = fa_open_file_hold(s->open);
    p->buffer = s->next;
    p->id = s->file.id;
    p->offset = s->offset;
    p->length = piece_length(s);
    fa_buffer_reserve(p->buffer, p->length, &p->space); /* the room is there */
    s->next = NULL;
}

static void next_piece(stream *s)
{
    fa_result result =
        fa_buffer_new_detached(fa_scope_account(s->exchange->scope), piece_length(s), "media piece", FA_HERE, &s->next);
    if (result == FA_OK) {
        result = fa_job_start(s->exchange->worker, sizeof(piece), prepare_piece, s, read_piece, on_piece_read,
                              drop_piece, &s->job);
        if (result != FA_OK)
            fa_buffer_release(s->next);
    }
    if (result != FA_OK)
        fa_media_refuse(s->exchange, result);
}

/* ---- the stream ---- */

static void on_sent(fa_exchange *exchange, void *context)
{
    (void)exchange;
    next_piece(context);
}

static void end_stream(fa_scope_hook *hook)
{
    stream *s = FA_OBJECT(hook, stream, at_end);
    if (s->job != NULL)
        fa_job_cancel(s->job);
    fa_open_file_drop(s->open);
}

static void send_nothing(stream *s)
{
    fa_exchange *exchange = s->exchange;
    fa_result result = start_answer(s);
    if (result == FA_OK)
        result = fa_exchange_send(exchange, NULL, 0, true);
    if (result != FA_OK)
        fa_media_refuse(exchange, result);
}

void fa_media_stream(fa_exchange *exchange, const fa_media_view *view, const fa_media_file *file, fa_open_file *open,
                     int status, const fa_byte_range *range)
{
    stream *s = open != NULL ? fa_scope_allocate(exchange->scope, sizeof(*s)) : NULL;
    if (s == NULL) {
        fa_media_refuse(exchange, FA_NO_MEMORY);
        return;
    }
    s->exchange = exchange;
    s->view = *view;
    s->file = *file;
    s->status = status;
    s->range = *range;
    s->offset = range->first;
    s->open = fa_open_file_hold(open);
    fa_scope_hook_add(exchange->scope, &s->at_end, end_stream);
    exchange->on_sent = on_sent;
    exchange->context = s;
    if (exchange->head_only || range->length == 0)
        send_nothing(s);
    else
        next_piece(s);
}
