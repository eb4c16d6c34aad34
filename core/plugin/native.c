/* A native plugin: its shared object, its thread and its queue. */
#include "plugin/native.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/c_locale.h"
#include "plugin/internal.h"

/* ---- the thread ---- */

static void open_plugin(fa_native *native)
{
    fa_error error = {""};
    void *state = NULL;
    fa_result result = native->entry->open(&native->host, &fa_native_api, &state, &error);
    pthread_mutex_lock(&native->lock);
    native->state = state;
    native->open_result = result;
    native->open_error = error;
    native->opened = true;
    pthread_cond_broadcast(&native->changed);
    pthread_mutex_unlock(&native->lock);
}

/* The next call, waiting for it; NULL when the plugin closes and nothing is left. skip: it is not to be run any more. */
static fa_call *next_call(fa_native *native, bool *skip)
{
    fa_call *call = NULL;
    pthread_mutex_lock(&native->lock);
    while (fa_list_empty(&native->queue) && !native->closing)
        pthread_cond_wait(&native->changed, &native->lock);
    fa_list *node = fa_list_first(&native->queue);
    if (node != NULL) {
        fa_list_remove(node);
        native->queued--;
        call = FA_OBJECT(node, fa_call, link);
        *skip = native->closing || call->cancelled; /* not `cancelled` for closing: its caller still waits to be told */
    }
    pthread_mutex_unlock(&native->lock);
    return call;
}

static void *run(void *argument)
{
    fa_native *native = argument;
    fa_c_locale_enter();
    open_plugin(native);
    if (native->open_result != FA_OK)
        return NULL;
    bool skip = false;
    for (fa_call *call; (call = next_call(native, &skip)) != NULL;)
        call_finish(call, skip ? FA_CANCELLED : call->function->run(native->state, call));
    if (native->entry->close != NULL)
        native->entry->close(native->state);
    return NULL;
}

/* ---- loading ---- */

/* What would be called or read without being there; NULL: all of it is. */
static const char *missing(const fa_plugin *entry)
{
    if (entry->name == NULL)
        return "name";
    if (entry->open == NULL)
        return "open";
    if (entry->functions == NULL && entry->function_count > 0)
        return "functions";
    for (size_t i = 0; i < entry->function_count; ++i) {
        if (entry->functions[i].name == NULL || entry->functions[i].run == NULL)
            return "name or function in its table of functions";
    }
    return NULL;
}

static fa_result check_entry(const fa_native_options *options, const fa_plugin *entry, fa_error *error)
{
    if (entry == NULL)
        return fa_fail(error, FA_INVALID, "plugin %s: %s exports no " FA_PLUGIN_SYMBOL, options->name, options->path);
    if (entry->magic != FA_PLUGIN_MAGIC)
        return fa_fail(error, FA_INVALID, "plugin %s: " FA_PLUGIN_SYMBOL " of %s is not a fitnessally plugin",
                       options->name, options->path);
    if (entry->abi != FA_PLUGIN_ABI)
        return fa_fail(error, FA_INVALID, "plugin %s: compiled for plugin ABI %u, this server has %u: compile it again",
                       options->name, (unsigned)entry->abi, FA_PLUGIN_ABI);
    if (entry->size < sizeof(fa_plugin))
        return fa_fail(
            error, FA_INVALID,
            "plugin %s: its fa_plugin has %zu bytes, this server's has %zu: say .size = sizeof(fa_plugin), and "
            "compile it again",
            options->name, entry->size, sizeof(fa_plugin));
    if (missing(entry) != NULL)
        return fa_fail(error, FA_INVALID, "plugin %s: " FA_PLUGIN_SYMBOL " of %s has no %s", options->name,
                       options->path, missing(entry));
    if (strcmp(entry->name, options->name) != 0)
        return fa_fail(error, FA_INVALID, "plugin %s: %s calls itself %s", options->name, options->path, entry->name);
    return FA_OK;
}

