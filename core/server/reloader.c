#include "server/reloader.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/c_locale.h"
#include "server/file_watch.h"

enum { QUIET_MS = 60 }; /* whoever saves one file often saves the next one at once */

struct fa_reloader {
    fa_reloader_options options;
    fa_scope *scope; /* the thread's; apart from all others */
    fa_file_watch *watch;
    int wake; /* an eventfd */
    pthread_t thread;
    pthread_mutex_t lock; /* guards wishes and stopping */
    fa_list wishes;
    bool stopping;
    /* The thread's own. */
    bool changed;     /* files have, and nothing was loaded since */
    uint64_t due_ms;  /* when changed: when that is to happen; UINT64_MAX: when a generation has gone */
    uint64_t last_ms; /* of the last reload, wall clock; 0: there was none */
    fa_reload_report last;
};

static void wake(fa_reloader *r)
{
    const uint64_t one = 1;
    ssize_t ignored = write(r->wake, &one, sizeof(one));
    (void)ignored;
}

static void on_generation_gone(void *context)
{
    wake(context);
}

/* ---- reloading ---- */

/* A line of the log for each line of the text. */
static void log_lines(const fa_reloader *r, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        fa_log_write(r->options.log, FA_LOG_ERROR, "%.*s", (int)length, text);
        text += length + (text[length] == '\n' ? 1 : 0);
    }
}

static bool is_stopping(fa_reloader *r)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

static bool stops(void *context)
{
    return is_stopping(context);
}

static fa_result run_specs(void *context, fa_load_failure *failure, fa_error *error)
{
    fa_reloader *r = context;
    fa_reload_specs specs = *r->options.specs;
    specs.wake = r->wake;
    specs.stops = stops;
    specs.context = r;
    return fa_reload_specs_run(&specs, r->scope, failure, error);
}

static void reload(fa_reloader *r, const char *why)
{
    char line[1000];
    const fa_reload_gate gate = {run_specs, r};
    r->changed = false;
    fa_result result = fa_scripts_reload(r->options.scripts, r->options.specs != NULL ? &gate : NULL, &r->last);
    fa_reload_report_line(&r->last, r->options.workers, line, sizeof(line));
    fa_log_write(r->options.log, result == FA_OK ? FA_LOG_INFO : FA_LOG_ERROR, "reload (%s): %s", why, line);
    log_lines(r, r->last.failure.excerpt);
    log_lines(r, r->last.failure.traceback);
    r->last_ms = fa_clock_wall_ms(NULL);
}

/* ---- wishes ---- */

static void write_status(fa_reloader *r, fa_reload_wish *wish)
{
    const fa_reload_report *last = r->last_ms != 0 ? &r->last : NULL;
    fa_generations_left *left = fa_scope_allocate(r->scope, sizeof(*left));
    wish->written = FA_NO_MEMORY;
    if (left == NULL)
        return;
    fa_scripts_read_left(r->options.scripts, left);
    wish->written = wish->text ? fa_generations_left_text(left, last, wish->out)
                               : fa_generations_left_json(left, last, r->last_ms, wish->out);
    fa_scope_free(r->scope, left);
}

static void fulfil(fa_reloader *r, fa_reload_wish *wish, bool stopping)
{
    wish->result = stopping ? FA_CANCELLED : wish->kind == FA_WISH_RELOAD ? r->last.result : FA_OK;
    fa_reload_report_line(&r->last, r->options.workers, wish->message, sizeof(wish->message));
    wish->written = FA_OK;
    bool well = wish->result == FA_OK && wish->certificates == NULL;
    if (wish->out != NULL && wish->marked)
        wish->written = well ? fa_buffer_append(wish->out, "ok\n", 3) : fa_buffer_append(wish->out, "failed\n", 7);
    if (stopping)
        wish->written = FA_CANCELLED;
    else if (wish->out != NULL && wish->written == FA_OK && wish->kind == FA_WISH_STATUS)
        write_status(r, wish);
    else if (wish->out != NULL && wish->written == FA_OK)
        wish->written = wish->text ? fa_reload_report_text(&r->last, r->options.workers, wish->certificates, wish->out)
                                   : fa_reload_report_json(&r->last, r->options.workers, wish->certificates, wish->out);
    wish->done(wish);
}

