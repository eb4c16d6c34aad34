/* The records plugin: what it takes in and gives out, and where it keeps it; on a handful of records, and on the 873 shared ones where they are. */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "records_world.h"

/* ---- import ------------------------------------------------------------------------------------------------------ */
static void importing_again_changes_nothing(void **state)
{
    records_world *w = *state;
    char text[4000];
    snprintf(text, sizeof(text), records_fixture, records_plank);
    imports(w, text, 0, 0, FIXTURE, 0, NULL); /* the data folder's come first */
    imports(w, text, 0, 0, FIXTURE, 0, NULL);
    *strstr(text, "Hold") = 'B'; /* "Bold the plank." */
    imports(w, text, 0, 1, FIXTURE - 1, 0, NULL);
    finds(w->host, "bold", "Plank");
    finds(w->host, "hold", "");
    assert_int_equal(record_count(w->host), FIXTURE);
    char renamed[] = "[{\"id\":\"Plank\",\"name\":\"Board\",\"instructions\":[\"x\"]}]";
    imports(w, renamed, 0, 1, 0, 0, NULL);
    finds(w->host, "board", "Board");
    finds(w->host, "bold", "");
    finds(w->host, "plank", "Push Up to Side Plank|Monday|Push-Ups");
}

static void importing_the_data_file_itself_counts(void **state)
{
    records_world *w = *state;
    for (int round = 0; round < 2; ++round) {
        fake_call *call = importing(w->host, records_path(w, "data/../data/exercises.json"));
        assert_int_equal(fake_call_run(call), FA_OK);
        assert_int_equal((int)fake_call_got_number(call, round == 0 ? "imported" : "unchanged"), FIXTURE);
        fake_call_end(call);
    }
}

static void records_that_are_none_are_skipped_and_counted(void **state)
{
    records_world *w = *state;
    imports(w,
            "[{\"id\":\"a\",\"name\":\"Aaaa\"},1,null,[],\"x\",{},{\"id\":\"b\"},{\"name\":\"c\"},{\"id\":\"\","
            "\"name\":\"d\"},"
            "{\"id\":\"e\",\"name\":5},{\"id\":\"f\",\"name\":\"\"},{\"id\":{},\"name\":\"g\"},{\"id\":\"a\\nb\","
            "\"name\":\"h\"},"
            "{\"id\":\"i\",\"name\":\"Iiii\",\"extra\":{\"deep\":[1,2]},\"primaryMuscles\":\"chest\",\"instructions\":{"
            "\"a\":1}}]",
            2, 0, 0, 12, "number 2: it is no object");
    finds(w->host, "iiii", "Iiii");
    imports(w, "[]", 0, 0, 0, 0, NULL);
    imports(w, "\xef\xbb\xbf[{\"id\":\"a\",\"name\":\"Aaaa\"}]", 0, 0, 1, 0, NULL);
    imports(w, "[{\"id\":\"z\"}]", 0, 0, 0, 1, "number 1: it has no name");
}

static void what_cannot_be_imported_says_why(void **state)
{
    records_world *w = *state;
    static const char *const malformed[] = {"",
                                            "[",
                                            "{",
                                            "[{\"id\":\"a\",\"name\":\"b\"}",
                                            "[{\"id\":\"a\",}]",
                                            "x",
                                            "[1,2,,]",
                                            "{\"a\":1}",
                                            "5",
                                            "null",
                                            "[] []",
                                            "[{'id':1}]"};
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); ++i) {
        records_write(records_path(w, "in.json"), malformed[i]);
        fails_with(importing(w->host, w->path), "invalid");
    }
    records_write(records_path(w, "in.json"), "[{\"id\":\"a\",\"name\":\"\xff\"}]");
    fails_with(importing(w->host, w->path), "invalid");
    fails_with(importing(w->host, records_path(w, "nothing.json")), "not_found");
    fails_with(importing(w->host, records_path(w, "in.json/x")), "not_found");
    fails_with(importing(w->host, w->data), "invalid");
    fails_with(importing(w->host, ""), "invalid");
    fails_with(fake_call_new(w->host, "import"), "invalid");
    assert_int_equal(mkfifo(records_path(w, "fifo"), 0600), 0);
    fails_with(importing(w->host, w->path), "invalid");
    assert_int_equal(truncate(records_path(w, "in.json"), 3000000), 0);
    fails_with(importing(w->host, w->path), "too_large");

    /* nested too deeply for a parser that recurses */
    static char deep[200002];
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    records_write(records_path(w, "in.json"), deep);
    fails_with(importing(w->host, w->path), "invalid");
    assert_int_equal(record_count(w->host), FIXTURE);
}

