/* How a server's scripts and certificates become newer ones while it runs. */
#include <stdio.h>
#include <string.h>

#include "server/server_internal.h"

/* Wherever a file may lie that a reload reads: the application, the plugins, the server's own library. */
static void name_watched(fa_server *server)
{
    const fa_settings *settings = fa_runtime_settings(server->runtime);
    size_t count = 0;
    snprintf(server->own_library, sizeof(server->own_library), "%s/fitnessally", settings->library);
    server->watched[count++] = settings->app;
    server->watched[count++] = server->own_library;
    for (size_t i = 0; i < server->plugins.count; ++i)
        server->watched[count++] = server->plugins.manifests[i]->folder;
    server->watched[count] = NULL;
}

/* What must succeed before newer scripts serve. */
static fa_result name_specs(fa_server *server, fa_error *error)
{
    const fa_settings *settings = fa_runtime_settings(server->runtime);
    server->specs.count = fa_config_list(server->config, "reload_specs", &server->specs.specs);
    server->specs.limit_ms = fa_config_duration(server->config, "reload_specs_limit");
    server->specs.app = settings->app;
    server->specs.library = settings->library;
    if (server->specs.count > FA_MOST_RELOAD_SPECS)
        return fa_fail(error, FA_INVALID, "reload_specs: at most %d files and folders", FA_MOST_RELOAD_SPECS);
    if (server->specs.count > 0 && server->specs.program == NULL)
        return fa_fail(error, FA_UNSUPPORTED, "reload_specs: only `fitnessally serve` can run specs");
    return FA_OK;
}

fa_result fa_server_start_reloader(fa_server *server, fa_error *error)
{
    bool dev = strcmp(fa_config_text(server->config, "mode"), "dev") == 0;
    fa_result result = name_specs(server, error);
    if (result != FA_OK)
        return result;
    name_watched(server);
    fa_reloader_options options = {.scripts = fa_runtime_scripts(server->runtime),
                                   .log = &server->log,
                                   .workers = fa_runtime_crew(server->runtime)->count,
                                   .specs = server->specs.count > 0 ? &server->specs : NULL,
                                   .watched = dev ? server->watched : NULL};
    result = fa_reloader_start(server->running, &options, &server->reloader, error);
    server->soon = (fa_reload_soon){.reloader = server->reloader};
    return result;
}

fa_result fa_server_reload_certificates(fa_server *server, fa_error *error)
{
    if (server->running == NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server does not run");
    return fa_runtime_reload_tls(server->runtime, server->config, error);
}

fa_result fa_server_reload(fa_server *server, fa_error *error)
{
    fa_reload_wish wish = {.kind = FA_WISH_RELOAD};
    if (server->running == NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server does not run");
    if (fa_reloader_ask_and_wait(server->reloader, &wish) != FA_OK)
        return fa_fail(error, wish.result, "%s", wish.message);
    return FA_OK;
}

void fa_server_reload_soon(fa_server *server)
{
    if (server->soon.reloader != NULL)
        fa_reload_ask_soon(&server->soon);
}