/* Those that are there now are one. */
static void fulfil_wishes(fa_reloader *r, bool stopping)
{
    fa_list now;
    bool any = false;
    fa_list_init(&now);
    pthread_mutex_lock(&r->lock);
    for (fa_list *node; (node = fa_list_first(&r->wishes)) != NULL;) {
        fa_list_remove(node);
        fa_list_append(&now, node);
        any = any || FA_OBJECT(node, fa_reload_wish, link)->kind == FA_WISH_RELOAD;
    }
    pthread_mutex_unlock(&r->lock);
    if (any && !stopping)
        reload(r, "asked for");
    for (fa_list *node; (node = fa_list_first(&now)) != NULL;) {
        fa_list_remove(node);
        fulfil(r, FA_OBJECT(node, fa_reload_wish, link), stopping);
    }
}

/* ---- files ---- */

static void look_at_files(fa_reloader *r)
{
    if (r->watch == NULL || !fa_file_watch_changed(r->watch))
        return;
    r->changed = true;
    r->due_ms = fa_now_ms() + QUIET_MS;
}

static void reload_changed(fa_reloader *r)
{
    if (!r->changed || fa_now_ms() < r->due_ms)
        return;
    reload(r, "files have changed");
    if (r->last.result != FA_FULL)
        return;
    r->changed = true; /* again when there may be room: a generation goes, or the oldest has had its time */
    r->due_ms = r->last.retry_ms != 0 ? fa_now_ms() + r->last.retry_ms : UINT64_MAX;
}

static int patience(const fa_reloader *r)
{
    uint64_t now_ms = fa_now_ms();
    if (!r->changed || r->due_ms == UINT64_MAX)
        return -1;
    return r->due_ms > now_ms ? (int)(r->due_ms - now_ms) : 0;
}

