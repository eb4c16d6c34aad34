/* The records plugin: what it finds, on a handful of records. */
#include <math.h>

#include "records_world.h"

/* ---- the reply --------------------------------------------------------------------------------------------------- */
static void the_reply_has_the_shape_of_the_original(void **state)
{
    records_world *w = *state;
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
    records_world *w = *state;
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
    records_world *w = *state;
    finds_first(w->host, "plnak", "Plank|");
    finds_first(w->host, "how do i do a palnk", "Plank|");
    finds(w->host, "dedlift", "Barbell Deadlift");
    finds(w->host, "deadlfits", "Barbell Deadlift");
    finds(w->host, "barbel", "Barbell Deadlift"); /* a beginning */
    finds(w->host, "plk", "");                    /* too short to guess */
}

static void without_a_question_all_are_listed_by_name(void **state)
{
    records_world *w = *state;
    static const char all[] =
        "Barbell Deadlift|Caf\xc3\xa9 stretch \xf0\x9f\x92\xaa|Monday|Plank|Push Up to Side Plank|Push-Ups|Seven";
    finds(w->host, "", all);
    finds(w->host, " \t\n", all);
    fake_call *call = fake_call_new(w->host, "search");
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_int_equal((int)fake_call_got_number(call, "count"), FIXTURE);
    fake_call_end(call);
}

static void pages_are_cut_right(void **state)
{
    records_world *w = *state;
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
    records_world *w = *state;
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
    records_world *w = *state;
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
    records_world *w = *state;
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
    records_world *w = *state;
    char text[64];
    uint32_t random = 12345;
    for (int round = 0; round < 500; ++round) {
        for (size_t i = 0; i < sizeof(text); ++i)
            text[i] = (char)((random = random * 1664525u + 1013904223u) >> 24);
        fake_call_end(search_bytes(w->host, text, random >> 8 & 63));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RECORDS(the_reply_has_the_shape_of_the_original),
        WITH_RECORDS(questions_find_what_they_are_about),
        WITH_RECORDS(typing_errors_are_forgiven),
        WITH_RECORDS(without_a_question_all_are_listed_by_name),
        WITH_RECORDS(pages_are_cut_right),
        WITH_RECORDS(types_and_ids_narrow_the_search),
        WITH_RECORDS(no_question_is_syntax),
        WITH_RECORDS(long_questions_are_bounded),
        WITH_RECORDS(noise_never_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
