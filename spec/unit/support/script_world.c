#include "script_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dialogue_world.h"

static void keep_line(void *context, fa_log_level level, const char *line)
{
    script_world *w = context;
    (void)level;
    if (w->used + strlen(line) + 2 < sizeof(w->logged))
        w->used += (size_t)sprintf(w->logged + w->used, "%s\n", line);
}

script_world *script_world_new(void)
{
    script_world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->log = (fa_log){.level = FA_LOG_DEBUG, .fd = -1, .sink = keep_line, .sink_context = w};
    strcpy(w->folder, "/tmp/fa-script-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->settings[0] = (fa_setting){.name = "app", .type = FA_SETTING_TEXT, .text = w->folder};
    w->settings[1] = (fa_setting){.name = "count", .type = FA_SETTING_NUMBER, .number = 7};
    w->settings[2] = (fa_setting){.name = "flag", .type = FA_SETTING_FLAG, .number = 1};
    return w;
}

void script_world_write(script_world *w, const char *name, const char *bytes, size_t length)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", w->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

/* Beside the test program, where the build puts it. */
void script_echo_path(char *out, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", out, size - 1);
    out[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(out, '/');
    snprintf(slash, size - (size_t)(slash - out), "/plugins/echo.so");
}

static const char *no_config(void *context, const char *key)
{
    (void)context, (void)key;
    return NULL;
}

static fa_result start_echo(script_world *w, int with)
{
    char path[400];
    script_echo_path(path, sizeof(path));
    fa_native_options options = {
        .name = "echo", .path = path, .queue = with & WITH_SHORT_QUEUE ? 1 : 100, .config = no_config, .log = &w->log};
    fa_result result = fa_native_start(w->server, &options, &w->natives[0], &w->error);
    return result == FA_OK ? fa_native_wait(w->natives[0], &w->error) : result;
}

static fa_result make_upstreams(script_world *w)
{
    fa_upstreams_options options = {.worker = w->worker,
                                    .turnstiles = fa_turnstiles_new(w->server),
                                    .healths = fa_healths_new(w->server),
                                    .workers = 1};
    return options.turnstiles != NULL && options.healths != NULL ? fa_upstreams_new(&options, &w->upstreams, &w->error)
                                                                 : FA_NO_MEMORY;
}

static fa_result make(script_world *w, int with)
{
    fa_dialogue_options dialogues = dialogue_test_options();
    fa_media_options media = {.cache_budget = 1024 * 1024, .file_limit = 100000, .recheck_ms = 0};
    fa_result result = fa_scope_new(w->ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &w->server);
    if (result == FA_OK && (with & WITH_ECHO))
        result = start_echo(w, with);
    if (result == FA_OK && (w->media = fa_media_new(w->server, &media)) == NULL)
        result = FA_NO_MEMORY;
    if (result == FA_OK && ((w->stores = fa_stores_new(w->server, 0)) == NULL ||
                            (w->topics = fa_topics_new(w->server, w->topic_budget)) == NULL))
        result = FA_NO_MEMORY;
    if (result == FA_OK)
        result = fa_worker_new(w->ledger, w->server, 0, &w->log, &w->worker, &w->error);
    if (result == FA_OK)
        result =
            fa_scope_new(w->ledger, fa_worker_scope(w->worker), FA_KIND_SCRIPT, 0, "clients", FA_HERE, &w->clients);
    if (result == FA_OK)
        result = fa_dialogues_new(w->worker, &dialogues, &w->dialogues, &w->error);
    if (result == FA_OK && w->slice_ms != 0)
        result = fa_watchdog_new(w->server, &w->log, 5, 0, &w->watchdog, &w->error);
    if (result == FA_OK && w->slice_ms != 0)
        result = fa_watchdog_add(w->watchdog, fa_worker_watched(w->worker));
    if (result == FA_OK && (with & WITH_UPSTREAMS))
        result = make_upstreams(w);
    w->options = (fa_script_options){
        .worker = w->worker,
        .upstreams = w->upstreams,
        .dialogues = w->dialogues,
        .media = w->media,
        .natives = w->natives,
        .plugins = w->plugins,
        .stores = w->stores,
        .topics = w->topics,
        .settings = w->settings,
        .app = w->folder,
        .script_heap = w->script_heap,
        .answer_queue = w->answer_queue,
        .library = FA_SOURCE_HOME "/lua",
        .slice_ms = w->slice_ms,
        .load_ms = w->slice_ms,
        .trusted = &w->trusted,
        .trusted_count = w->trusted != NULL,
        .development = with & WITH_DEVELOPMENT,
        .generation = 1,
    };
    if (result == FA_OK)
        result = fa_script_new(&w->options, &w->script, &w->error);
    if (result == FA_OK)
        result = fa_script_load(w->script, NULL, &w->error);
    if (result == FA_OK)
        fa_script_start(w->script);
    return result;
}

bool script_world_try(script_world *w, fa_ledger *ledger, int with)
{
    w->own_ledger = ledger == NULL;
    w->ledger = ledger != NULL ? ledger : fa_test_ledger(&w->memory);
    w->error.text[0] = '\0';
    fa_clock_init(&w->clock);
    if (with & WITH_CLOCK)
        fa_ledger_set_clock(w->ledger, &w->clock);
    return make(w, with) == FA_OK;
}

script_world *script_world_begin_with(const char *app, int with)
{
    char path[400];
    script_echo_path(path, sizeof(path));
    if ((with & WITH_ECHO) && access(path, R_OK) != 0) {
        print_message("skipped: %s has not been built\n", path);
        return NULL;
    }
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, strlen(app));
    if (!script_world_try(w, NULL, with))
        fail_msg("%s", w->error.text);
    return w;
}

script_world *script_world_begin(const char *app)
{
    return script_world_begin_with(app, WITH_NOTHING);
}

/* ---- the end ---- */

static void name_left(script_world *w, const char *where)
{
    fa_inventory left = {0};
    print_message("%s", w->logged);
    fa_ending_take(&left, w->worker);
    if (w->script != NULL && w->generations == NULL)
        fa_script_take_inventory(w->script, &left, NULL);
    fa_ending_fail(&left, where);
}

void assert_world_quiet(script_world *w)
{
    static const fa_kind kinds[] = {FA_KIND_REQUEST, FA_KIND_TURN, FA_KIND_DIALOGUE, FA_KIND_LISTENER,
                                    FA_KIND_TRANSFER};
    fa_test_run_for(w->worker, 5);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
        const fa_kind_counters *c = fa_ledger_kind(w->ledger, kinds[i]);
        if (c->bytes != 0 || c->count != 0)
            name_left(w, fa_kind_name(kinds[i]));
    }
    assert_int_equal(fa_ledger_in_flight(w->ledger), 0);
    if (*fa_ledger_handles(w->ledger) != 0)
        name_left(w, "handles");
}

