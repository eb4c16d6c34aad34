/* The records plugin: on a handful of records written here, and on the 873 shared ones where they are. */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "testing.h"

#include "fake_host.h"

static const char plank[] = "{\"id\":\"Plank\",\"name\":\"Plank\",\"force\":\"static\",\"level\":\"beginner\","
                            "\"mechanic\":null,\"equipment\":\"body only\","
                            "\"primaryMuscles\":[\"abdominals\"],\"secondaryMuscles\":[],\"instructions\":[\"Lie "
                            "\\\"prone\\\".\",\"Hold the plank.\"],"
                            "\"category\":\"strength\",\"images\":[\"a.jpg\"]}";

static const char fixture[] =
    "[%s,"
    "{\"id\":\"side plank\",\"name\":\"Push Up to Side Plank\",\"instructions\":[\"From a push up turn into a side "
    "plank.\"]},"
    "{\"id\":\"pushups\",\"name\":\"Push-Ups\",\"level\":\"beginner\",\"primaryMuscles\":[\"chest\"],"
    "\"instructions\":[\"Keep your body straight as in a plank.\"]},"
    "{\"id\":\"deadlift\",\"name\":\"Barbell Deadlift\",\"equipment\":\"barbell\",\"primaryMuscles\":[\"lower back\"],"
    "\"media\":\"gifs/dead lift.gif\",\"instructions\":\"Lift it.\"},"
    "{\"id\":\"cafe\",\"name\":\"Caf\xc3\xa9 stretch \xf0\x9f\x92\xaa\",\"force\":[1],\"instructions\":[]},"
    "{\"id\":\"w1\",\"name\":\"Monday\",\"recordType\":\"workout\",\"length\":20,\"description\":\"Legs and a "
    "plank.\"},"
    "{\"id\":7,\"name\":\"Seven\"}]";
enum { FIXTURE = 7 };

/* ---- a world for each test --------------------------------------------------------------------------------------- */
typedef struct world {
    char root[64], data[80], state[100], path[128];
    const char *config[9];
    fake_host *host;
} world;

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static const char *in_root(world *w, const char *name)
{
    snprintf(w->path, sizeof(w->path), "%s/%s", w->root, name);
    return w->path;
}

static fake_host *open_again(world *w)
{
    fa_error error = {.text = ""};
    if (w->host != NULL)
        fake_host_close(w->host);
    w->host = fake_host_open("records", w->config, &error);
    assert_string_equal(error.text, "");
    assert_non_null(w->host);
    return w->host;
}

