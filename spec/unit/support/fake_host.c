#include "fake_host.h"

#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fitnessally/plugin.h"

enum { ITEMS = 40, BUFFERS = 4 };

struct fa_plugin_host { /* = fake_host */
    void *library;
    const fa_plugin *plugin;
    void *state;
    const char *const *config;
    size_t blocks;
};

struct fa_buffer {
    char key[40];
    uint8_t *data;
    size_t length, capacity, reserved;
    fa_call *call;
};

typedef struct item {
    char key[40];
    char *text; /* NULL: a number */
    size_t length;
    double number;
} item;

struct fa_call { /* = fake_call */
    fa_plugin_host *host;
    const fa_plugin_function *function;
    item arguments[ITEMS], results[ITEMS];
    size_t argument_count, result_count, buffer_count, progress_count, budget;
    fa_buffer buffers[BUFFERS];
    long looks_left;
    uint64_t done, total;
    char code[40], message[400];
};

static fa_plugin_host *inner(const fake_host *host)
{
    return (fa_plugin_host *)(uintptr_t)host;
}

static fa_call *call_of(const fake_call *call)
{
    return (fa_call *)(uintptr_t)call;
}

static void must(bool what, const char *why)
{
    if (!what) {
        fprintf(stderr, "fake_host: %s\n", why);
        exit(99);
    }
}

/* ---- fa_host_api ------------------------------------------------------------------------------------------------- */
static void log_line(fa_plugin_host *host, fa_log_level level, const char *format, ...)
{
    (void)host, (void)level;
    if (getenv("FA_TEST_LOG") == NULL)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static const char *config(fa_plugin_host *host, const char *key)
{
    for (const char *const *pair = host->config; pair != NULL && *pair != NULL; pair += 2) {
        if (strcmp(pair[0], key) == 0)
            return pair[1];
    }
    return NULL;
}

static void *allocate(fa_plugin_host *host, size_t size)
{
    host->blocks++;
    return calloc(1, size);
}

static void release(fa_plugin_host *host, void *block)
{
    if (block != NULL)
        host->blocks--;
    free(block);
}

static item *find(item *items, size_t count, const char *key)
{
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(items[i].key, key) == 0)
            return &items[i];
    }
    return NULL;
}

static const char *argument_text(fa_call *call, const char *key, size_t *length)
{
    const item *found = find(call->arguments, call->argument_count, key);
    if (found == NULL || found->text == NULL)
        return NULL;
    if (length != NULL)
        *length = found->length;
    return found->text;
}

