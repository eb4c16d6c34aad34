#include "server/plugins.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/home.h"

enum { QUEUE = 2048 };

/* ---- which ---- */

enum { SERVICE_KINDS = 4 };

typedef struct names {
    const char *list[FA_MAX_PLUGINS];
    char found[SERVICE_KINDS][64]; /* room for the names of services */
    size_t count;
} names;

static bool add_name(names *n, const char *name)
{
    for (size_t i = 0; i < n->count; ++i) {
        if (strcmp(n->list[i], name) == 0)
            return true;
    }
    if (n->count == FA_MAX_PLUGINS)
        return false;
    n->list[n->count++] = name;
    return true;
}

/* tts = "openai" names the plugin tts-openai, or openai. A default names nobody: an application that does not speak needs no speech. */
static bool add_service(names *n, const fa_config *config, const char *kind, char found[64])
{
    char folder[4000];
    const char *where, *value = fa_config_written(config, kind, &where);
    if (value == NULL || *value == '\0' || strcmp(where, "default") == 0)
        return true;
    snprintf(found, 64, "%s-%s", kind, value);
    if (fa_manifest_find(config, found, folder, sizeof(folder)))
        return add_name(n, found);
    return !fa_manifest_find(config, value, folder, sizeof(folder)) || add_name(n, value);
}

static fa_result read_names(const fa_config *config, names *n, fa_error *error)
{
    static const char *const kinds[SERVICE_KINDS] = {"tts", "llm", "stt", "records"};
    const char *const *enabled;
    size_t count = fa_config_list(config, "plugins_enabled", &enabled);
    bool room = true;
    n->count = 0;
    for (size_t i = 0; i < count; ++i)
        room = room && add_name(n, enabled[i]);
    for (size_t i = 0; i < SERVICE_KINDS; ++i)
        room = room && add_service(n, config, kinds[i], n->found[i]);
    return room ? FA_OK : fa_fail(error, FA_INVALID, "plugins_enabled: at most %d plugins", FA_MAX_PLUGINS);
}

/* ---- starting ---- */

/* Beside its manifest; those that come with the server lie where they were built. */
static void library_path(const char *folder, const char *name, char *path, size_t size)
{
    char built[4200], own[4200];
    snprintf(path, size, "%s/%s.so", folder, name);
    snprintf(built, sizeof(built), "%s/%s.so", fa_home_plugins(), name);
    snprintf(own, sizeof(own), "%s/plugins/%s", fa_home(), name);
    if (access(path, R_OK) != 0 && (access(built, R_OK) == 0 || strcmp(folder, own) == 0))
        snprintf(path, size, "%s", built);
}

static fa_result add_server_values(fa_scope *scope, fa_manifest *manifest, const fa_config *config, fa_error *error)
{
    fa_result result = FA_OK;
    const char *data = fa_config_text(config, "data"), *state = fa_config_text(config, "state_dir");
    char own[4096];
    if (data == NULL) {
        char app[4000];
        snprintf(own, sizeof(own), "%s/data", fa_home_resolve(fa_config_text(config, "app"), app, sizeof(app)));
        data = own;
    }
    result = fa_manifest_add(manifest, scope, "data", data, error);
    if (result == FA_OK)
        result = fa_manifest_add(manifest, scope, "state_dir", state, error);
    return result;
}

static void note(fa_plugins *plugins, size_t index, const char *problem)
{
    char *kept = plugins->problems[index];
    if (kept[0] != '\0')
        return;
    snprintf(kept, sizeof(plugins->problems[index]), "%s", problem);
    plugins->list[index].problem = kept;
    fa_log_write(plugins->log, FA_LOG_WARN, "plugin %s is not available: %s", plugins->list[index].name, problem);
}

void fa_plugins_note(fa_plugins *plugins, const char *name, const char *problem)
{
    for (size_t i = 0; i < plugins->count; ++i) {
        if (strcmp(plugins->list[i].name, name) == 0)
            note(plugins, i, problem);
    }
}

/* Errors of plugins begin with "plugin NAME: ". */
static const char *without_name(const char *text, const char *name)
{
    size_t length = strlen(name);
    bool named = strncmp(text, "plugin ", 7) == 0 && strncmp(text + 7, name, length) == 0 &&
                 strncmp(text + 7 + length, ": ", 2) == 0;
    return named ? text + 9 + length : text;
}

