/* Calls: made on a worker, run on the plugin's thread, answered on the worker. The call itself is charged to the worker, since it
 * may outlive its caller by the time that the plugin needs to notice. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plugin/internal.h"

static void free_value(const fa_call *call, fa_value *value)
{
    if (value->text != NULL)
        fa_account_free(call->account, value->text, value->length + 1);
    if (value->buffer != NULL)
        fa_buffer_release(value->buffer);
}

static void free_call(fa_call *call)
{
    fa_account *account = call->account;
    for (size_t i = 0; i < call->argument_count; ++i)
        free_value(call, &call->arguments[i]);
    for (size_t i = 0; i < call->result_count; ++i)
        free_value(call, &call->results[i]);
    fa_account_unref(call->owner);
    fa_account_free(account, call, sizeof(*call));
    fa_account_unref(account);
}

static void on_finished(fa_message *message)
{
    fa_call *call = FA_OBJECT(message, fa_call, finished);
    fa_worker *worker = call->worker;
    if (!call->cancelled)
        call->done(call, call->context);
    free_call(call);
    fa_worker_release(worker);
}

static void on_progressed(fa_message *message)
{
    fa_call *call = FA_OBJECT(message, fa_call, progressed);
    if (!call->cancelled && call->progress != NULL)
        call->progress(call, call->context, call->units_done, call->units_total);
}

fa_result fa_call_new(fa_native *native, size_t index, fa_worker *worker, fa_scope *owner, fa_call **out)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(worker));
    fa_result result = fa_account_allocate(account, sizeof(fa_call), &memory);
    if (result != FA_OK)
        return result;
    fa_call *call = memset(memory, 0, sizeof(*call));
    fa_list_init(&call->link);
    fa_message_init(&call->finished, on_finished);
    fa_message_init(&call->progressed, on_progressed);
    call->native = native;
    call->function = &native->entry->functions[index];
    call->worker = worker;
    call->account = fa_account_ref(account);
    call->owner = fa_account_ref(fa_scope_account(owner));
    *out = call;
    return FA_OK;
}

static fa_result add(fa_value *values, size_t *count, size_t limit, const char *key, fa_value_type type, fa_value **out)
{
    if (*count == limit)
        return FA_FULL;
    fa_value *value = &values[*count];
    memset(value, 0, sizeof(*value));
    if (snprintf(value->key, sizeof(value->key), "%s", key) >= (int)sizeof(value->key))
        return FA_INVALID;
    value->type = type;
    *out = value;
    ++*count;
    return FA_OK;
}

static fa_result add_text(fa_call *call, fa_value *values, size_t *count, size_t limit, const char *key,
                          const char *text, size_t length)
{
    void *copy;
    fa_value *value;
    fa_result result = fa_account_allocate(call->account, length + 1, &copy);
    if (result != FA_OK)
        return result;
    if ((result = add(values, count, limit, key, FA_VALUE_TEXT, &value)) != FA_OK) {
        fa_account_free(call->account, copy, length + 1);
        return result;
    }
    memcpy(copy, text, length);
    ((char *)copy)[length] = '\0';
    value->text = copy;
    value->length = length;
    return FA_OK;
}

fa_result fa_call_add_text(fa_call *call, const char *key, const char *text, size_t length)
{
    return add_text(call, call->arguments, &call->argument_count, FA_CALL_ARGUMENTS, key, text, length);
}

static fa_result add_number(fa_call *call, const char *key, fa_value_type type, double number)
{
    fa_value *value;
    fa_result result = add(call->arguments, &call->argument_count, FA_CALL_ARGUMENTS, key, type, &value);
    if (result == FA_OK)
        value->number = number;
    return result;
}

fa_result fa_call_add_number(fa_call *call, const char *key, double number)
{
    return add_number(call, key, FA_VALUE_NUMBER, number);
}

fa_result fa_call_add_flag(fa_call *call, const char *key, bool flag)
{
    return add_number(call, key, FA_VALUE_FLAG, flag);
}

fa_result fa_call_start(fa_call *call, void (*done)(fa_call *call, void *context),
                        void (*progress)(fa_call *call, void *context, uint64_t done_units, uint64_t total_units),
                        void *context)
{
    fa_native *native = call->native;
    call->done = done;
    call->progress = progress;
    call->context = context;
    pthread_mutex_lock(&native->lock);
    bool full = native->queued >= native->queue_limit || native->closing;
    if (!full) {
        native->queued++;
        fa_list_append(&native->queue, &call->link);
        pthread_cond_signal(&native->changed);
    }
    pthread_mutex_unlock(&native->lock);
    if (full)
        free_call(call);
    else
        fa_worker_hold(call->worker); /* on the worker's thread, so the answer cannot be there yet */
    return full ? FA_FULL : FA_OK;
}

void fa_call_cancel(fa_call *call)
{
    if (call->done == NULL)
        free_call(call); /* never started */
    else
        call->cancelled = true; /* on_finished frees it */
}

void call_finish(fa_call *call, fa_result result)
{
    if (result != FA_OK && !call->failed) {
        call->failed = true;
        const char *code = result == FA_OVER_BUDGET || result == FA_NO_MEMORY ? "over_budget"
                           : result == FA_CANCELLED                           ? "cancelled"
                                                                              : "failed";
        snprintf(call->code, sizeof(call->code), "%s", code);
        fa_fail(&call->message, result, "%s.%s: %s", call->native->name, call->function->name, fa_result_name(result));
    }
    for (size_t i = 0; i < call->result_count; ++i) {
        if (call->results[i].buffer != NULL)
            fa_buffer_seal(call->results[i].buffer);
    }
    fa_worker_post(call->worker, &call->finished);
}