static void *run(void *context)
{
    fa_reloader *r = context;
    fa_c_locale_enter();
    while (!is_stopping(r)) {
        struct pollfd ready[2] = {{.fd = r->wake, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
        uint64_t ignored;
        if (r->watch != NULL)
            ready[1].fd = fa_file_watch_fd(r->watch);
        poll(ready, 2, patience(r));
        bool woken = read(r->wake, &ignored, sizeof(ignored)) > 0;
        if (woken && r->changed && r->last.result == FA_FULL)
            r->due_ms = fa_now_ms();
        look_at_files(r);
        fulfil_wishes(r, is_stopping(r));
        reload_changed(r);
    }
    fulfil_wishes(r, true);
    return NULL;
}

/* ---- beginning and end ---- */

static void take_down(fa_reloader *r)
{
    fa_scope *scope = r->scope;
    fa_file_watch_close(r->watch);
    if (r->wake >= 0)
        close(r->wake);
    pthread_mutex_destroy(&r->lock);
    fa_scope_end(scope, "server stopped", NULL); /* and the reloader lies in it */
}

fa_result fa_reloader_start(const fa_scope *parent, const fa_reloader_options *options, fa_reloader **out,
                            fa_error *error)
{
    fa_scope *scope;
    fa_result result =
        fa_scope_new_apart(fa_scope_ledger(parent), parent, FA_KIND_SERVER, 0, "reload", FA_HERE, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory to reload");
    fa_reloader *r = fa_scope_allocate(scope, sizeof(*r));
    if (r == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return fa_fail(error, FA_NO_MEMORY, "no memory to reload");
    }
    r->options = *options;
    r->scope = scope;
    fa_list_init(&r->wishes);
    pthread_mutex_init(&r->lock, NULL);
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake < 0)
        result = fa_fail(error, FA_IO, "reload: %s", strerror(errno));
    if (result == FA_OK && options->watched != NULL)
        result = fa_file_watch_open(scope, options->watched, options->log, &r->watch, error);
    int status = result == FA_OK ? pthread_create(&r->thread, NULL, run, r) : 0;
    if (status != 0)
        result = fa_fail(error, FA_IO, "no thread to reload: %s", strerror(status));
    if (result != FA_OK) {
        take_down(r);
        return result;
    }
    pthread_setname_np(r->thread, "fa-reload");
    fa_scripts_on_gone(options->scripts, on_generation_gone, r);
    *out = r;
    return FA_OK;
}

void fa_reloader_stop(fa_reloader *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    bool stopped = r->stopping;
    r->stopping = true;
    pthread_mutex_unlock(&r->lock);
    if (stopped)
        return;
    wake(r);
    pthread_join(r->thread, NULL);
}

void fa_reloader_free(fa_reloader *r)
{
    if (r != NULL)
        take_down(r);
}

/* ---- asking ---- */

void fa_reloader_ask(fa_reloader *r, fa_reload_wish *wish)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    if (!stopping)
        fa_list_append(&r->wishes, &wish->link);
    pthread_mutex_unlock(&r->lock);
    if (!stopping) {
        wake(r);
        return;
    }
    wish->result = wish->written = FA_CANCELLED;
    wish->done(wish);
}

/* The wish carries no context of its own: who waits is found by what stands behind it. */
typedef struct waited_wish {
    fa_reload_wish wish;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
} waited_wish;

static void on_waited(fa_reload_wish *wish)
{
    waited_wish *w = FA_OBJECT(wish, waited_wish, wish);
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

fa_result fa_reloader_ask_and_wait(fa_reloader *r, fa_reload_wish *wish)
{
    waited_wish w = {.wish = *wish};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    w.wish.done = on_waited;
    fa_reloader_ask(r, &w.wish);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    *wish = w.wish;
    return wish->result;
}

/* ---- for scripts ---- */

/* A script's question on its way. The worker does not finish before it is back. */
typedef struct script_wish {
    fa_reload_wish wish;
    fa_message message;
    fa_memory_question *question;
    fa_account *account;
} script_wish;

static void free_script_wish(script_wish *w)
{
    if (w->wish.out != NULL)
        fa_buffer_release(w->wish.out);
    fa_account_free(w->account, w, sizeof(*w));
}

static void on_back(fa_message *message)
{
    script_wish *w = FA_OBJECT(message, script_wish, message);
    fa_memory_question *question = w->question;
    fa_worker *worker = question->worker;
    question->answered(question, w->wish.written, w->wish.written == FA_OK ? w->wish.out : NULL);
    free_script_wish(w);
    fa_worker_release(worker);
}

static void on_done(fa_reload_wish *wish)
{
    script_wish *w = FA_OBJECT(wish, script_wish, wish);
    fa_worker_post(w->question->worker, &w->message);
}

fa_result fa_reloader_answer(fa_reloader *r, fa_memory_question *question)
{
    void *memory;
    fa_account *account = fa_scope_account(r->scope);
    fa_result result = fa_account_allocate(account, sizeof(script_wish), &memory);
    if (result != FA_OK)
        return result;
    script_wish *w = memset(memory, 0, sizeof(script_wish));
    w->account = account;
    w->question = question;
    w->wish.kind = strcmp(question->what, "reload") == 0 ? FA_WISH_RELOAD : FA_WISH_STATUS;
    w->wish.done = on_done;
    fa_message_init(&w->message, on_back);
    result = fa_buffer_new_detached(account, 4096, "reload answer", FA_HERE, &w->wish.out);
    if (result != FA_OK) {
        free_script_wish(w);
        return result;
    }
    fa_worker_hold(question->worker);
    fa_reloader_ask(r, &w->wish);
    return FA_OK;
}
