/* A native plugin for tests of calls: it gives back what it gets, fails, takes its time, or makes too much. Built as a module
 * of its own, never linked into a test. */
#include <string.h>
#include <unistd.h>

#include "fitnessally/plugin.h"

static const fa_host_api *api;

static fa_result open_echo(fa_plugin_host *host, const fa_host_api *given, void **state, fa_error *error)
{
    (void)error;
    if (given->config(host, "refuse") != NULL) /* and does not say why */
        return FA_IO;
    api = given;
    *state = host;
    return FA_OK;
}

/* {text=, number=, flag=} comes back, with the text as a buffer too. */
static fa_result echo(void *state, fa_call *call)
{
    fa_buffer *buffer;
    size_t length;
    double number;
    bool flag;
    (void)state;
    const char *text = api->argument_text(call, "text", &length);
    if (api->argument_number(call, "number", &number) && api->result_number(call, "number", number * 2) != FA_OK)
        return FA_NO_MEMORY;
    if (api->argument_flag(call, "flag", &flag) && api->result_number(call, "flag", flag) != FA_OK)
        return FA_NO_MEMORY;
    if (text == NULL)
        return FA_OK;
    fa_result result = api->result_text(call, "text", text, length);
    if (result == FA_OK)
        result = api->result_buffer(call, "buffer", 0, &buffer);
    return result == FA_OK ? api->buffer_append(buffer, text, length) : result;
}

static fa_result refuse(void *state, fa_call *call)
{
    (void)state;
    return api->fail(call, "no_way", "it is %s", "refused");
}

/* Half a result, then an error without words. */
static fa_result stumble(void *state, fa_call *call)
{
    fa_buffer *buffer;
    (void)state;
    fa_result result = api->result_buffer(call, "half", 100, &buffer);
    return result != FA_OK ? result : FA_IO;
}

/* Works for {ms=} milliseconds, telling its progress, unless nobody waits for it any more. */
static fa_result wait(void *state, fa_call *call)
{
    double ms = 10;
    (void)state;
    api->argument_number(call, "ms", &ms);
    for (int i = 0; i < (int)ms; ++i) {
        if (api->cancelled(call))
            return FA_CANCELLED;
        usleep(1000);
        api->progress(call, (uint64_t)i + 1, (uint64_t)ms);
    }
    return api->result_number(call, "waited", ms);
}

/* A buffer of {bytes=}. */
static fa_result make(void *state, fa_call *call)
{
    double bytes = 0;
    fa_buffer *buffer;
    void *space;
    (void)state;
    api->argument_number(call, "bytes", &bytes);
    fa_result result = api->result_buffer(call, "buffer", (size_t)bytes, &buffer);
    if (result == FA_OK && (result = api->buffer_reserve(buffer, (size_t)bytes, &space)) == FA_OK) {
        memset(space, 'e', (size_t)bytes);
        api->buffer_commit(buffer, (size_t)bytes);
    }
    return result;
}

static const fa_plugin_function functions[] = {
    {"echo", echo}, {"refuse", refuse}, {"stumble", stumble}, {"wait", wait}, {"make", make},
};

FA_PLUGIN_EXPORT fa_plugin_entry = {
    .magic = FA_PLUGIN_MAGIC,
    .abi = FA_PLUGIN_ABI,
    .size = sizeof(fa_plugin),
    .name = "echo",
    .version = "1.0.0",
    .open = open_echo,
    .functions = functions,
    .function_count = sizeof(functions) / sizeof(functions[0]),
};