static int make_world(void **state)
{
    char text[4000];
    world *w = calloc(1, sizeof(*w));
    snprintf(w->root, sizeof(w->root), "/tmp/fa-records-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    snprintf(w->data, sizeof(w->data), "%s/data", w->root);
    snprintf(w->state, sizeof(w->state), "%s/state/deep", w->root);
    assert_int_equal(mkdir(w->data, 0755), 0);
    assert_int_equal(mkdir(in_root(w, "data/media"), 0755), 0);
    write_file(in_root(w, "data/media/Plank.gif"), "GIF");
    write_file(in_root(w, "data/media/side plank.gif"), "GIF");
    snprintf(text, sizeof(text), fixture, plank);
    write_file(in_root(w, "data/exercises.json"), text);
    const char *config[] = {"data", w->data, "state_dir", w->state, "max_import", "2000000", NULL};
    memcpy(w->config, config, sizeof(config));
    open_again(w);
    *state = w;
    return 0;
}

static int forget(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

static int end_world(void **state)
{
    world *w = *state;
    if (w->host != NULL)
        fake_host_close(w->host);
    nftw(w->root, forget, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* ---- is it JSON? ------------------------------------------------------------------------------------------------- */
static const char *json_value(const char *at);

static const char *json_string(const char *at)
{
    if (at == NULL || *at != '"')
        return NULL;
    for (++at; *at != '"'; ++at) {
        if ((unsigned char)*at < ' ')
            return NULL;
        if (*at == '\\' && strchr("\"\\/bfnrtu", *++at) == NULL)
            return NULL;
    }
    return at + 1;
}

static const char *json_members(const char *at, char end, int named)
{
    at += strspn(at, " \n");
    if (*at == end)
        return at + 1;
    for (;;) {
        if (named) {
            at = json_string(at + strspn(at, " \n"));
            if (at == NULL || *at++ != ':')
                return NULL;
        }
        at = json_value(at);
        if (at == NULL)
            return NULL;
        at += strspn(at, " \n");
        if (*at == end)
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
}

static const char *json_value(const char *at)
{
    static const char *const words[] = {"null", "true", "false"};
    at += strspn(at, " \n");
    if (*at == '{' || *at == '[')
        return json_members(at + 1, *at == '{' ? '}' : ']', *at == '{');
    if (*at == '"')
        return json_string(at);
    for (int i = 0; i < 3; ++i) {
        if (strncmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    }
    size_t digits = strspn(at, "-+.eE0123456789");
    return digits > 0 ? at + digits : NULL;
}

static void assert_json(const char *text)
{
    const char *end = json_value(text);
    assert_non_null(end);
    assert_int_equal(strspn(end, "\n"), strlen(end));
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */
static fake_call *search_bytes(fake_host *host, const char *query, size_t length)
{
    fake_call *call = fake_call_new(host, "search");
    fake_call_bytes(call, "query", query, length);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_json(fake_call_got_buffer(call, "json", NULL));
    return call;
}

static fake_call *search(fake_host *host, const char *query)
{
    return search_bytes(host, query, strlen(query));
}

/* The names of a reply's records in order, "A|B|C". */
static char *names(const fake_call *call, char *to, size_t room)
{
    static const char before[] = "{\"basic\":{\"name\":\"";
    size_t used = 0;
    to[0] = '\0';
    for (const char *at = fake_call_got_buffer(call, "json", NULL); (at = strstr(at, before)) != NULL;) {
        at += sizeof(before) - 1;
        used += (size_t)snprintf(to + used, used < room ? room - used : 0, "%s%.*s", used > 0 ? "|" : "",
                                 (int)strcspn(at, "\""), at);
        assert_true(used < room);
    }
    return to;
}

static void finds(fake_host *host, const char *query, const char *expected)
{
    char found[20000];
    fake_call *call = search(host, query);
    assert_string_equal(names(call, found, sizeof(found)), expected);
    fake_call_end(call);
}

/* The first ones. */
static void finds_first(fake_host *host, const char *query, const char *expected)
{
    char found[20000];
    fake_call *call = search(host, query);
    names(call, found, sizeof(found));
    if (strncmp(found, expected, strlen(expected)) != 0)
        print_error("%s: %s\n", query, found);
    assert_memory_equal(found, expected, strlen(expected));
    fake_call_end(call);
}

static void fails_with(fake_call *call, const char *code)
{
    assert_int_not_equal(fake_call_run(call), FA_OK);
    if (strcmp(fake_call_error(call), code) != 0)
        print_error("%s\n", fake_call_message(call));
    assert_string_equal(fake_call_error(call), code);
    fake_call_end(call);
}

static fake_call *importing(fake_host *host, const char *file)
{
    fake_call *call = fake_call_new(host, "import");
    fake_call_text(call, "file", file);
    return call;
}

static void imports(world *w, const char *text, int imported, int updated, int unchanged, int skipped, const char *note)
{
    write_file(in_root(w, "in.json"), text);
    fake_call *call = importing(w->host, w->path);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_int_equal((int)fake_call_got_number(call, "imported"), imported);
    assert_int_equal((int)fake_call_got_number(call, "updated"), updated);
    assert_int_equal((int)fake_call_got_number(call, "unchanged"), unchanged);
    assert_int_equal((int)fake_call_got_number(call, "skipped"), skipped);
    assert_int_equal((int)fake_call_got_number(call, "total"), imported + updated + unchanged + skipped);
    if (note == NULL)
        assert_null(fake_call_got_text(call, "note"));
    else
        assert_string_equal(fake_call_got_text(call, "note"), note);
    fake_call_end(call);
}

static int record_count(fake_host *host)
{
    fake_call *call = fake_call_new(host, "stats");
    assert_int_equal(fake_call_run(call), FA_OK);
    int count = (int)fake_call_got_number(call, "records");
    fake_call_end(call);
    return count;
}

/* ---- the reply --------------------------------------------------------------------------------------------------- */
static void the_reply_has_the_shape_of_the_original(void **state)
{
    world *w = *state;
    fake_call *call = search(w->host, "plank prone");
    const char *json = fake_call_got_buffer(call, "json", NULL);
    static const char head[] =
        "{\"message\":\"Records retrieved successfully\",\"totalRecords\":7,\"pageSize\":20,\"currentPage\":1,"
        "\"totalPages\":1,\"searchResults\":4,\"records\":[";
    assert_memory_equal(json, head, strlen(head));
    static const char record[] =
        "{\"data\":{\"basic\":{\"name\":\"Plank\",\"description\":\"beginner strength exercise for abdominals; "
        "equipment: body only\","
        "\"language\":\"en\",\"tagItems\":[\"strength\",\"beginner\",\"static\",\"body only\",\"abdominals\"]},"
        "\"exercise\":{\"force\":\"static\",\"level\":\"beginner\",\"mechanic\":null,\"equipment\":\"body only\","
        "\"primaryMuscles\":[\"abdominals\"],\"secondaryMuscles\":[],\"instructions\":[\"Lie \\\"prone\\\".\",\"Hold "
        "the plank.\"],"
        "\"category\":\"strength\",\"media\":\"/media/Plank.gif\"}},"
        "\"oip\":{\"did\":\"did:local:Plank\",\"didTx\":\"did:local:Plank\",\"recordType\":\"exercise\","
        "\"recordStatus\":\"original\"}},";
    assert_memory_equal(json + strlen(head), record, strlen(record));
    assert_int_equal((int)fake_call_got_number(call, "count"), 4);
    assert_non_null(strstr(json, "\"workout\":{\"id\":\"w1\",\"name\":\"Monday\","));
    assert_non_null(strstr(json, "/media/side%20plank.gif"));
    fake_call_end(call);

    call = search(w->host, "barbell");
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"media\":\"/media/gifs/dead%20lift.gif\""));
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"instructions\":[\"Lift it.\"]"));
    fake_call_end(call);
    call = search(w->host, "cafe");
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"force\":null"));
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"media\":null"));
    fake_call_end(call);
}