static fa_result start_thread(fa_native *native, fa_error *error)
{
    pthread_mutex_init(&native->lock, NULL);
    pthread_cond_init(&native->changed, NULL);
    int status = pthread_create(&native->thread, NULL, run, native);
    if (status != 0)
        return fa_fail(error, FA_IO, "plugin %s: no thread: %s", native->name, strerror(status));
    native->thread_started = true;
    char thread_name[16];
    snprintf(thread_name, sizeof(thread_name), "fa-%.12s", native->name);
    pthread_setname_np(native->thread, thread_name);
    return FA_OK;
}

fa_result fa_native_start(fa_scope *server_scope, const fa_native_options *options, fa_native **out, fa_error *error)
{
    fa_scope *scope;
    char label[FA_LABEL_SIZE];
    snprintf(label, sizeof(label), "plugin %s", options->name);
    fa_result result = fa_scope_new(fa_scope_ledger(server_scope), server_scope, FA_KIND_PLUGIN, options->budget, label,
                                    FA_HERE, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "plugin %s: no memory", options->name);
    fa_native *native = fa_scope_allocate(scope, sizeof(*native));
    if (native == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory", options->name);
    }
    native->host.native = native;
    snprintf(native->name, sizeof(native->name), "%s", options->name);
    native->scope = scope;
    native->account = fa_scope_account(scope);
    native->log = options->log;
    native->config = options->config;
    native->config_context = options->context;
    native->queue_limit = options->queue;
    fa_list_init(&native->queue);
    native->library = dlopen(options->path, RTLD_NOW | RTLD_LOCAL);
    if (native->library == NULL) {
        result = fa_fail(error, FA_NOT_FOUND, "plugin %s: %s", options->name, dlerror());
    } else {
        native->entry = dlsym(native->library, FA_PLUGIN_SYMBOL);
        result = check_entry(options, native->entry, error);
    }
    if (result == FA_OK)
        result = start_thread(native, error);
    if (result != FA_OK) {
        fa_native_close(native);
        return result;
    }
    *out = native;
    return FA_OK;
}

fa_result fa_native_wait(fa_native *native, fa_error *error)
{
    pthread_mutex_lock(&native->lock);
    while (!native->opened)
        pthread_cond_wait(&native->changed, &native->lock);
    fa_result result = native->open_result;
    if (result != FA_OK && native->open_error.text[0] == '\0')
        fa_fail(error, result, "plugin %s: its open() failed without a word: %s", native->name, fa_result_name(result));
    else if (result != FA_OK)
        fa_fail(error, result, "plugin %s: %s", native->name, native->open_error.text);
    pthread_mutex_unlock(&native->lock);
    if (result == FA_OK && native->entry->attributed != NULL && native->attributed.read == NULL)
        fa_attributed_add(fa_scope_ledger(native->scope), &native->attributed, native->name, native->entry->attributed,
                          native->state);
    return result;
}

void fa_native_close(fa_native *native)
{
    if (native == NULL)
        return;
    fa_attributed_remove(fa_scope_ledger(native->scope), &native->attributed); /* before the plugin's state goes */
    if (native->thread_started) {
        pthread_mutex_lock(&native->lock);
        native->closing = true;
        pthread_cond_broadcast(&native->changed);
        pthread_mutex_unlock(&native->lock);
        pthread_join(native->thread, NULL);
        pthread_mutex_destroy(&native->lock);
        pthread_cond_destroy(&native->changed);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* sanitizers name frames by loaded libraries */
    if (native->library != NULL)
        dlclose(native->library);
#endif
    fa_scope_end(native->scope, "plugin closed", NULL);
}

const char *fa_native_name(const fa_native *native)
{
    return native->name;
}

size_t fa_native_function_count(const fa_native *native)
{
    return native->entry->function_count;
}

const char *fa_native_function_name(const fa_native *native, size_t index)
{
    return native->entry->functions[index].name;
}
