/* The queue holds leases, so a buffer may be released as soon as it was written. Small texts are gathered in one buffer
 * that is sealed when its turn comes: a script that writes line by line costs one send for all that came together. */
#include "exchange/outlet.h"

#include "memory/buffer.h"

enum { WINDOW = 128 * 1024, GATHER = 16 * 1024, FIRST_GATHER = 1024, COPIED = 2 * 1024 };

typedef struct entry {
    fa_list link;
    fa_buffer *buffer; /* a lease; of the gathered one: owned until it is sealed */
    size_t offset;     /* up to here it has been planned */
} entry;

struct fa_outlet {
    fa_exchange *exchange;
    size_t cap;
    fa_list entries;
    entry *gathering; /* the last entry, while small texts are added to it */
    size_t queued, in_flight;
    uint64_t accepted;
    uint64_t written_ms;
    bool finished;
    bool waking; /* whoever is told that there is room writes before those who come anew */
    bool drops;  /* there is no body */
    fa_list waiters;
    fa_scope_hook at_end;
    void (*taken)(fa_outlet *outlet, void *context);
    void *context, *owner;
};

/* ---- sending ---- */

static void remove_entry(fa_outlet *o, entry *e)
{
    fa_list_remove(&e->link);
    fa_buffer_return(e->buffer);
    fa_scope_free(o->exchange->scope, e);
}

/* From now on it is an entry like the others. */
static bool seal_gathered(fa_outlet *o)
{
    entry *e = o->gathering;
    if (e == NULL)
        return true;
    fa_buffer_seal(e->buffer);
    o->gathering = NULL;
    fa_result result = fa_buffer_lease(e->buffer);
    fa_buffer_release(e->buffer);
    if (result == FA_OK)
        return true;
    fa_list_remove(&e->link);
    fa_scope_free(o->exchange->scope, e);
    return false;
}

typedef struct batch {
    fa_piece pieces[FA_MAX_PIECES];
    size_t count, bytes;
} batch;

static void plan(fa_outlet *o, batch *b)
{
    FA_LIST_EACH(node, &o->entries)
    {
        entry *e = FA_OBJECT(node, entry, link);
        if (b->count == FA_MAX_PIECES || b->bytes == WINDOW)
            break;
        size_t left = fa_buffer_length(e->buffer) - e->offset, room = WINDOW - b->bytes;
        size_t length = left < room ? left : room;
        b->pieces[b->count++] = (fa_piece){e->buffer, e->offset, length};
        b->bytes += length;
        e->offset += length;
    }
}

static void forget_planned(fa_outlet *o)
{
    for (fa_list *node; (node = fa_list_first(&o->entries)) != NULL;) {
        entry *e = FA_OBJECT(node, entry, link);
        if (e->offset < fa_buffer_length(e->buffer))
            break;
        remove_entry(o, e);
    }
}

static void pump(fa_outlet *o)
{
    batch b = {.count = 0};
    fa_exchange *exchange = o->exchange;
    if (exchange->sending || exchange->gone || exchange->finished)
        return;
    if (!seal_gathered(o)) {
        fa_exchange_abort(exchange); /* a hole would look like an answer */
        return;
    }
    plan(o, &b);
    bool last = o->finished && b.bytes == o->queued;
    if (b.count == 0 && !last)
        return;
    o->in_flight = b.bytes;
    if (fa_exchange_send(exchange, b.pieces, b.count, last) != FA_OK)
        fa_exchange_abort(exchange);
    forget_planned(o); /* the exchange has leases of its own */
}

/* ---- room ---- */

static bool fits(const fa_outlet *o, size_t bytes)
{
    return o->queued == 0 || (o->queued < o->cap && bytes <= o->cap - o->queued);
}

static void wake_those_who_fit(fa_outlet *o)
{
    o->waking = true;
    for (fa_list *node; !o->finished && !o->exchange->gone && (node = fa_list_first(&o->waiters)) != NULL;) {
        fa_outlet_waiter *waiter = FA_OBJECT(node, fa_outlet_waiter, link);
        if (!fits(o, waiter->wanted))
            break;
        fa_list_remove(node);
        waiter->wake(waiter, false);
    }
    o->waking = false;
}

static void send_waiters_away(fa_outlet *o)
{
    for (fa_list *node; (node = fa_list_first(&o->waiters)) != NULL;) {
        fa_list_remove(node);
        fa_outlet_waiter *waiter = FA_OBJECT(node, fa_outlet_waiter, link);
        waiter->wake(waiter, true);
    }
}

static void on_sent(fa_exchange *exchange, void *context)
{
    fa_outlet *o = context;
    (void)exchange;
    o->queued -= o->in_flight;
    o->in_flight = 0;
    wake_those_who_fit(o);
    if (o->taken != NULL)
        o->taken(o, o->context);
    pump(o);
}

/* ---- writing ---- */

