/* core/script: a million random operations by scripts on handles of every type: across requests, turns, scopes, child tasks and
 * coroutines, with clients that vanish, turns that are cut, and a second generation of scripts. The model is in support/property.lua;
 * here the world is turned. FA_SEED=n repeats a run, FA_OPERATIONS=n makes it longer or shorter. */
#include "script_world.h"

#include <stdio.h>
#include <stdlib.h>

/* The million is for the sanitizer that sees what a model does not. The one for threads never forgets the frames that a Lua error jumps
 * over, runs out of room for them, and has nothing to see here: it is one thread. */
#if defined(__SANITIZE_ADDRESS__)
enum { RUNNING = 6, PER_REQUEST = 400, OPERATIONS = 1000000 };
#else
enum { RUNNING = 6, PER_REQUEST = 400, OPERATIONS = 200000 };
#endif

static unsigned long from_environment(const char *name, unsigned long usual)
{
    const char *value = getenv(name);
    return value != NULL ? strtoul(value, NULL, 10) : usual;
}

static void write_app(script_world *w)
{
    static char text[40000];
    FILE *file = fopen(FA_SOURCE_HOME "/spec/unit/support/property.lua", "rb");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_true(length > 0 && length < sizeof(text));
    script_world_write(w, "app.lua", text, length);
}

static void ask(script_world *w, const char *what)
{
    const char *answer = script_ask(w, what);
    if (strncmp(answer, "200 ", 4) != 0)
        fail_msg("%s: %s\n%s", what, answer, w->logged);
}

static void replace_one(script_world *w, fa_inprocess **client, unsigned slot, unsigned long *number)
{
    char what[80];
    if (client[slot] != NULL) { /* perhaps still at work: its client vanishes */
        snprintf(what, sizeof(what), "GET /doom/%lu", number[slot]);
        ask(w, what);
        fa_inprocess_free(client[slot]);
    }
    number[slot] += RUNNING;
    snprintf(what, sizeof(what), "GET /run/%lu/%d", number[slot], PER_REQUEST);
    client[slot] = script_start(w, (asking){.what = what});
}

/* One generation of scripts; returns when it has done so many operations. */
static void generation(script_world *w, unsigned long operations)
{
    fa_inprocess *client[RUNNING] = {NULL};
    unsigned long number[RUNNING], done = 0;
    ask(w, "GET /learn");
    for (unsigned i = 0; i < RUNNING; ++i)
        number[i] = i;
    for (unsigned round = 0; done < operations; ++round) {
        replace_one(w, client, round % RUNNING, number);
        if (round % 7 == 0)
            ask(w, "GET /turn/60");
        if (round % 11 == 0)
            ask(w, "GET /cut");
        uv_run(fa_worker_loop(w->worker), UV_RUN_NOWAIT);
        if (round % 50 == 0)
            done = strtoul(script_ask(w, "GET /done") + 4, NULL, 10);
        if (strstr(w->logged, "PROPERTY") != NULL)
            fail_msg("%s", strstr(w->logged, "PROPERTY"));
        w->used = 0;
        w->logged[0] = '\0';
    }
    print_message("%s\n", script_ask(w, "GET /figures") + 4);
    for (unsigned i = 0; i < RUNNING; ++i)
        fa_inprocess_free(client[i]);
    fa_dialogues_end_all(w->dialogues, "property");
}

static void a_value_or_a_lua_error(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip();
#endif
    unsigned long seed = from_environment("FA_SEED", 20261124),
                  operations = from_environment("FA_OPERATIONS", OPERATIONS);
    print_message("FA_SEED=%lu\n", seed);
    script_world *w = script_world_new();
    write_app(w);
    for (int i = 0; i < 2; ++i) {
        w->settings[1] = (fa_setting){
            .name = "seed", .type = FA_SETTING_NUMBER, .number = (double)((seed + (unsigned)i) % 2147483646 + 1)};
        assert_true(script_world_try(w, NULL, WITH_NOTHING));
        generation(w, operations / 2);
        assert_int_equal(fa_script_tasks(w->script), 0);
        script_world_close(w); /* the ledger is at zero */
    }
    script_world_forget(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_value_or_a_lua_error)};
    return cmocka_run_group_tests_name("scripts: property", tests, NULL, NULL);
}
