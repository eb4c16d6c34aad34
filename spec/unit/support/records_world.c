#include "records_world.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

const char records_plank[] = "{\"id\":\"Plank\",\"name\":\"Plank\",\"force\":\"static\",\"level\":\"beginner\","
                             "\"mechanic\":null,\"equipment\":\"body only\","
                             "\"primaryMuscles\":[\"abdominals\"],\"secondaryMuscles\":[],\"instructions\":[\"Lie "
                             "\\\"prone\\\".\",\"Hold the plank.\"],"
                             "\"category\":\"strength\",\"images\":[\"a.jpg\"]}";

const char records_fixture[] =
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

/* ---- a world for each test ---- */

void records_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

const char *records_path(records_world *w, const char *name)
{
    snprintf(w->path, sizeof(w->path), "%s/%s", w->root, name);
    return w->path;
}

fake_host *records_open_again(records_world *w)
{
    fa_error error = {.text = ""};
    if (w->host != NULL)
        fake_host_close(w->host);
    w->host = fake_host_open("records", w->config, &error);
    assert_string_equal(error.text, "");
    assert_non_null(w->host);
    return w->host;
}

int records_world_begin(void **state)
{
    char text[4000];
    records_world *w = calloc(1, sizeof(*w));
    snprintf(w->root, sizeof(w->root), "/tmp/fa-records-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    snprintf(w->data, sizeof(w->data), "%s/data", w->root);
    snprintf(w->state, sizeof(w->state), "%s/state/deep", w->root);
    assert_int_equal(mkdir(w->data, 0755), 0);
    assert_int_equal(mkdir(records_path(w, "data/media"), 0755), 0);
    records_write(records_path(w, "data/media/Plank.gif"), "GIF");
    records_write(records_path(w, "data/media/side plank.gif"), "GIF");
    snprintf(text, sizeof(text), records_fixture, records_plank);
    records_write(records_path(w, "data/exercises.json"), text);
    const char *config[] = {"data", w->data, "state_dir", w->state, "max_import", "2000000", NULL};
    memcpy(w->config, config, sizeof(config));
    records_open_again(w);
    *state = w;
    return 0;
}

static int forget(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

int records_world_end(void **state)
{
    records_world *w = *state;
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

void assert_json(const char *text)
{
    const char *end = json_value(text);
    assert_non_null(end);
    assert_int_equal(strspn(end, "\n"), strlen(end));
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */
fake_call *search_bytes(fake_host *host, const char *query, size_t length)
{
    fake_call *call = fake_call_new(host, "search");
    fake_call_bytes(call, "query", query, length);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_json(fake_call_got_buffer(call, "json", NULL));
    return call;
}

fake_call *search(fake_host *host, const char *query)
{
    return search_bytes(host, query, strlen(query));
}

/* The names of a reply's records in order, "A|B|C". */
char *names(const fake_call *call, char *to, size_t room)
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

void finds(fake_host *host, const char *query, const char *expected)
{
    char found[20000];
    fake_call *call = search(host, query);
    assert_string_equal(names(call, found, sizeof(found)), expected);
    fake_call_end(call);
}

/* The first ones. */
void finds_first(fake_host *host, const char *query, const char *expected)
{
    char found[20000];
    fake_call *call = search(host, query);
    names(call, found, sizeof(found));
    if (strncmp(found, expected, strlen(expected)) != 0)
        print_error("%s: %s\n", query, found);
    assert_memory_equal(found, expected, strlen(expected));
    fake_call_end(call);
}

void fails_with(fake_call *call, const char *code)
{
    assert_int_not_equal(fake_call_run(call), FA_OK);
    if (strcmp(fake_call_error(call), code) != 0)
        print_error("%s\n", fake_call_message(call));
    assert_string_equal(fake_call_error(call), code);
    fake_call_end(call);
}

fake_call *importing(fake_host *host, const char *file)
{
    fake_call *call = fake_call_new(host, "import");
    fake_call_text(call, "file", file);
    return call;
}

void imports(records_world *w, const char *text, int imported, int updated, int unchanged, int skipped,
             const char *note)
{
    records_write(records_path(w, "in.json"), text);
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

int record_count(fake_host *host)
{
    fake_call *call = fake_call_new(host, "stats");
    assert_int_equal(fake_call_run(call), FA_OK);
    int count = (int)fake_call_got_number(call, "records");
    fake_call_end(call);
    return count;
}

void ask_page(fake_host *host, const char *query, double limit, double page, const char *expected, const char *part)
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