static void questions_find_what_they_are_about(void **state)
{
    world *w = *state;
    finds(w->host, "How do I do a plank?", "Plank|Push Up to Side Plank|Monday|Push-Ups");
    finds(w->host, "What's the best way to do the PLANKS", "Plank|Push Up to Side Plank|Monday|Push-Ups");
    finds_first(w->host, "show me a push up to side plank please", "Push Up to Side Plank|");
    finds_first(w->host, "pushup", "Push-Ups|");
    finds_first(w->host, "push up", "Push-Ups|");
    finds_first(w->host, "push-ups for the chest", "Push-Ups|");
    finds(w->host, "caf\xc3\xa9", "Caf\xc3\xa9 stretch \xf0\x9f\x92\xaa");
    finds(w->host, "CAFE", "Caf\xc3\xa9 stretch \xf0\x9f\x92\xaa");
    finds_first(w->host, "abs", "Plank");
    finds(w->host, "how do I do it?", "");
    finds(w->host, "xyzzy", "");
}

static void typing_errors_are_forgiven(void **state)
{
    world *w = *state;
    finds_first(w->host, "plnak", "Plank|");
    finds_first(w->host, "how do i do a palnk", "Plank|");
    finds(w->host, "dedlift", "Barbell Deadlift");
    finds(w->host, "deadlfits", "Barbell Deadlift");
    finds(w->host, "barbel", "Barbell Deadlift"); /* a beginning */
    finds(w->host, "plk", "");                    /* too short to guess */
}

static void without_a_question_all_are_listed_by_name(void **state)
{
    world *w = *state;
    static const char all[] =
        "Barbell Deadlift|Caf\xc3\xa9 stretch \xf0\x9f\x92\xaa|Monday|Plank|Push Up to Side Plank|Push-Ups|Seven";
    finds(w->host, "", all);
    finds(w->host, " \t\n", all);
    fake_call *call = fake_call_new(w->host, "search");
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_int_equal((int)fake_call_got_number(call, "count"), FIXTURE);
    fake_call_end(call);
}

static void ask_page(fake_host *host, const char *query, double limit, double page, const char *expected,
                     const char *part)
{
    char found[2000];
    fake_call *call = fake_call_new(host, "search");
    fake_call_text(call, "query", query);
    fake_call_number(call, "limit", limit);
    fake_call_number(call, "page", page);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_json(fake_call_got_buffer(call, "json", NULL));
    assert_string_equal(names(call, found, sizeof(found)), expected);
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), part));
    fake_call_end(call);
}