static bool argument_number(fa_call *call, const char *key, double *value)
{
    const item *found = find(call->arguments, call->argument_count, key);
    if (found == NULL || found->text != NULL)
        return false;
    *value = found->number;
    return true;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the interface's type */
static bool argument_flag(fa_call *call, const char *key, bool *value)
{
    (void)call, (void)key, (void)value;
    return false;
}

static bool cancelled(fa_call *call)
{
    return call->looks_left == 0 || (call->looks_left > 0 && --call->looks_left == 0);
}

static fa_result grow(fa_buffer *buffer, size_t more)
{
    size_t needed = buffer->length + more;
    if (needed > buffer->call->budget)
        return FA_OVER_BUDGET;
    if (needed > buffer->capacity) {
        size_t capacity = needed + needed / 2;
        buffer->data = realloc(buffer->data, capacity + 1);
        must(buffer->data != NULL, "out of memory");
        buffer->capacity = capacity;
    }
    return FA_OK;
}

static fa_result result_buffer(fa_call *call, const char *key, size_t capacity, fa_buffer **buffer)
{
    if (call->buffer_count == BUFFERS)
        return FA_FULL;
    if (capacity > call->budget)
        return FA_OVER_BUDGET;
    *buffer = &call->buffers[call->buffer_count++];
    **buffer = (fa_buffer){.call = call};
    snprintf((*buffer)->key, sizeof((*buffer)->key), "%s", key);
    return grow(*buffer, capacity);
}

static item *add(item *items, size_t *count, const char *key)
{
    must(*count < ITEMS, "too many items");
    item *made = &items[(*count)++];
    snprintf(made->key, sizeof(made->key), "%s", key);
    return made;
}

static void set_text(item *to, const char *text, size_t length)
{
    to->text = malloc(length + 1);
    must(to->text != NULL, "out of memory");
    memcpy(to->text, text, length);
    to->text[length] = '\0';
    to->length = length;
}

static fa_result result_text(fa_call *call, const char *key, const char *text, size_t length)
{
    must(length <= 4096, "a text result is over 4 KB");
    set_text(add(call->results, &call->result_count, key), text, length);
    return FA_OK;
}

static fa_result result_number(fa_call *call, const char *key, double value)
{
    add(call->results, &call->result_count, key)->number = value;
    return FA_OK;
}

static void progress(fa_call *call, uint64_t done, uint64_t total)
{
    call->progress_count++;
    call->done = done;
    call->total = total;
}

static fa_result fail(fa_call *call, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    snprintf(call->code, sizeof(call->code), "%s", code);
    vsnprintf(call->message, sizeof(call->message), format, args);
    va_end(args);
    return FA_INVALID;
}

static fa_result buffer_append(fa_buffer *buffer, const void *data, size_t length)
{
    fa_result result = grow(buffer, length);
    if (result == FA_OK && length > 0)
        memcpy(buffer->data + buffer->length, data, length);
    if (result == FA_OK)
        buffer->length += length;
    return result;
}

static fa_result buffer_reserve(fa_buffer *buffer, size_t length, void **space)
{
    fa_result result = grow(buffer, length);
    if (result == FA_OK) {
        *space = buffer->data + buffer->length;
        buffer->reserved = length;
    }
    return result;
}

static void buffer_commit(fa_buffer *buffer, size_t length)
{
    must(length <= buffer->reserved, "more committed than reserved");
    buffer->length += length;
    buffer->reserved = 0;
}

static fa_result buffer_patch(fa_buffer *buffer, size_t offset, const void *data, size_t length)
{
    if (offset > buffer->length || length > buffer->length - offset)
        return FA_INVALID;
    memcpy(buffer->data + offset, data, length);
    return FA_OK;
}

static size_t buffer_length(const fa_buffer *buffer)
{
    return buffer->length;
}

static const fa_host_api api = {.size = sizeof(fa_host_api),
                                .abi = FA_PLUGIN_ABI,
                                .log = log_line,
                                .config = config,
                                .allocate = allocate,
                                .release = release,
                                .argument_text = argument_text,
                                .argument_number = argument_number,
                                .argument_flag = argument_flag,
                                .cancelled = cancelled,
                                .result_buffer = result_buffer,
                                .result_text = result_text,
                                .result_number = result_number,
                                .progress = progress,
                                .fail = fail,
                                .buffer_append = buffer_append,
                                .buffer_reserve = buffer_reserve,
                                .buffer_commit = buffer_commit,
                                .buffer_patch = buffer_patch,
                                .buffer_length = buffer_length};

/* ---- the host ---------------------------------------------------------------------------------------------------- */
static void *load(const char *name)
{
    char path[PATH_MAX + 64] = "", self[PATH_MAX] = "";
    const char *directory = getenv("FA_PLUGIN_DIR");
    if (directory != NULL) {
        snprintf(path, sizeof(path), "%s/%s.so", directory, name);
    } else {
        must(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "who am I?");
        *strrchr(self, '/') = '\0';
        snprintf(path, sizeof(path), "%s/../plugins/%s.so", self, name);
    }
    /* Not unloaded at close: leak checkers want the names. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    must(library != NULL, library == NULL ? dlerror() : "");
    return library;
}

fake_host *fake_host_open(const char *name, const char *const *pairs, fa_error *error)
{
    fa_plugin_host *host = calloc(1, sizeof(*host));
    must(host != NULL, "out of memory");
    host->config = pairs;
    host->library = load(name);
    host->plugin = dlsym(host->library, FA_PLUGIN_SYMBOL);
    must(host->plugin != NULL && host->plugin->magic == FA_PLUGIN_MAGIC && host->plugin->abi == FA_PLUGIN_ABI &&
             host->plugin->size == sizeof(fa_plugin) && strcmp(host->plugin->name, name) == 0,
         "not a plugin of this host");
    if (host->plugin->open(host, &api, &host->state, error) == FA_OK)
        return (fake_host *)host;
    must(host->blocks == 0, "a plugin that refuses to open keeps memory");
    dlclose(host->library);
    free(host);
    return NULL;
}

void fake_host_close(fake_host *outer)
{
    fa_plugin_host *host = inner(outer);
    host->plugin->close(host->state);
    must(host->blocks == 0, "the plugin keeps memory after close");
    free(host);
}

size_t fake_host_attributed(fake_host *outer)
{
    const fa_plugin_host *host = inner(outer);
    return host->plugin->attributed == NULL ? 0 : host->plugin->attributed(host->state);
}

size_t fake_host_allocated(const fake_host *outer)
{
    return inner(outer)->blocks;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */
fake_call *fake_call_new(fake_host *outer, const char *function)
{
    fa_plugin_host *host = inner(outer);
    fa_call *call = calloc(1, sizeof(*call));
    must(call != NULL, "out of memory");
    call->host = host;
    call->budget = SIZE_MAX / 4;
    call->looks_left = -1;
    for (size_t i = 0; i < host->plugin->function_count; ++i) {
        if (strcmp(host->plugin->functions[i].name, function) == 0)
            call->function = &host->plugin->functions[i];
    }
    must(call->function != NULL, "no such function");
    return (fake_call *)call;
}

void fake_call_bytes(fake_call *outer, const char *key, const char *text, size_t length)
{
    fa_call *call = call_of(outer);
    set_text(add(call->arguments, &call->argument_count, key), text, length);
}

void fake_call_text(fake_call *call, const char *key, const char *text)
{
    fake_call_bytes(call, key, text, strlen(text));
}

void fake_call_number(fake_call *outer, const char *key, double value)
{
    fa_call *call = call_of(outer);
    add(call->arguments, &call->argument_count, key)->number = value;
}

void fake_call_cancel_after(fake_call *call, long looks)
{
    call_of(call)->looks_left = looks;
}

void fake_call_budget(fake_call *call, size_t bytes)
{
    call_of(call)->budget = bytes;
}

fa_result fake_call_run(fake_call *outer)
{
    fa_call *call = call_of(outer);
    return call->function->run(call->host->state, call);
}

void fake_call_end(fake_call *outer)
{
    fa_call *call = call_of(outer);
    for (size_t i = 0; i < ITEMS; ++i) {
        free(call->arguments[i].text);
        free(call->results[i].text);
    }
    for (size_t i = 0; i < call->buffer_count; ++i)
        free(call->buffers[i].data);
    free(call);
}

const char *fake_call_error(const fake_call *call)
{
    return call_of(call)->code;
}

const char *fake_call_message(const fake_call *call)
{
    return call_of(call)->message;
}

double fake_call_got_number(const fake_call *outer, const char *key)
{
    fa_call *call = call_of(outer);
    const item *found = find(call->results, call->result_count, key);
    return found == NULL || found->text != NULL ? (double)NAN : found->number;
}

const char *fake_call_got_text(const fake_call *outer, const char *key)
{
    fa_call *call = call_of(outer);
    const item *found = find(call->results, call->result_count, key);
    return found == NULL ? NULL : found->text;
}

const char *fake_call_got_buffer(const fake_call *outer, const char *key, size_t *length)
{
    fa_call *call = call_of(outer);
    for (size_t i = 0; i < call->buffer_count; ++i) {
        fa_buffer *buffer = &call->buffers[i];
        if (strcmp(buffer->key, key) != 0)
            continue;
        if (length != NULL)
            *length = buffer->length;
        must(buffer->data != NULL || (buffer->data = calloc(1, 1)) != NULL, "out of memory");
        buffer->data[buffer->length] = '\0';
        return (const char *)buffer->data;
    }
    return NULL;
}

size_t fake_call_progress(const fake_call *outer, uint64_t *done, uint64_t *total)
{
    fa_call *call = call_of(outer);
    *done = call->done;
    *total = call->total;
    return call->progress_count;
}
