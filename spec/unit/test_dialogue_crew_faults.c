/* core/dialogue across workers when memory runs out at every point: what is asked of a dialogue that is at home elsewhere (remote.c),
 * listeners that travel to it, and dialogues that travel to whoever asks them (migrate.c).
 *
 * Three workers with an HTTP edge each, all of them turned by this one thread: so a run always takes the same way, and the n-th
 * allocation is the same one. The clients have real sockets, for only those can move. Whatever is refused, each client gets an
 * answer, an end or a cut, but never a whole answer that is empty; who asked is told, or was told at once that nothing was begun; and
 * nothing is left. The same when the server begins to drain at any point. */
#include "edge_world.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "dialogue_world.h"
#include "dialogue/dialogue.h"

enum { WORKERS = 3, CLIENTS = 3, DEADLINE_MS = 10000 };

typedef struct client {
    int fd; /* -1: none */
    bool ended, reset;
    size_t length;
    char text[8192];
} client;

/* Something asked of another worker. exchange: of LISTEN, whose end cancels it. */
typedef struct errand {
    struct crew *crew;
    fa_remote *remote; /* NULL: none under way */
    fa_remote_kind kind;
    fa_scope_hook at_end;
    bool done;
    fa_result result;
} errand;

typedef struct crew {
    edge_world edges[WORKERS];
    fa_scope *server;
    fa_directory *directory;
    fa_dialogues *dialogues[WORKERS];
    client clients[CLIENTS];
    errand listens[CLIENTS], fetch, other;
    unsigned listen_count;
    enum {
        ALONE,
        FETCH_FIRST,
        FETCH_AFTER
    } listening; /* whether the dialogue is fetched to worker 2 in the same moment */

    char id[FA_DIALOGUE_ID_SIZE];
    fa_turn *turn; /* NULL: none that is known to live */
    fa_question question;
    fa_asked asked; /* for the fetch */
} crew;

static fa_text id_of(const crew *c)
{
    return (fa_text){c->id, strlen(c->id)};
}

/* ---- turning ---- */