bool fa_call_failed(const fa_call *call, const char **code, const char **message)
{
    *code = call->code;
    *message = call->message.text;
    return call->failed;
}

size_t fa_call_result_count(const fa_call *call)
{
    return call->result_count;
}

const fa_value *fa_call_result(const fa_call *call, size_t index)
{
    return &call->results[index];
}

fa_buffer *fa_call_take_buffer(fa_call *call, size_t index)
{
    fa_buffer *buffer = call->results[index].buffer;
    call->results[index].buffer = NULL;
    return buffer;
}

/* ---- the half that plugins see ---- */

static const fa_value *argument(const fa_call *call, const char *key, fa_value_type type)
{
    for (size_t i = 0; i < call->argument_count; ++i) {
        const fa_value *value = &call->arguments[i];
        if (value->type == type && strcmp(value->key, key) == 0)
            return value;
    }
    return NULL;
}

static const char *api_argument_text(fa_call *call, const char *key, size_t *length)
{
    const fa_value *value = argument(call, key, FA_VALUE_TEXT);
    if (value == NULL)
        return NULL;
    if (length != NULL)
        *length = value->length;
    return value->text;
}

static bool api_argument_number(fa_call *call, const char *key, double *number)
{
    const fa_value *value = argument(call, key, FA_VALUE_NUMBER);
    if (value != NULL)
        *number = value->number;
    return value != NULL;
}

static bool api_argument_flag(fa_call *call, const char *key, bool *flag)
{
    const fa_value *value = argument(call, key, FA_VALUE_FLAG);
    if (value != NULL)
        *flag = value->number != 0;
    return value != NULL;
}

static bool api_cancelled(fa_call *call)
{
    return call->cancelled;
}

static fa_result api_result_buffer(fa_call *call, const char *key, size_t capacity, fa_buffer **buffer)
{
    fa_value *value;
    char label[FA_LABEL_SIZE];
    snprintf(label, sizeof(label), "%s.%s %s", call->native->name, call->function->name, key);
    fa_result result =
        fa_buffer_new_detached(call->owner, capacity, label, (fa_origin){call->native->entry->name, 0}, buffer);
    if (result != FA_OK)
        return result;
    if ((result = add(call->results, &call->result_count, FA_CALL_RESULTS, key, FA_VALUE_BUFFER, &value)) != FA_OK) {
        fa_buffer_release(*buffer);
        return result;
    }
    value->buffer = *buffer;
    return FA_OK;
}

static fa_result api_result_text(fa_call *call, const char *key, const char *text, size_t length)
{
    return length > 4096 ? FA_INVALID
                         : add_text(call, call->results, &call->result_count, FA_CALL_RESULTS, key, text, length);
}

static fa_result api_result_number(fa_call *call, const char *key, double number)
{
    fa_value *value;
    fa_result result = add(call->results, &call->result_count, FA_CALL_RESULTS, key, FA_VALUE_NUMBER, &value);
    if (result == FA_OK)
        value->number = number;
    return result;
}

static void api_progress(fa_call *call, uint64_t done_units, uint64_t total_units)
{
    call->units_done = done_units;
    call->units_total = total_units;
    fa_worker_post(call->worker, &call->progressed);
}

static fa_result api_fail(fa_call *call, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    call->failed = true;
    snprintf(call->code, sizeof(call->code), "%s", code);
    vsnprintf(call->message.text, sizeof(call->message.text), format, arguments);
    va_end(arguments);
    return FA_INVALID;
}

static void api_log(fa_plugin_host *host, fa_log_level level, const char *format, ...)
{
    char line[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    fa_log_write(host->native->log, level, "plugin %s: %s", host->native->name, line);
}

static const char *api_config(fa_plugin_host *host, const char *key)
{
    return host->native->config(host->native->config_context, key);
}

/* A plugin's blocks carry their size, for it may free them on any thread. */
static void *api_allocate(fa_plugin_host *host, size_t size)
{
    void *block;
    const size_t head = sizeof(max_align_t);
    if (size > SIZE_MAX / 2 || fa_account_allocate(host->native->account, head + size, &block) != FA_OK)
        return NULL;
    memset(block, 0, head + size);
    *(size_t *)block = head + size;
    return (char *)block + head;
}

static void api_release(fa_plugin_host *host, void *block)
{
    if (block == NULL)
        return;
    void *start = (char *)block - sizeof(max_align_t);
    fa_account_free(host->native->account, start, *(size_t *)start);
}

const fa_host_api fa_native_api = {
    .size = sizeof(fa_host_api),
    .abi = FA_PLUGIN_ABI,
    .log = api_log,
    .config = api_config,
    .allocate = api_allocate,
    .release = api_release,
    .argument_text = api_argument_text,
    .argument_number = api_argument_number,
    .argument_flag = api_argument_flag,
    .cancelled = api_cancelled,
    .result_buffer = api_result_buffer,
    .result_text = api_result_text,
    .result_number = api_result_number,
    .progress = api_progress,
    .fail = api_fail,
    .buffer_append = fa_buffer_append,
    .buffer_reserve = fa_buffer_reserve,
    .buffer_commit = fa_buffer_commit,
    .buffer_patch = fa_buffer_patch,
    .buffer_length = fa_buffer_length,
};