static char *many_records(int count)
{
    char *text = malloc((size_t)count * 100 + 10);
    int at = sprintf(text, "[");
    for (int i = 0; i < count; ++i)
        at += sprintf(text + at, "%s{\"id\":\"n%d\",\"name\":\"Numbered %d\",\"instructions\":[\"quuxly\"]}",
                      i > 0 ? "," : "", i, i);
    memcpy(text + at, "]", 2);
    return text;
}

static void an_abandoned_import_leaves_nothing(void **state)
{
    records_world *w = *state;
    uint64_t done, total;
    assert_int_equal(record_count(w->host), FIXTURE);
    char *text = many_records(1000);
    records_write(records_path(w, "in.json"), text);
    for (long looks = 0; looks < 30; looks += 6) {
        fake_call *call = importing(w->host, w->path);
        fake_call_cancel_after(call, looks);
        assert_int_equal(fake_call_run(call), FA_CANCELLED);
        assert_true(fake_call_progress(call, &done, &total) < 31);
        fake_call_end(call);
        assert_int_equal(record_count(w->host), FIXTURE);
        finds(w->host, "quuxly", "");
    }
    fake_call *call = importing(w->host, w->path);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_true(fake_call_progress(call, &done, &total) >= 31);
    assert_int_equal(done, 1000);
    assert_int_equal(total, 1000);
    fake_call_end(call);
    assert_int_equal(record_count(w->host), FIXTURE + 1000);
    free(text);
}

static void what_is_exported_can_be_imported(void **state)
{
    records_world *w = *state;
    fake_call *call = fake_call_new(w->host, "export");
    assert_int_equal(fake_call_run(call), FA_OK);
    const char *json = fake_call_got_buffer(call, "json", NULL);
    assert_json(json);
    assert_non_null(strstr(json, records_plank)); /* also what we have no use for */
    imports(w, json, 0, 0, FIXTURE, 0, NULL);
    records_write(records_path(w, "data/exercises.json"), "[]");
    w->config[3] = records_path(w, "elsewhere");
    char elsewhere[128], *copy = strdup(json);
    snprintf(elsewhere, sizeof(elsewhere), "%s", w->path);
    w->config[3] = elsewhere;
    fake_call_end(call);
    records_open_again(w);
    assert_int_equal(record_count(w->host), 0);
    imports(w, copy, FIXTURE, 0, 0, 0, NULL);
    free(copy);
    w->config[3] = w->state;

    call = fake_call_new(w->host, "export");
    fake_call_budget(call, 1000);
    assert_int_equal(fake_call_run(call), FA_OVER_BUDGET);
    fake_call_end(call);
    call = fake_call_new(w->host, "search");
    fake_call_budget(call, 17000);
    fake_call_text(call, "query", "");
    assert_int_equal(fake_call_run(call), FA_OK);
    fake_call_end(call);
}

/* ---- the data folder and the database ---------------------------------------------------------------------------- */
static void the_data_folder_is_followed(void **state)
{
    records_world *w = *state;
    finds_first(w->host, "seven", "Seven");
    records_write(records_path(w, "data/exercises.json"),
                  "[{\"id\":\"new\",\"name\":\"Newcomer\"},{\"id\":7,\"name\":\"Seventh\"}]");
    finds(w->host, "newcomer", ""); /* not while it runs, unless told */
    records_open_again(w);
    finds(w->host, "newcomer", "Newcomer");
    finds(w->host, "seventh", "Seventh");

    fake_call *call = search(w->host, "newcomer");
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"media\":null"));
    fake_call_end(call);
    records_write(records_path(w, "data/media/new.gif"), "GIF");
    call = fake_call_new(w->host, "prepare");
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_int_equal((int)fake_call_got_number(call, "records"), FIXTURE + 1);
    fake_call_end(call);
    call = search(w->host, "newcomer");
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"media\":\"/media/new.gif\""));
    fake_call_end(call);

    records_write(records_path(w, "data/exercises.json"), "[{"); /* what is there is served all the same */
    records_open_again(w);
    finds(w->host, "newcomer", "Newcomer");
}