static void pages_are_cut_right(void **state)
{
    world *w = *state;
    ask_page(w->host, "plank", 2, 1, "Plank|Push Up to Side Plank",
             "\"pageSize\":2,\"currentPage\":1,\"totalPages\":2,\"searchResults\":4");
    ask_page(w->host, "plank", 2, 2, "Monday|Push-Ups", "\"currentPage\":2,\"totalPages\":2,\"searchResults\":4");
    ask_page(w->host, "plank", 3, 2, "Push-Ups", "\"totalPages\":2");
    ask_page(w->host, "plank", 2, 3, "", "\"currentPage\":3,\"totalPages\":2,\"searchResults\":4");
    ask_page(w->host, "", 1.9, 4.2, "Plank", "\"pageSize\":1,\"currentPage\":4,\"totalPages\":7");
    ask_page(w->host, "plank", 1e300, -5, "Plank|Push Up to Side Plank|Monday|Push-Ups",
             "\"pageSize\":100,\"currentPage\":1,");
    ask_page(w->host, "plank", -1, NAN, "Plank", "\"pageSize\":1,\"currentPage\":1,\"totalPages\":4");
    ask_page(w->host, "xyzzy", 10, 1, "", "\"totalPages\":0,\"searchResults\":0,\"records\":[]");
}

static void ask_with(fake_host *host, const char *query, const char *key, const char *value, const char *expected)
{
    char found[2000];
    fake_call *call = fake_call_new(host, "search");
    fake_call_text(call, "query", query);
    fake_call_text(call, key, value);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_json(fake_call_got_buffer(call, "json", NULL));
    assert_string_equal(names(call, found, sizeof(found)), expected);
    fake_call_end(call);
}

static void types_and_ids_narrow_the_search(void **state)
{
    world *w = *state;
    ask_with(w->host, "plank", "recordType", "workout", "Monday");
    ask_with(w->host, "", "recordType", "workout", "Monday");
    ask_with(w->host, "plank", "recordType", "x' OR 1=1 --", "");
    ask_with(w->host, "", "ids", "pushups,Plank,nobody,7", "Push-Ups|Plank|Seven"); /* in the order asked for */
    ask_with(w->host, "", "ids", "[\"side plank\",\"w1\"]", "Push Up to Side Plank|Monday");
    ask_with(w->host, "plank", "ids", "pushups,Plank", "Plank|Push-Ups");
    ask_with(w->host, "", "ids", "\"),(\"\\", "");
    ask_with(w->host, "", "ids", "a\nb", "");
    fake_call *call = fake_call_new(w->host, "search");
    fake_call_text(call, "ids", "[\"Plank\"");
    fails_with(call, "invalid");
}

/* ---- questions that are attacks or noise ------------------------------------------------------------------------- */
static void no_question_is_syntax(void **state)
{
    world *w = *state;
    static const char *const hostile[] = {
        "\"",
        "\"\"",
        "\"plank",
        "plank\"",
        "'",
        "plank'",
        "(",
        ")",
        "(plank",
        "plank)",
        "((((",
        "NEAR",
        "NEAR(plank prone)",
        "NEAR(plank prone, 5)",
        "plank NEAR prone",
        "AND",
        "OR",
        "NOT",
        "plank AND",
        "plank NOT prone",
        "*",
        "plank*",
        "pl*",
        "^plank",
        "-",
        "-plank",
        "- plank",
        "plank -prone",
        "+plank",
        "name:plank",
        "name : plank",
        "{name alias}:plank",
        "-{name}:plank",
        "search:plank",
        "rowid:1",
        "plank;",
        "plank; DROP TABLE records; --",
        "' OR 1=1 --",
        "\\",
        "\\\"",
        "%",
        "_",
        "?",
        "?1",
        "@a",
        "$a",
        ":a",
        "#",
        "/*",
        "--",
        "[",
        "]",
        "{",
        "}",
        "\xf0\x9f\x92\xaa",
        "\xf0\x9f\x92\xaa plank",
        "\xff\xfe",
        "plank\xc3",
        "\xe2",
        "\xe2\x80",
        "\xf0\x9f",
        "\xc2",
        "'''''",
        "don't",
        "\xe2\x80\x99",
        "it\xe2\x80\x99s a plank",
        "NULL",
        "nul\x01l",
        "\x7f",
    };
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); ++i)
        fake_call_end(search(w->host, hostile[i]));
    static const char *const plain[] = {"\"plank",
                                        "(plank",
                                        "^plank",
                                        "-plank",
                                        "plank;",
                                        "\xf0\x9f\x92\xaa plank",
                                        "plank NOT",
                                        "plank AND",
                                        "{}:plank",
                                        "plank*",
                                        "\xe2\x80\x9cplank\xe2\x80\x9d",
                                        "it's a plank"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); ++i)
        finds(w->host, plain[i], "Plank|Push Up to Side Plank|Monday|Push-Ups");
    fake_call *call = search_bytes(w->host, "plank\0\"prone", 12);
    assert_int_equal((int)fake_call_got_number(call, "count"), 4);
    fake_call_end(call);
    assert_int_equal(record_count(w->host), FIXTURE);
}

