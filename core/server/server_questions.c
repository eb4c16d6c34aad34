/* What is asked of a running server: by its scripts, and on its control socket by the commands of the operator. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "server/recycling.h"
#include "server/server_internal.h"

fa_result fa_server_answer_script(void *context, fa_memory_question *question)
{
    fa_server *server = context;
    if (strcmp(question->what, "recycle") == 0)
        return fa_recycle_answer(server->runtime, question);
    bool about_reload = strcmp(question->what, "reload") == 0 || strcmp(question->what, "generations") == 0;
    if (about_reload && server->reloader == NULL)
        return FA_UNSUPPORTED; /* it was started inside of a program */
    return about_reload ? fa_reloader_answer(server->reloader, question) : fa_memory_answer(&server->memory, question);
}

/* Once: from then on it is the other one that is to be asked. */
static fa_result upgrade(fa_server *server, fa_buffer *out)
{
    char text[700];
    fa_error said = {""};
    fa_result result = FA_CONFLICT;
    if (server->start_successor == NULL)
        return FA_UNSUPPORTED;
    if (server->has_successor)
        fa_fail(&said, result, "this server has a successor already");
    else
        result = server->start_successor(server->successor_context, &server->listening.sockets, &said);
    server->has_successor = server->has_successor || result == FA_OK;
    if (result != FA_OK)
        fa_log_write(&server->log, FA_LOG_ERROR, "no upgrade: %s", said.text);
    int length = snprintf(text, sizeof(text), "%s%s\n", result == FA_OK ? "" : "error: ", said.text);
    return fa_buffer_append(out, text, (size_t)length);
}

/* "json", "text", "status json", "status text" */
static fa_result answer_reload(fa_server *server, const char *what, int *connection)
{
    fa_error error = {{0}};
    const char *certificates = NULL;
    fa_wish_kind kind = strncmp(what, "status ", 7) == 0 ? FA_WISH_STATUS : FA_WISH_RELOAD;
    what += kind == FA_WISH_STATUS ? 7 : 0;
    bool text = strcmp(what, "text") == 0;
    if (!text && strcmp(what, "json") != 0)
        return FA_INVALID;
    if (kind == FA_WISH_RELOAD && fa_server_reload_certificates(server, &error) != FA_OK) {
        fa_log_write(&server->log, FA_LOG_ERROR, "reload: the certificates stay as they were: %s", error.text);
        certificates = error.text;
    }
    fa_result result =
        fa_reload_asked(server->reloader, fa_scope_account(server->root), kind, text, certificates, *connection);
    if (result == FA_OK)
        *connection = -1;
    return result;
}

/* The worker that is meant answers, if it comes to that. */
static fa_result attach_repl(fa_server *server, const char *worker, int *connection, fa_buffer *out)
{
    fa_error error = {{0}};
    char text[sizeof(error.text) + 20];
    fa_result result = server->repls == NULL ? fa_fail(&error, FA_UNSUPPORTED, "this server has repl = false")
                                             : fa_repls_take(server->repls, worker, *connection, &error);
    if (result == FA_OK) {
        *connection = -1;
        return FA_OK;
    }
    int length = snprintf(text, sizeof(text), "error: %s\n", error.text);
    return fa_buffer_append(out, text, (size_t)length);
}

static fa_result answer_control(void *context, const char *request, int *connection, fa_buffer *out)
{
    fa_server *server = context;
    if (strncmp(request, "repl ", 5) == 0)
        return attach_repl(server, request + 5, connection, out);
    if (strncmp(request, "reload ", 7) == 0)
        return answer_reload(server, request + 7, connection);
    if (strcmp(request, "upgrade") == 0)
        return upgrade(server, out);
    if (strncmp(request, "recycle ", 8) == 0)
        return fa_recycle_and_wait(server->runtime, request + 8, out);
    if (strncmp(request, "memory ", 7) != 0)
        return FA_INVALID;
    return fa_memory_answer_outside(&server->memory, request + 7, out);
}

void fa_server_open_control(fa_server *server)
{
    fa_error error = {{0}};
    const char *folder = fa_config_text(server->config, "control_dir");
    if (!fa_config_flag(server->config, "control"))
        return;
    if (fa_config_flag(server->config, "repl"))
        server->repls = fa_repls_new(server->running, server->runtime, &server->log,
                                     fa_config_size(server->config, "request_budget"));
    if (fa_control_start(server->root, folder, answer_control, server, &server->control, &error) != FA_OK)
        fa_log_write(&server->log, FA_LOG_WARN, "no control socket, `fitnessally memory` will not find this server: %s",
                     error.text);
}