void script_world_close(script_world *w)
{
    if (w->clients != NULL)
        fa_scope_end(w->clients, "test", NULL);
    if (w->dialogues != NULL)
        fa_dialogues_end_all(w->dialogues, "test");
    if (w->worker != NULL)
        assert_world_quiet(w);
    fa_upstreams_free(w->upstreams);
    fa_generations_free(w->generations);
    if (w->generations == NULL)
        fa_script_free(w->script);
    fa_watchdog_free(w->watchdog);
    w->watchdog = NULL;
    fa_worker_free(w->worker);
    fa_native_close(w->natives[0]);
    fa_media_free(w->media);
    if (w->server != NULL)
        fa_scope_end(w->server, "test", NULL);
    if (w->own_ledger)
        fa_test_ledger_free(&w->memory, w->ledger);
    w->clients = w->server = NULL;
    w->dialogues = NULL;
    w->script = NULL;
    w->upstreams = NULL;
    w->generations = NULL;
    w->worker = NULL;
    w->natives[0] = NULL;
    w->media = NULL;
}

void script_world_end(script_world *w)
{
    script_world_close(w);
    script_world_forget(w);
}

void script_world_forget(script_world *w)
{
    char command[100];
    snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    free(w);
}

/* ---- asking ---- */

fa_inprocess *script_start(script_world *w, asking how)
{
    char method[16];
    fa_inprocess *client;
    const char *space = strchr(how.what, ' ');
    snprintf(method, sizeof(method), "%.*s", (int)(space - how.what), how.what);
    fa_inprocess_request request = {
        .method = method,
        .target = space + 1,
        .headers = how.headers,
        .body = how.body,
        .body_length = how.body != NULL ? strlen(how.body) : 0,
        .stepped = how.stepped,
    };
    uv_update_time(fa_worker_loop(w->worker)); /* no loop has turned since the last answer: timers would be short */
    fa_result result =
        w->generations != NULL
            ? fa_inprocess_start(w->worker, w->clients, &request, fa_generations_handle, w->generations, &client)
            : fa_inprocess_start(w->worker, w->clients, &request, fa_script_handle, w->script, &client);
    return result == FA_OK ? client : NULL;
}

const char *script_answer(script_world *w, fa_inprocess *client)
{
    static char out[20000];
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    SCRIPT_UNTIL(w, answer->ended);
    int length = (int)fa_buffer_length(answer->body);
    if (!answer->complete)
        snprintf(out, sizeof(out), "cut");
    else if (length == 0)
        snprintf(out, sizeof(out), "%d", answer->status);
    else
        snprintf(out, sizeof(out), "%d %.*s", answer->status, length, (const char *)fa_buffer_data(answer->body));
    fa_inprocess_free(client);
    return out;
}

const char *script_ask(script_world *w, const char *what)
{
    return script_answer(w, script_start(w, (asking){.what = what}));
}

const char *script_post(script_world *w, const char *what, const char *body)
{
    return script_answer(w, script_start(w, (asking){.what = what, .body = body}));
}

void assert_answer_has(script_world *w, const char *what, const char *part)
{
    const char *answer = script_ask(w, what);
    if (strstr(answer, part) == NULL)
        fail_msg("%s: \"%s\" is not in: %s", what, part, answer);
}

void assert_logged(script_world *w, const char *part)
{
    if (strstr(w->logged, part) == NULL)
        fail_msg("\"%s\" is not in the log:\n%s", part, w->logged);
}

void assert_costs_nothing(script_world *w, const char *what)
{
    size_t before = 0;
    for (int i = 0; i < 4; ++i) {
        script_ask(w, what);
        fa_test_run_for(w->worker, 5);
        size_t now = fa_ledger_bytes(w->ledger);
        if (i == 0)
            before = now;
        else if (now != before)
            fail_msg("%s: %zu bytes, then %zu", what, before, now);
    }
}

void script_turn_loop(script_world *w)
{
    fa_test_run_for(w->worker, 1);
}