static void long_questions_are_bounded(void **state)
{
    world *w = *state;
    static char text[200001];
    static const char *const pieces[] = {"plank ", "a", "\xc3\xa9", "\"", "push-up ", "word ", "\xf0\x9f\x92\xaa"};
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); ++p) {
        size_t size = strlen(pieces[p]);
        for (size_t at = 0; at + size < sizeof(text); at += size)
            memcpy(text + at, pieces[p], size + 1);
        fake_call_end(search_bytes(w->host, text, strlen(text)));
        fake_call_end(search_bytes(w->host, text, 10 * 1024));
    }
    for (int i = 0, at = 0; i < 2000; ++i) /* ever new words */
        at += sprintf(text + at, "w%dx plank%d ", i, i);
    fake_call_end(search(w->host, text));
}

static void noise_never_fails(void **state)
{
    world *w = *state;
    char text[64];
    uint32_t random = 12345;
    for (int round = 0; round < 500; ++round) {
        for (size_t i = 0; i < sizeof(text); ++i)
            text[i] = (char)((random = random * 1664525u + 1013904223u) >> 24);
        fake_call_end(search_bytes(w->host, text, random >> 8 & 63));
    }
}

/* ---- import ------------------------------------------------------------------------------------------------------ */
static void importing_again_changes_nothing(void **state)
{
    world *w = *state;
    char text[4000];
    snprintf(text, sizeof(text), fixture, plank);
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
    world *w = *state;
    for (int round = 0; round < 2; ++round) {
        fake_call *call = importing(w->host, in_root(w, "data/../data/exercises.json"));
        assert_int_equal(fake_call_run(call), FA_OK);
        assert_int_equal((int)fake_call_got_number(call, round == 0 ? "imported" : "unchanged"), FIXTURE);
        fake_call_end(call);
    }
}

static void records_that_are_none_are_skipped_and_counted(void **state)
{
    world *w = *state;
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
    world *w = *state;
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
        write_file(in_root(w, "in.json"), malformed[i]);
        fails_with(importing(w->host, w->path), "invalid");
    }
    write_file(in_root(w, "in.json"), "[{\"id\":\"a\",\"name\":\"\xff\"}]");
    fails_with(importing(w->host, w->path), "invalid");
    fails_with(importing(w->host, in_root(w, "nothing.json")), "not_found");
    fails_with(importing(w->host, in_root(w, "in.json/x")), "not_found");
    fails_with(importing(w->host, w->data), "invalid");
    fails_with(importing(w->host, ""), "invalid");
    fails_with(fake_call_new(w->host, "import"), "invalid");
    assert_int_equal(mkfifo(in_root(w, "fifo"), 0600), 0);
    fails_with(importing(w->host, w->path), "invalid");
    assert_int_equal(truncate(in_root(w, "in.json"), 3000000), 0);
    fails_with(importing(w->host, w->path), "too_large");

    /* nested too deeply for a parser that recurses */
    static char deep[200002];
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    write_file(in_root(w, "in.json"), deep);
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
    world *w = *state;
    uint64_t done, total;
    assert_int_equal(record_count(w->host), FIXTURE);
    char *text = many_records(1000);
    write_file(in_root(w, "in.json"), text);
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
    world *w = *state;
    fake_call *call = fake_call_new(w->host, "export");
    assert_int_equal(fake_call_run(call), FA_OK);
    const char *json = fake_call_got_buffer(call, "json", NULL);
    assert_json(json);
    assert_non_null(strstr(json, plank)); /* also what we have no use for */
    imports(w, json, 0, 0, FIXTURE, 0, NULL);
    write_file(in_root(w, "data/exercises.json"), "[]");
    w->config[3] = in_root(w, "elsewhere");
    char elsewhere[128], *copy = strdup(json);
    snprintf(elsewhere, sizeof(elsewhere), "%s", w->path);
    w->config[3] = elsewhere;
    fake_call_end(call);
    open_again(w);
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
    world *w = *state;
    finds_first(w->host, "seven", "Seven");
    write_file(in_root(w, "data/exercises.json"),
               "[{\"id\":\"new\",\"name\":\"Newcomer\"},{\"id\":7,\"name\":\"Seventh\"}]");
    finds(w->host, "newcomer", ""); /* not while it runs, unless told */
    open_again(w);
    finds(w->host, "newcomer", "Newcomer");
    finds(w->host, "seventh", "Seventh");

    fake_call *call = search(w->host, "newcomer");
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"media\":null"));
    fake_call_end(call);
    write_file(in_root(w, "data/media/new.gif"), "GIF");
    call = fake_call_new(w->host, "prepare");
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_int_equal((int)fake_call_got_number(call, "records"), FIXTURE + 1);
    fake_call_end(call);
    call = search(w->host, "newcomer");
    assert_non_null(strstr(fake_call_got_buffer(call, "json", NULL), "\"media\":\"/media/new.gif\""));
    fake_call_end(call);

    write_file(in_root(w, "data/exercises.json"), "[{"); /* what is there is served all the same */
    open_again(w);
    finds(w->host, "newcomer", "Newcomer");
}

