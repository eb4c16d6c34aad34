#include "server/reload_asked.h"

#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "server/control.h"

/* ---- on the control socket ---- */

typedef struct asked {
    fa_reload_wish wish;
    fa_account *account;
    int connection;
    char certificates[sizeof(((fa_error *)NULL)->text)];
} asked;

static void forget(asked *a)
{
    if (a->wish.out != NULL)
        fa_buffer_release(a->wish.out);
    fa_account_free(a->account, a, sizeof(*a));
}

static void on_done(fa_reload_wish *wish)
{
    asked *a = FA_OBJECT(wish, asked, wish);
    fa_control_reply(a->connection, wish->written, wish->out);
    forget(a);
}

fa_result fa_reload_asked(fa_reloader *reloader, fa_account *account, fa_wish_kind kind, bool text,
                          const char *certificates, int connection)
{
    void *memory;
    fa_result result = fa_account_allocate(account, sizeof(asked), &memory);
    if (result != FA_OK)
        return result;
    asked *a = memset(memory, 0, sizeof(asked));
    a->account = account;
    a->connection = connection;
    a->wish = (fa_reload_wish){.kind = kind, .text = text, .marked = true, .done = on_done};
    if (certificates != NULL) {
        snprintf(a->certificates, sizeof(a->certificates), "%s", certificates);
        a->wish.certificates = a->certificates;
    }
    result = fa_buffer_new_detached(account, 4096, "reload answer", FA_HERE, &a->wish.out);
    if (result != FA_OK) {
        forget(a);
        return result;
    }
    fa_reloader_ask(reloader, &a->wish);
    return FA_OK;
}

/* ---- by a signal ---- */

/* Who has asked meanwhile wants what was saved since. */
static void on_soon_done(fa_reload_wish *wish)
{
    fa_reload_soon *soon = FA_OBJECT(wish, fa_reload_soon, wish);
    if (wish->result != FA_CANCELLED && atomic_exchange(&soon->wished, 0) > 1)
        fa_reload_ask_soon(soon);
}

void fa_reload_ask_soon(fa_reload_soon *soon)
{
    if (atomic_fetch_add(&soon->wished, 1) > 0)
        return;
    soon->wish = (fa_reload_wish){.kind = FA_WISH_RELOAD, .done = on_soon_done};
    fa_reloader_ask(soon->reloader, &soon->wish);
}