static void read_what_came(client *k)
{
    while (k->fd >= 0 && !k->ended) {
        assert_true(k->length < sizeof(k->text) - 1);
        ssize_t got = recv(k->fd, k->text + k->length, sizeof(k->text) - 1 - k->length, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        k->ended = got <= 0;
        k->reset = got < 0;
        k->length += got > 0 ? (size_t)got : 0;
    }
}

static void turn_loops(crew *c)
{
    for (int i = 0; i < WORKERS; ++i) {
        if (c->edges[i].worker != NULL)
            uv_run(fa_worker_loop(c->edges[i].worker), UV_RUN_NOWAIT);
    }
    for (int i = 0; i < CLIENTS; ++i)
        read_what_came(&c->clients[i]);
}

#define TURN_UNTIL(c, condition)                                                                                       \
    do {                                                                                                               \
        for (uint64_t start_ = fa_now_ms(); !(condition); turn_loops(c)) {                                             \
            if (fa_now_ms() - start_ > DEADLINE_MS)                                                                    \
                fail_msg("not within 10 s: %s", #condition);                                                           \
        }                                                                                                              \
    } while (0)

/* A stream that ends in good order before it has begun: a client would take it for all there was. */
static bool is_empty_answer(const client *k)
{
    const char *body = strstr(k->text, "\r\n\r\n");
    return k->ended && !k->reset && strncmp(k->text, "HTTP/1.1 200", 12) == 0 && body != NULL && body[4] == '\0';
}

static void turn_a_while(crew *c)
{
    for (int i = 0; i < 60; ++i)
        turn_loops(c);
}

/* ---- asking elsewhere ---- */

static void errand_is_over(errand *e)
{
    e->remote = NULL;
    if (e->kind == FA_REMOTE_LISTEN)
        fa_scope_hook_remove(&e->at_end);
    e->done = true;
}

static void on_done(void *context, fa_result result, const fa_interrupted *interrupted)
{
    errand *e = context;
    crew *c = e->crew;
    errand_is_over(e);
    e->result = result;
    assert_non_null(interrupted);
    assert_true(e->kind != FA_REMOTE_INTERRUPT || interrupted->heard_text != NULL);
    if (e->kind == FA_REMOTE_FETCH) {
        e->result = fa_dialogues_take_up(c->dialogues[2], &c->question, &c->asked, NULL);
        c->turn = e->result == FA_OK ? c->asked.turn : NULL;
        if (e->result == FA_CONFLICT)
            fa_dialogues_unclaim(c->dialogues[2], &c->asked);
    }
}

static void on_asker_gone(fa_scope_hook *hook)
{
    errand *e = FA_OBJECT(hook, errand, at_end);
    fa_remote_cancel(e->remote);
    e->remote = NULL;
    e->done = true;
    e->result = FA_CANCELLED;
}

static bool start(crew *c, errand *e, unsigned from, fa_remote_request request)
{
    request.dialogue_id = id_of(c);
    *e = (errand){.crew = c, .kind = request.kind};
    e->result = fa_remote_start(c->dialogues[from], &request, on_done, e, &e->remote);
    e->done = e->result != FA_OK;
    if (e->done)
        e->remote = NULL;
    else if (request.exchange != NULL)
        fa_scope_hook_add(request.exchange->scope, &e->at_end, on_asker_gone);
    return !e->done;
}

/* The dialogue's next question comes on worker 2. The turn that ran is not ours any more. */
static void start_fetch(crew *c)
{
    c->question = (fa_question){.dialogue_id = id_of(c), .text = FA_TEXT("and then?"), .body = FA_TEXT("and then?")};
    c->fetch = (errand){.done = true, .kind = FA_REMOTE_FETCH};
    c->fetch.result = fa_dialogues_claim(c->dialogues[2], &c->question, &c->asked, NULL);
    if (c->fetch.result != FA_OK)
        return;
    assert_false(c->asked.joined);
    if (start(c, &c->fetch, 2, (fa_remote_request){.kind = FA_REMOTE_FETCH}))
        c->turn = NULL;
    else
        fa_dialogues_unclaim(c->dialogues[2], &c->asked);
}

/* ---- the route ---- */

static void listen_here_or_there(crew *c, unsigned at, fa_exchange *exchange, bool follow)
{
    fa_dialogues *here = c->dialogues[at];
    if (!fa_dialogues_elsewhere(here, id_of(c)) && fa_dialogues_listen(here, exchange, id_of(c), follow) == FA_OK)
        return;
    assert_true(c->listen_count < CLIENTS);
    fa_remote_request request = {.kind = FA_REMOTE_LISTEN, .exchange = exchange, .follow = follow};
    if (!start(c, &c->listens[c->listen_count++], at, request))
        fa_exchange_fail(exchange, 503, "over_budget", "no memory", NULL);
}

static void route(fa_exchange *exchange, void *context)
{
    edge_world *edge = context;
    crew *c = edge->extra;
    bool follow = fa_text_is(exchange->query, "follow");
    if (c->listening == FETCH_FIRST)
        start_fetch(c);
    listen_here_or_there(c, (unsigned)(edge - c->edges), exchange, follow);
    if (c->listening == FETCH_AFTER)
        start_fetch(c);
}

static void send_question(const client *k, bool follow)
{
    client_send(k->fd, follow ? "GET /listen?follow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                              : "GET /listen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

static client *listen_at(crew *c, unsigned number, unsigned at, bool follow)
{
    client *k = &c->clients[number];
    k->fd = client_connect(&c->edges[at], 0);
    send_question(k, follow);
    /* It is greeted, refused or cut; and whoever asked for it knows. */
    TURN_UNTIL(c, k->ended || strstr(k->text, "event: ping") != NULL);
    return k;
}

static bool heard(const client *k, const char *what)
{
    return strstr(k->text, what) != NULL;
}

/* ---- the crew ---- */

static fa_result adopt(void *context, fa_moving *moving, fa_exchange **exchange)
{
    return fa_http_adopt(context, moving, exchange);
}

static bool up(crew *c, fa_ledger *ledger)
{
    const fa_dialogue_options options = dialogue_test_options();
    memset(c, 0, sizeof(*c));
    for (int i = 0; i < CLIENTS; ++i)
        c->clients[i].fd = -1;
    if (fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &c->server) != FA_OK)
        return false;
    c->directory = fa_directory_new(c->server, &options);
    for (int i = 0; i < WORKERS && c->directory != NULL; ++i) {
        edge_world *edge = &c->edges[i];
        world_init(edge);
        edge->ledger = ledger;
        edge->server = c->server;
        edge->handler = route;
        edge->extra = c;
        if (world_make(edge) != FA_OK || fa_dialogues_new_in(c->directory, edge->worker, &options, adopt, edge->http,
                                                             &c->dialogues[i], NULL) != FA_OK)
            return false;
    }
    return c->directory != NULL;
}

static void down(crew *c)
{
    for (int i = 0; i < WORKERS; ++i) {
        if (c->dialogues[i] != NULL)
            fa_dialogues_end_all(c->dialogues[i], "test");
    }
    if (c->directory != NULL)
        TURN_UNTIL(c, fa_directory_travelling(c->directory) == 0);
    for (int i = 0; i < CLIENTS; ++i) { /* none is left hanging */
        if (c->clients[i].fd >= 0)
            TURN_UNTIL(c, c->clients[i].ended);
        if (is_empty_answer(&c->clients[i]))
            fail_msg("client %d of worker %d got %s", i, i, c->clients[i].text);
    }
    if (c->directory != NULL) {
        assert_int_equal(fa_directory_live(c->directory), 0);
        assert_int_equal(fa_directory_running(c->directory), 0);
    }
    for (int i = 0; i < WORKERS; ++i) {
        c->edges[i].server = NULL; /* it is this file's */
        world_end(&c->edges[i]);
    }
    if (c->server != NULL)
        fa_scope_end(c->server, "test over", NULL);
    for (int i = 0; i < CLIENTS; ++i) {
        if (c->clients[i].fd >= 0)
            close(c->clients[i].fd);
    }
}

/* The first question, on worker 0. */
static bool ask(crew *c)
{
    fa_asked asked;
    fa_question question = {.text = FA_TEXT("what?"), .body = FA_TEXT("what?")};
    if (fa_dialogues_ask(c->dialogues[0], &question, &asked, NULL) != FA_OK)
        return false;
    memcpy(c->id, asked.dialogue_id, sizeof(c->id));
    c->turn = asked.turn;
    return true;
}

/* ---- what happens ---- */

/* Two listeners go to the dialogue; it is interrupted from one worker and deleted from another. */
static bool asked_from_elsewhere(crew *c)
{
    fa_interrupted what;
    bool whole = false;
    NEED(ask(c));
    client *one = listen_at(c, 0, 1, false), *other = listen_at(c, 1, 2, true);
    bool told = fa_turn_push(c->turn, "words", FA_TEXT("{}")) == FA_OK;
    turn_a_while(c);

    bool interrupted = start(c, &c->other, 1, (fa_remote_request){.kind = FA_REMOTE_INTERRUPT, .played_ms = -1});
    TURN_UNTIL(c, c->other.done);
    if (!interrupted)
        assert_ok(fa_dialogues_interrupt(c->dialogues[0], id_of(c), -1, &what));
    c->turn = NULL;
    assert_int_equal(fa_directory_running(c->directory), 0);
    TURN_UNTIL(c, one->ended);

    bool deleted = start(c, &c->other, 2, (fa_remote_request){.kind = FA_REMOTE_DELETE});
    TURN_UNTIL(c, c->other.done);
    if (!deleted)
        assert_ok(fa_dialogues_delete(c->dialogues[0], id_of(c)));
    TURN_UNTIL(c, other->ended);
    assert_int_equal(fa_directory_live(c->directory), 0);
    whole = told && interrupted && deleted && heard(one, "event: words") && heard(one, "event: complete") &&
            heard(other, "event: words") && heard(other, "event: complete");
out:
    return whole;
}

/* The dialogue goes to the worker where its next question comes, and who follows it goes along. */
static bool fetched(crew *c)
{
    bool whole = false;
    NEED(ask(c));
    client *plain = listen_at(c, 0, 0, false), *follower = listen_at(c, 1, 1, true);
    bool told = fa_turn_push(c->turn, "words", FA_TEXT("{}")) == FA_OK;
    turn_a_while(c);
    start_fetch(c);
    TURN_UNTIL(c, c->fetch.done);
    bool here = c->fetch.result == FA_OK;
    assert_true(here || c->fetch.result != FA_NOT_FOUND); /* it may be refused, but it is never lost */
    if (here)
        assert_false(fa_dialogues_elsewhere(c->dialogues[2], id_of(c)));
    turn_a_while(c);
    bool more = here && fa_turn_push(c->turn, "more", FA_TEXT("{}")) == FA_OK;
    if (c->turn != NULL)
        fa_turn_finish(c->turn, FA_TURN_COMPLETED, (fa_text){NULL, 0});
    c->turn = NULL;
    TURN_UNTIL(c, plain->ended); /* its turn is over */
    turn_a_while(c);
    bool deleted = start(c, &c->other, 0, (fa_remote_request){.kind = FA_REMOTE_DELETE});
    TURN_UNTIL(c, c->other.done);
    whole = told && more && deleted && c->other.result == FA_OK && heard(plain, "event: complete") &&
            heard(follower, "event: words") && heard(follower, "event: more") && heard(follower, "completed");
out:
    return whole;
}

/* A listener is on its way while the dialogue is, too. */
static bool chased(crew *c, int when)
{
    bool whole = false;
    NEED(ask(c));
    c->listening = when;
    c->fetch = (errand){.done = true, .result = FA_CANCELLED}; /* should the client not even get in */
    client *chaser = listen_at(c, 0, 1, true);
    TURN_UNTIL(c, c->fetch.done);
    c->listening = ALONE;
    turn_a_while(c);
    bool more = c->fetch.result == FA_OK && fa_turn_push(c->turn, "more", FA_TEXT("{}")) == FA_OK;
    if (c->turn != NULL)
        fa_turn_finish(c->turn, FA_TURN_COMPLETED, (fa_text){NULL, 0});
    turn_a_while(c);
    whole = more && heard(chaser, "event: more") && heard(chaser, "completed");
out:
    return whole;
}

static bool chased_by_one_that_was_late(crew *c)
{
    return chased(c, FETCH_FIRST);
}

static bool chased_by_one_that_was_early(crew *c)
{
    return chased(c, FETCH_AFTER);
}

static void fail_each(bool (*scenario)(crew *))
{
    static crew c;
    bool whole = false;
    world_init(&c.edges[0]); /* libuv opens its own with the first loop */
    size_t descriptors = open_descriptors();
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        whole = up(&c, ledger) && scenario(&c);
        down(&c);
    }
    assert_true(whole);
    assert_true(fa_failing_runs() > 50);
    assert_int_equal(open_descriptors(), descriptors);
    printf("# every one of %zu runs ended clean\n", fa_failing_runs());
}

static void every_allocation_of_what_is_asked_elsewhere_may_fail(void **state)
{
    (void)state;
    fail_each(asked_from_elsewhere);
}

static void every_allocation_of_a_dialogue_that_moves_may_fail(void **state)
{
    (void)state;
    fail_each(fetched);
}

static void every_allocation_of_a_chase_may_fail(void **state)
{
    (void)state;
    fail_each(chased_by_one_that_was_late);
    fail_each(chased_by_one_that_was_early);
}

/* ---- a server that drains ---- */

static void on_idle(void *context)
{
    (void)context; /* world_end drains once more, and hears of it then */
}

static void drain(crew *c)
{
    for (int i = 0; i < WORKERS; ++i) {
        fa_http_drain(c->edges[i].http, on_idle, NULL);
        fa_dialogues_drain(c->dialogues[i], NULL, NULL);
    }
}

typedef enum told { HEARD_ALL, COME_AGAIN, REFUSED, CUT } told;

static told what_it_was_told(const client *k)
{
    if (strncmp(k->text, "HTTP/1.1 200", 12) != 0)
        return k->length != 0 ? REFUSED : CUT;
    if (heard(k, "event: complete"))
        return HEARD_ALL;
    return heard(k, "retry: ") ? COME_AGAIN : CUT;
}

/* A listener asks on one worker for a dialogue of another, and the drain begins so many turns of the loops later. over: its turn has
 * been read to its end. */
static told asked_before_a_drain(crew *c, fa_ledger *ledger, bool follow, bool over, int turns)
{
    assert_true(up(c, ledger) && ask(c));
    if (over) {
        client *first = listen_at(c, 1, 0, false);
        fa_turn_finish(c->turn, FA_TURN_COMPLETED, (fa_text){NULL, 0});
        TURN_UNTIL(c, first->ended);
    }
    client *k = &c->clients[0];
    k->fd = client_connect(&c->edges[1], 0);
    send_question(k, follow);
    for (int i = 0; i < turns; ++i)
        turn_loops(c);
    drain(c);
    turn_a_while(c);
    if (!over)
        fa_turn_finish(c->turn, FA_TURN_COMPLETED, (fa_text){NULL, 0});
    c->turn = NULL;
    TURN_UNTIL(c, k->ended);
    told what = what_it_was_told(k);
    down(c);
    return what;
}

enum { TURNS = 24 };

static void whoever_asks_while_a_drain_begins_gets_an_answer(void **state)
{
    static crew c;
    unsigned counts[2][2][4] = {0};
    (void)state;
    for (int turns = 0; turns < TURNS; ++turns) {
        for (int way = 0; way < 4; ++way) {
            fa_ledger *ledger = fa_ledger_new(NULL);
            counts[way / 2][way % 2][asked_before_a_drain(&c, ledger, way % 2, way / 2, turns)]++;
            fa_ledger_free(ledger);
        }
    }
    for (int way = 0; way < 4; ++way) {
        const unsigned *of = counts[way / 2][way % 2];
        printf("# %s, %s: heard all %u, come again %u, refused %u, cut %u\n", way / 2 ? "over" : "running",
               way % 2 ? "to be followed" : "to be read", of[HEARD_ALL], of[COME_AGAIN], of[REFUSED], of[CUT]);
        assert_int_equal(of[CUT], 0);
    }
    for (int follow = 0; follow < 2; ++follow)
        assert_int_equal(counts[0][follow][HEARD_ALL], TURNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_what_is_asked_elsewhere_may_fail),
        cmocka_unit_test(every_allocation_of_a_dialogue_that_moves_may_fail),
        cmocka_unit_test(every_allocation_of_a_chase_may_fail),
        cmocka_unit_test(whoever_asks_while_a_drain_begins_gets_an_answer),
    };
    return cmocka_run_group_tests_name("dialogues: faults on several workers", tests, NULL, NULL);
}