static void the_database_lies_where_it_should(void **state)
{
    records_world *w = *state;
    struct stat about;
    assert_int_equal(stat(w->state, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    fake_call *call = fake_call_new(w->host, "stats");
    assert_int_equal(fake_call_run(call), FA_OK);
    char path[300];
    snprintf(path, sizeof(path), "%s", fake_call_got_text(call, "database"));
    size_t prefix = strlen(w->state);
    assert_memory_equal(path, w->state, prefix);
    assert_memory_equal(path + prefix, "/records-", 9);
    assert_int_equal(strspn(path + prefix + 9, "0123456789abcdef"), 8);
    assert_string_equal(path + prefix + 17, ".db");
    assert_true(fake_call_got_number(call, "database_bytes") > 4096);
    assert_int_equal((int)fake_call_got_number(call, "records"), FIXTURE);
    assert_int_equal((int)fake_call_got_number(call, "types"), 2);
    assert_int_equal((int)fake_call_got_number(call, "type_exercise"), FIXTURE - 1);
    assert_int_equal((int)fake_call_got_number(call, "type_workout"), 1);
    fake_call_end(call);
    assert_true(fake_host_attributed(w->host) > 10000);

    w->config[6] = "database";
    w->config[7] = path;
    records_open_again(w);
    assert_int_equal(record_count(w->host), FIXTURE);
}

static void a_wrong_database_stops_the_start(void **state)
{
    records_world *w = *state;
    fa_error error = {.text = ""};
    char path[128];
    snprintf(path, sizeof(path), "%s", records_path(w, "wrong.db"));
    const char *const config[] = {"database", path, NULL};
    records_write(
        path, "this is no database, whatever its name says; it is long enough to look like a header of one, though");
    assert_null(fake_host_open("records", config, &error));
    assert_non_null(strstr(error.text, "wrong.db"));
    const char *const nowhere[] = {"database", "/nonexistent/folder/x.db", NULL};
    assert_null(fake_host_open("records", nowhere, &error));
    const char *const unset[] = {"data", w->data, NULL};
    assert_null(fake_host_open("records", unset, &error));
    const char *const unwritable[] = {"state_dir", "/proc/nowhere/state", NULL};
    assert_null(fake_host_open("records", unwritable, &error));
}

static int import_as_another_process(records_world *w, const char *database)
{
    const char *const config[] = {"data", w->data, "database", database, NULL};
    fake_host *host = fake_host_open("records", config, NULL);
    if (host == NULL)
        return 1;
    fake_call *call = search(host, "plank");
    int count = (int)fake_call_got_number(call, "count");
    fake_call_end(call);
    fake_host_close(host);
    return count == 4 ? 0 : 2;
}

static void several_processes_share_a_database(void **state)
{
    records_world *w = *state;
    char database[128];
    snprintf(database, sizeof(database), "%s", records_path(w, "shared.db"));
    pid_t children[4];
    fake_host_close(w->host); /* SQLite's connections are not to be taken across a fork */
    w->host = NULL;
    for (int i = 0; i < 4; ++i) {
        fflush(NULL);
        children[i] = fork();
        if (children[i] == 0)
            _exit(import_as_another_process(w, database));
    }
    for (int i = 0; i < 4; ++i) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
}

/* ---- the shared records ------------------------------------------------------------------------------------------ */
static void the_shared_records(void **state)
{
    records_world *w = *state;
    char data[PATH_MAX];
    if (realpath(FA_SOURCE_HOME "/../shared/data/exercises", data) == NULL)
        skip();
    w->config[1] = data;
    records_open_again(w);
    assert_int_equal(record_count(w->host), 873);
    finds_first(w->host, "How do I do a plank?", "Plank|Push Up to Side Plank|");
    finds_first(w->host, "plnak", "Plank|");
    finds_first(w->host, "what are good deadlifts with a barbell", "Barbell Deadlift|");
    finds_first(w->host, "dedlift", "Leverage Deadlift|");
    finds_first(w->host, "pushup", "Pushups|");
    finds_first(w->host, "push ups with feet elevated", "Push-Ups With Feet Elevated|");
    finds_first(w->host, "3/4 sit-up", "3/4 Sit-Up|");
    finds_first(w->host, "how to do the barbell bench press - medium grip", "Barbell Bench Press - Medium Grip|");
    finds_first(w->host, "exercise ball crunch", "Exercise Ball Crunch|");
    fake_call *call = search(w->host, "3/4 sit-up");
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"media\":\"/media/3_4_Sit-Up.gif\""));
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "going only \xc2\xbe of the way"));
    fake_call_end(call);

    call = importing(w->host, records_path(w, "none"));
    fake_call_end(call);
    char file[PATH_MAX + 20];
    snprintf(file, sizeof(file), "%s/exercises.json", data);
    call = importing(w->host, file);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_int_equal((int)fake_call_got_number(call, "unchanged"), 873);
    fake_call_end(call);
    ask_page(w->host, "", 1, 873, "Zottman Preacher Curl", "\"totalPages\":873,\"searchResults\":873");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RECORDS(importing_again_changes_nothing),
        WITH_RECORDS(importing_the_data_file_itself_counts),
        WITH_RECORDS(records_that_are_none_are_skipped_and_counted),
        WITH_RECORDS(what_cannot_be_imported_says_why),
        WITH_RECORDS(an_abandoned_import_leaves_nothing),
        WITH_RECORDS(what_is_exported_can_be_imported),
        WITH_RECORDS(the_data_folder_is_followed),
        WITH_RECORDS(the_database_lies_where_it_should),
        WITH_RECORDS(a_wrong_database_stops_the_start),
        WITH_RECORDS(several_processes_share_a_database),
        WITH_RECORDS(the_shared_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
