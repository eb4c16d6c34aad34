/* The C half of a plugin.
 *
 * A plugin is a folder plugins/NAME with a manifest plugin.lua and, when it has a C half, a shared object NAME.so that exports
 * one symbol, `fa_plugin_entry`. The host checks magic, ABI version and size before it calls anything.
 *
 * Every native plugin has ONE thread of its own. open, close and every function run on that thread, one at a time, never on a
 * server loop: they may block. What scripts see: each function becomes plugin.NAME.FUNCTION{key = value, ...}, which yields and
 * returns a table of the results, or nil and an error.
 *
 *     static fa_result shout(void *state, fa_call *call)
 *     {
 *         const fa_host_api *api = ...;
 *         size_t length;
 *         const char *text = api->argument_text(call, "text", &length);
 *         if (text == NULL)
 *             return api->fail(call, "invalid", "text is missing");
 *         ...
 *         return api->result_text(call, "text", louder, length);
 *     }
 *     static const fa_plugin_function functions[] = {{"shout", shout}};
 *     FA_PLUGIN_EXPORT fa_plugin_entry = {.magic = FA_PLUGIN_MAGIC, .abi = FA_PLUGIN_ABI, .size = sizeof(fa_plugin),
 *                                         .name = "shout", .version = "1.0.0", .open = open_shout, .close = close_shout,
 *                                         .functions = functions, .function_count = 1};
 *
 * Ownership: everything that a function gets is borrowed until it returns; everything it hands over as a result is the host's.
 * Memory that a plugin keeps comes from api->allocate, so that the ledger knows whose it is.
 */
#ifndef FITNESSALLY_PLUGIN_H
#define FITNESSALLY_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fitnessally/buffer.h"
#include "fitnessally/fitnessally.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FA_PLUGIN_ABI    1u
#define FA_PLUGIN_MAGIC  0x66615047u /* "faPG" */
#define FA_PLUGIN_SYMBOL "fa_plugin_entry"

typedef struct fa_plugin_host fa_plugin_host; /* this plugin's place in one server */
typedef struct fa_call fa_call;               /* one call that a script made */

/* What the host does for plugins. New members are only ever added at the end; check `size` before using one that is younger
 * than the ABI version you were compiled for. Thread: the plugin's own, except where it says any. */
typedef struct fa_host_api {
    size_t size;
    uint32_t abi;

    /* One line in the server's log, marked with the plugin's name. Thread: any. */
    void (*log)(fa_plugin_host *host, fa_log_level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

    /* The value of a key of the manifest's `config`, as text ("175", "true", "2097152" for "2MB", milliseconds for
     * durations), or NULL when it is not set and has no default. Also "data" and "state_dir" of the server. Valid until
     * close. */
    const char *(*config)(fa_plugin_host *host, const char *key);

    /* Zeroed memory charged to the plugin's scope, and its return. NULL at the budget. Thread: any. */
    void *(*allocate)(fa_plugin_host *host, size_t size);
    void (*release)(fa_plugin_host *host, void *block);

    /* Arguments of a call by name. text: NULL when absent or not text. number, flag: false when absent or of another type. */
    const char *(*argument_text)(fa_call *call, const char *key, size_t *length);
    bool (*argument_number)(fa_call *call, const char *key, double *value);
    bool (*argument_flag)(fa_call *call, const char *key, bool *value);

    /* Whether the caller is gone: a long piece of work should look now and then and return FA_CANCELLED. Thread: any. */
    bool (*cancelled)(fa_call *call);

    /* A mutable buffer that becomes result `key`, charged to the caller's scope; fill it with fa_buffer functions below before
     * returning; the host seals it. At most 4 a call. FA_NO_MEMORY, FA_OVER_BUDGET, FA_FULL. */
    fa_result (*result_buffer)(fa_call *call, const char *key, size_t capacity, fa_buffer **buffer);
    fa_result (*result_text)(fa_call *call, const char *key, const char *text,
                             size_t length); /* copied, at most 4 KB */
    fa_result (*result_number)(fa_call *call, const char *key, double value);

    /* Tells a caller that asked for it (progress = function(done, total)) how far the work is. Never blocks; what comes faster
     * than the caller listens is merged. */
    void (*progress)(fa_call *call, uint64_t done, uint64_t total);

    /* Ends the call with an error: code is snake_case ("invalid", "not_found", "unavailable"), the rest a sentence. Returns
     * FA_INVALID, so that `return api->fail(...)` works. */
    fa_result (*fail)(fa_call *call, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

    /* fa_buffer_* of fitnessally/buffer.h, for plugins that are not linked against the library. */
    fa_result (*buffer_append)(fa_buffer *buffer, const void *data, size_t length);
    fa_result (*buffer_reserve)(fa_buffer *buffer, size_t length, void **space);
    void (*buffer_commit)(fa_buffer *buffer, size_t length);
    fa_result (*buffer_patch)(fa_buffer *buffer, size_t offset, const void *data, size_t length);
    size_t (*buffer_length)(const fa_buffer *buffer);
} fa_host_api;

/* Runs on the plugin's thread. Returning anything but FA_OK without having called api->fail makes a generic error. */
typedef struct fa_plugin_function {
    const char *name;
    fa_result (*run)(void *state, fa_call *call);
} fa_plugin_function;

typedef struct fa_plugin {
    uint32_t magic; /* FA_PLUGIN_MAGIC */
    uint32_t abi;   /* FA_PLUGIN_ABI it was compiled for */
    size_t size;    /* sizeof(fa_plugin) */
    const char *name, *version;

    /* Makes the plugin's state; must be there. api and host: valid until close returns. On an error the text is shown to the operator and
     * close is not called. */
    fa_result (*open)(fa_plugin_host *host, const fa_host_api *api, void **state, fa_error *error);
    void (*close)(void *state); /* NULL: nothing is to be done */

    const fa_plugin_function *functions;
    size_t function_count;

    /* Bytes that a library behind the plugin holds by its own allocator (SQLite's page cache), for the ledger's *attributed*.
     * NULL: none known. Thread: any. */
    size_t (*attributed)(void *state);
} fa_plugin;

/* The one symbol that a shared object exports:  FA_PLUGIN_EXPORT fa_plugin_entry = { ... }; */
#define FA_PLUGIN_EXPORT __attribute__((visibility("default"))) const fa_plugin

#ifdef __cplusplus
}
#endif
#endif