static void the_database_lies_where_it_should(void **state)
{
    world *w = *state;
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
    open_again(w);
    assert_int_equal(record_count(w->host), FIXTURE);
}

static void a_wrong_database_stops_the_start(void **state)
{
    world *w = *state;
    fa_error error = {.text = ""};
    char path[128];
    snprintf(path, sizeof(path), "%s", in_root(w, "wrong.db"));
    const char *const config[] = {"database", path, NULL};
    write_file(path,
               "this is no database, whatever its name says; it is long enough to look like a header of one, though");
    assert_null(fake_host_open("records", config, &error));
    assert_non_null(strstr(error.text, "wrong.db"));
    const char *const nowhere[] = {"database", "/nonexistent/folder/x.db", NULL};
    assert_null(fake_host_open("records", nowhere, &error));
    const char *const unset[] = {"data", w->data, NULL};
    assert_null(fake_host_open("records", unset, &error));
    const char *const unwritable[] = {"state_dir", "/proc/nowhere/state", NULL};
    assert_null(fake_host_open("records", unwritable, &error));
}

static int import_as_another_process(world *w, const char *database)
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
    world *w = *state;
    char database[128];
    snprintf(database, sizeof(database), "%s", in_root(w, "shared.db"));
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
    world *w = *state;
    char data[PATH_MAX];
    if (realpath(FA_SOURCE_HOME "/../shared/data/exercises", data) == NULL)
        skip();
    w->config[1] = data;
    open_again(w);
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

    call = importing(w->host, in_root(w, "none"));
    fake_call_end(call);
    char file[PATH_MAX + 20];
    snprintf(file, sizeof(file), "%s/exercises.json", data);
    call = importing(w->host, file);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_int_equal((int)fake_call_got_number(call, "unchanged"), 873);
    fake_call_end(call);
    ask_page(w->host, "", 1, 873, "Zottman Preacher Curl", "\"totalPages\":873,\"searchResults\":873");
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(the_reply_has_the_shape_of_the_original),
        WITH_WORLD(questions_find_what_they_are_about),
        WITH_WORLD(typing_errors_are_forgiven),
        WITH_WORLD(without_a_question_all_are_listed_by_name),
        WITH_WORLD(pages_are_cut_right),
        WITH_WORLD(types_and_ids_narrow_the_search),
        WITH_WORLD(no_question_is_syntax),
        WITH_WORLD(long_questions_are_bounded),
        WITH_WORLD(noise_never_fails),
        WITH_WORLD(importing_again_changes_nothing),
        WITH_WORLD(importing_the_data_file_itself_counts),
        WITH_WORLD(records_that_are_none_are_skipped_and_counted),
        WITH_WORLD(what_cannot_be_imported_says_why),
        WITH_WORLD(an_abandoned_import_leaves_nothing),
        WITH_WORLD(what_is_exported_can_be_imported),
        WITH_WORLD(the_data_folder_is_followed),
        WITH_WORLD(the_database_lies_where_it_should),
        WITH_WORLD(a_wrong_database_stops_the_start),
        WITH_WORLD(several_processes_share_a_database),
        WITH_WORLD(the_shared_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
