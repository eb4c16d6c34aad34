/* Dialogues that are at home on another worker: what is asked of them goes there as an errand, and its outcome comes back.
 *
 * While the errand is away the dialogue may leave that home too. Then it comes back with FA_NOT_FOUND and is sent after it, a few times;
 * in the end it is done here, where whatever is at home nowhere (a resting history, a finished id) is found by everybody. */
#include <string.h>

#include "dialogue/internal.h"
#include "worker/crew.h"

enum { MOST_TRIES = 8 };

struct fa_remote {
    fa_errand errand;
    fa_account *account; /* a reference; pays for this */
    fa_dialogues *asker, *home;
    fa_remote_kind kind;
    unsigned tries;
    fa_remote_done done; /* NULL: cancelled */
    void *context;

    char id[FA_DIALOGUE_ID_SIZE], last_event_id[64], remote[64];
    fa_exchange *exchange; /* of LISTEN; the asker's, never touched elsewhere */
    bool follow;
    double played_ms;

    fa_result result;
    listening_verdict verdict;
    fa_interrupted interrupted;
    char heard[HEARD_SIZE];
};

static fa_text id_of(const fa_remote *r)
{
    return (fa_text){r->id, strlen(r->id)};
}

static void free_remote(fa_remote *r)
{
    fa_account *account = r->account;
    fa_directory *directory = r->asker->directory;
    fa_account_free(account, r, sizeof(*r));
    fa_account_unref(account);
    fa_directory_arrive(directory); /* last: the workers may finish now */
}

/* ---- where the dialogue is at home, or here when it is so nowhere ---- */

static void interrupt(fa_remote *r, fa_dialogues *registry)
{
    r->result = fa_dialogues_interrupt(registry, id_of(r), r->played_ms, &r->interrupted);
    size_t length = strlen(r->interrupted.heard_text);
    memcpy(r->heard, r->interrupted.heard_text, length < sizeof(r->heard) ? length + 1 : sizeof(r->heard));
    r->heard[sizeof(r->heard) - 1] = '\0';
    r->interrupted.heard_text = r->heard;
}

static void perform(fa_remote *r, fa_dialogues *registry)
{
    switch (r->kind) {
    case FA_REMOTE_FETCH:
        dialogue_hand_over(registry, id_of(r), r->asker);
        r->result = FA_OK;
        break;
    case FA_REMOTE_LISTEN:
        r->result = FA_OK;
        r->verdict = dialogue_judge_listening(registry, id_of(r), r->follow,
                                              (fa_text){r->last_event_id, strlen(r->last_event_id)},
                                              (fa_text){r->remote, strlen(r->remote)});
        break;
    case FA_REMOTE_DELETE:
        r->result = fa_dialogues_delete(registry, id_of(r));
        break;
    case FA_REMOTE_INTERRUPT:
        interrupt(r, registry);
        break;
    }
}

static void run_there(fa_errand *errand)
{
    fa_remote *r = FA_OBJECT(errand, fa_remote, errand);
    if (dialogue_find(r->home, id_of(r)) != NULL)
        perform(r, r->home);
    else
        r->result = FA_NOT_FOUND; /* it has left, or ended */
    fa_errand_return(errand);
}

/* ---- back ---- */

static void finish(fa_remote *r)
{
    fa_remote_done done = r->done;
    void *context = r->context;
    if (done != NULL && r->kind == FA_REMOTE_LISTEN)
        dialogue_answer_listening(r->asker, r->home, r->exchange, id_of(r), r->follow, r->verdict);
    if (done != NULL)
        done(context, r->result, &r->interrupted);
    free_remote(r);
}

static void on_back(fa_errand *errand);

/* False when it is at home here or nowhere. */
static bool send_after(fa_remote *r)
{
    fa_text id = id_of(r);
    fa_digest digest = dialogue_digest(id);
    fa_dialogues *home = fa_directory_home(r->asker->directory, &digest);
    if (home == NULL || home == r->asker || r->tries++ >= MOST_TRIES)
        return false;
    r->home = home;
    fa_errand_send(&r->errand, r->asker->worker, home->worker, run_there, on_back);
    return true;
}

static void on_back(fa_errand *errand)
{
    fa_remote *r = FA_OBJECT(errand, fa_remote, errand);
    if (r->done != NULL && r->result == FA_NOT_FOUND) {
        if (send_after(r))
            return;
        r->home = r->asker;
        perform(r, r->asker);
    }
    finish(r);
}

/* ---- asking ---- */

bool fa_dialogues_elsewhere(fa_dialogues *registry, fa_text id)
{
    fa_digest digest = dialogue_digest(id);
    const fa_dialogues *home = id.length > 0 ? fa_directory_home(registry->directory, &digest) : NULL;
    return home != NULL && home != registry;
}

static void copy_text(char *out, size_t size, fa_text text)
{
    size_t length = text.length < size ? text.length : 0; /* too long to be one of ours */
    memcpy(out, text.data, length);
    out[length] = '\0';
}

fa_result fa_remote_start(fa_dialogues *registry, const fa_remote_request *request, fa_remote_done done, void *context,
                          fa_remote **remote)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(registry->worker));
    fa_result result = fa_account_allocate(account, sizeof(fa_remote), &memory);
    if (result != FA_OK)
        return result;
    fa_remote *r = memset(memory, 0, sizeof(*r));
    r->account = fa_account_ref(account);
    r->asker = r->home = registry;
    r->kind = request->kind;
    r->done = done;
    r->context = context;
    r->follow = request->follow;
    r->played_ms = request->played_ms;
    r->exchange = request->exchange;
    copy_text(r->id, sizeof(r->id), request->dialogue_id);
    if (r->exchange != NULL) {
        copy_text(r->remote, sizeof(r->remote), r->exchange->remote);
        copy_text(r->last_event_id, sizeof(r->last_event_id), fa_exchange_header(r->exchange, "last-event-id"));
    }
    r->interrupted.heard_text = r->heard;
    *remote = r;
    fa_directory_depart(registry->directory);
    if (!send_after(r)) /* it has come here or gone meanwhile: the answer still comes from the loop */
        fa_errand_send(&r->errand, registry->worker, registry->worker, run_there, on_back);
    return FA_OK;
}

void fa_remote_cancel(fa_remote *remote)
{
    remote->done = NULL;
}