/* FA_OK: go on; else what the write comes to. */
static fa_result may_write(const fa_outlet *o, size_t bytes)
{
    const fa_exchange *exchange = o->exchange;
    if (o->finished)
        return FA_WRONG_STATE;
    if (exchange->gone)
        return FA_CANCELLED;
    if (exchange->length >= 0 && bytes > (uint64_t)exchange->length - o->accepted)
        return FA_INVALID;
    if (o->drops || bytes == 0 || o->taken != NULL)
        return FA_OK;
    return fits(o, bytes) && (o->waking || fa_list_empty(&o->waiters)) ? FA_OK : FA_FULL;
}

static void note_accepted(fa_outlet *o, size_t bytes)
{
    o->accepted += bytes;
    o->queued += bytes;
    o->written_ms = fa_worker_now(o->exchange->worker);
    if (!o->waking) /* else on_sent does it, when all who fit have written */
        pump(o);
}

static entry *new_entry(fa_outlet *o, fa_buffer *buffer)
{
    entry *e = fa_scope_allocate(o->exchange->scope, sizeof(*e));
    if (e == NULL)
        return NULL;
    e->buffer = buffer;
    fa_list_append(&o->entries, &e->link);
    return e;
}

fa_result fa_outlet_write(fa_outlet *o, fa_buffer *buffer)
{
    size_t length = fa_buffer_length(buffer);
    fa_result result = fa_buffer_sealed(buffer) ? may_write(o, length) : FA_WRONG_STATE;
    if (result != FA_OK)
        return result;
    if (o->drops || length == 0) {
        o->accepted += length;
        return FA_OK;
    }
    if (!seal_gathered(o)) {
        fa_exchange_abort(o->exchange);
        return FA_NO_MEMORY;
    }
    if ((result = fa_buffer_lease(buffer)) != FA_OK)
        return result;
    if (new_entry(o, buffer) == NULL) {
        fa_buffer_return(buffer);
        return FA_NO_MEMORY;
    }
    note_accepted(o, length);
    return FA_OK;
}

static fa_result begin_gathering(fa_outlet *o, size_t length)
{
    fa_buffer *buffer;
    fa_result result =
        fa_buffer_new(o->exchange->scope, length < FIRST_GATHER ? FIRST_GATHER : length, "answer", FA_HERE, &buffer);
    if (result != FA_OK)
        return result;
    o->gathering = new_entry(o, buffer);
    if (o->gathering == NULL) {
        fa_buffer_release(buffer);
        return FA_NO_MEMORY;
    }
    return FA_OK;
}

/* Room for so many bytes at the end of the gathered ones; add_gathered cannot fail then. */
static fa_result reserve_gathered(fa_outlet *o, size_t length)
{
    void *unused;
    if (o->gathering != NULL && fa_buffer_length(o->gathering->buffer) + length > GATHER && !seal_gathered(o)) {
        fa_exchange_abort(o->exchange);
        return FA_NO_MEMORY;
    }
    fa_result result = o->gathering == NULL ? begin_gathering(o, length) : FA_OK;
    return result == FA_OK ? fa_buffer_reserve(o->gathering->buffer, length, &unused) : result;
}

static void add_gathered(fa_outlet *o, const void *data, size_t length)
{
    if (length != 0)
        fa_buffer_append(o->gathering->buffer, data, length);
}

fa_result fa_outlet_write_bytes(fa_outlet *o, const void *data, size_t length)
{
    fa_result result = may_write(o, length);
    if (result != FA_OK)
        return result;
    if (o->drops || length == 0) {
        o->accepted += length;
        return FA_OK;
    }
    if ((result = reserve_gathered(o, length)) != FA_OK)
        return result;
    add_gathered(o, data, length);
    note_accepted(o, length);
    return FA_OK;
}

/* The entry of the buffer is made before the head is gathered, so that nothing can be lacking between the two. */
static fa_result queue_framed(fa_outlet *o, const void *head, size_t head_length, fa_buffer *buffer)
{
    entry *e = fa_scope_allocate(o->exchange->scope, sizeof(*e));
    fa_result result = e != NULL ? fa_buffer_lease(buffer) : FA_NO_MEMORY;
    if (result != FA_OK) {
        fa_scope_free(o->exchange->scope, e);
        return result;
    }
    e->buffer = buffer;
    if ((result = reserve_gathered(o, head_length)) == FA_OK) {
        add_gathered(o, head, head_length);
        if (!seal_gathered(o)) {
            fa_exchange_abort(o->exchange);
            result = FA_NO_MEMORY;
        }
    }
    if (result != FA_OK) {
        fa_buffer_return(buffer);
        fa_scope_free(o->exchange->scope, e);
        return result;
    }
    fa_list_append(&o->entries, &e->link);
    return FA_OK;
}