static fa_result start_native(fa_plugins *plugins, fa_scope *scope, fa_manifest *manifest, const fa_config *config,
                              fa_error *error)
{
    char library[4200];
    fa_result result = add_server_values(scope, manifest, config, error);
    if (result != FA_OK)
        return result;
    library_path(manifest->folder, manifest->plugin.name, library, sizeof(library));
    fa_native_options options = {.name = manifest->plugin.name,
                                 .path = library,
                                 .budget = manifest->budget,
                                 .queue = QUEUE,
                                 .config = fa_manifest_value,
                                 .context = manifest,
                                 .log = plugins->log};
    result = fa_native_start(scope, &options, &plugins->natives[plugins->native_count], error);
    plugins->native_count += result == FA_OK ? 1 : 0;
    manifest->broken = result != FA_OK && result != FA_NO_MEMORY;
    return result;
}

static fa_result start_one(fa_plugins *plugins, fa_scope *scope, const char *name, const fa_config *config,
                           fa_error *error)
{
    size_t index = plugins->count;
    fa_manifest *manifest = fa_manifest_new(scope, name);
    if (manifest == NULL)
        return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory", name);
    fa_result result = fa_manifest_read(manifest, scope, config, error);
    if (result == FA_OK && manifest->native)
        result = start_native(plugins, scope, manifest, config, error);
    if (result != FA_OK && (!manifest->broken || manifest->required))
        return result;
    plugins->manifests[index] = manifest;
    plugins->list[index] = manifest->plugin;
    plugins->list[index].required = manifest->required;
    plugins->count++;
    if (result != FA_OK)
        note(plugins, index, without_name(error->text, name));
    return FA_OK;
}

fa_result fa_plugins_start(fa_plugins *plugins, fa_scope *scope, const fa_config *config, const fa_log *log,
                           fa_error *error)
{
    names n;
    fa_error unused;
    memset(plugins, 0, sizeof(*plugins));
    plugins->log = log;
    error = error != NULL ? error : &unused;
    fa_result result = read_names(config, &n, error);
    for (size_t i = 0; i < n.count && result == FA_OK; ++i)
        result = start_one(plugins, scope, n.list[i], config, error);
    if (result != FA_OK)
        fa_plugins_close(plugins);
    return result;
}

fa_result fa_plugins_wait(fa_plugins *plugins, fa_error *error)
{
    fa_error why;
    for (size_t i = 0; i < plugins->native_count; ++i) {
        const char *name = fa_native_name(plugins->natives[i]);
        fa_result result = fa_native_wait(plugins->natives[i], &why);
        size_t at = 0;
        while (result != FA_OK && strcmp(plugins->list[at].name, name) != 0)
            at++;
        if (result != FA_OK && plugins->manifests[at]->required)
            return fa_fail(error, result, "%s", why.text);
        if (result != FA_OK)
            note(plugins, at, without_name(why.text, name));
    }
    return FA_OK;
}

void fa_plugins_close(fa_plugins *plugins)
{
    while (plugins->native_count > 0)
        fa_native_close(plugins->natives[--plugins->native_count]);
    plugins->count = 0;
}

/* ---- reading again ---- */

/* "plugin NAME: /somewhere/plugin.lua:3: ..." */
static void tell_failure(fa_load_failure *failure, const char *text, const char *folder, const char *name)
{
    const char *at = strstr(text, "plugin.lua:");
    fa_load_failure_read(failure, at != NULL ? at : text, folder, NULL);
    if (failure->line != 0)
        snprintf(failure->file, sizeof(failure->file), "plugins/%s/plugin.lua", name);
}

/* What is wrong with the configuration now would have been so at the start, but that files have changed. */
static fa_result read_one(const fa_plugins *plugins, size_t index, fa_scope *scope, const fa_config *config,
                          fa_script_plugin *out, fa_load_failure *failure, fa_error *error)
{
    const fa_script_plugin *before = &plugins->list[index];
    fa_manifest *manifest = fa_manifest_new(scope, before->name);
    if (manifest == NULL)
        return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory", before->name);
    fa_result result = fa_manifest_read(manifest, scope, config, error);
    *out = manifest->plugin;
    out->required = before->problem == NULL;
    if (manifest->native && before->problem != NULL)
        out->problem = before->problem; /* what it lacks is loaded at the start */
    if (result != FA_OK && result != FA_NO_MEMORY && !out->required) {
        out->problem = before->problem;
        return FA_OK;
    }
    if (result != FA_OK && result != FA_NO_MEMORY) {
        tell_failure(failure, error->text, manifest->folder, before->name);
        result = FA_INVALID;
    }
    return result;
}

fa_result fa_plugins_read(const fa_plugins *plugins, const fa_config *config, fa_scope *scope, fa_script_plugin *list,
                          fa_load_failure *failure, fa_error *error)
{
    fa_result result = FA_OK;
    for (size_t i = 0; i < plugins->count && result == FA_OK; ++i)
        result = read_one(plugins, i, scope, config, &list[i], failure, error);
    list[plugins->count] = (fa_script_plugin){.name = NULL};
    return result;
}