fa_result fa_outlet_write_framed(fa_outlet *o, const void *head, size_t head_length, fa_buffer *buffer, bool urgent)
{
    size_t length = buffer != NULL ? fa_buffer_length(buffer) : 0, total = head_length + length;
    fa_result result = buffer != NULL && !fa_buffer_sealed(buffer) ? FA_WRONG_STATE : may_write(o, total);
    if (result == FA_FULL && urgent)
        result = FA_OK;
    if (result != FA_OK)
        return result;
    if (o->drops) {
        o->accepted += total;
        return FA_OK;
    }
    if (length > COPIED) {
        result = queue_framed(o, head, head_length, buffer);
    } else if ((result = reserve_gathered(o, total)) == FA_OK) {
        add_gathered(o, head, head_length);
        if (length != 0)
            add_gathered(o, fa_buffer_data(buffer), length);
    }
    if (result == FA_OK)
        note_accepted(o, total);
    return result;
}

void fa_outlet_wait(fa_outlet *o, fa_outlet_waiter *waiter)
{
    fa_list_append(&o->waiters, &waiter->link);
}

fa_result fa_outlet_finish(fa_outlet *o)
{
    fa_exchange *exchange = o->exchange;
    if (o->finished)
        return FA_WRONG_STATE;
    o->finished = true;
    send_waiters_away(o);
    if (exchange->gone)
        return FA_CANCELLED;
    if (o->drops)
        return FA_OK;
    if (exchange->length >= 0 && o->accepted < (uint64_t)exchange->length) {
        fa_exchange_abort(exchange);
        return FA_INVALID;
    }
    pump(o);
    return FA_OK;
}

/* ---- beginning and end ---- */

static void on_end(fa_scope_hook *hook)
{
    fa_outlet *o = FA_OBJECT(hook, fa_outlet, at_end);
    fa_exchange *exchange = o->exchange;
    exchange->on_sent = NULL;
    o->finished = true;
    if (o->gathering != NULL) {
        entry *e = o->gathering;
        o->gathering = NULL;
        fa_list_remove(&e->link); /* its buffer goes with the scope */
    }
    for (fa_list *node; (node = fa_list_first(&o->entries)) != NULL;)
        remove_entry(o, FA_OBJECT(node, entry, link));
    send_waiters_away(o);
}

/* The answer has begun. */
static void attach(fa_outlet *o, fa_exchange *exchange, size_t cap)
{
    o->exchange = exchange;
    o->cap = cap;
    o->written_ms = fa_worker_now(exchange->worker);
    fa_list_init(&o->entries);
    fa_list_init(&o->waiters);
    fa_scope_hook_add(exchange->scope, &o->at_end, on_end);
    exchange->on_sent = on_sent;
    exchange->context = o;
}

fa_result fa_outlet_open(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length,
                         size_t cap, fa_outlet **outlet)
{
    fa_outlet *o = fa_scope_allocate(exchange->scope, sizeof(*o));
    if (o == NULL)
        return fa_scope_live(exchange->scope) ? FA_NO_MEMORY : FA_WRONG_STATE;
    fa_result result = fa_exchange_start(exchange, status, headers, count, length);
    if (result != FA_OK) {
        fa_scope_free(exchange->scope, o);
        return result;
    }
    attach(o, exchange, cap);
    o->drops = exchange->head_only || status == 204 || status == 304;
    *outlet = o;
    if (o->drops && fa_exchange_send(exchange, NULL, 0, true) != FA_OK)
        fa_exchange_abort(exchange);
    return FA_OK;
}

fa_result fa_outlet_open_upgraded(fa_exchange *exchange, const fa_header *headers, size_t count,
                                  size_t (*on_input)(fa_exchange *exchange, const uint8_t *bytes, size_t length,
                                                     void *context),
                                  void *input_context, size_t cap, fa_outlet **outlet)
{
    fa_outlet *o = fa_scope_allocate(exchange->scope, sizeof(*o));
    if (o == NULL)
        return fa_scope_live(exchange->scope) ? FA_NO_MEMORY : FA_WRONG_STATE;
    fa_result result = fa_exchange_upgrade(exchange, headers, count, on_input, input_context);
    if (result != FA_OK) {
        fa_scope_free(exchange->scope, o);
        return result;
    }
    attach(o, exchange, cap);
    *outlet = o;
    return FA_OK;
}

size_t fa_outlet_queued(const fa_outlet *o)
{
    return o->queued;
}

uint64_t fa_outlet_written_ms(const fa_outlet *o)
{
    return o->written_ms;
}

bool fa_outlet_finished(const fa_outlet *o)
{
    return o->finished || o->exchange->gone;
}

void fa_outlet_on_taken(fa_outlet *o, void (*taken)(fa_outlet *outlet, void *context), void *context)
{
    o->taken = taken;
    o->context = context;
}

void fa_outlet_set_owner(fa_outlet *o, void *owner)
{
    o->owner = owner;
}

void *fa_outlet_owner(const fa_outlet *o)
{
    return o->owner;
}

fa_outlet *fa_outlet_of(const fa_exchange *exchange)
{
    fa_outlet *o = exchange->on_sent == on_sent ? exchange->context : NULL;
    return o != NULL && o->taken == NULL ? o : NULL;
}
