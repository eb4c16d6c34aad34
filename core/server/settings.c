#include "server/settings.h"

#include <stdio.h>
#include <string.h>

#include "server/home.h"

fa_dialogue_options fa_settings_dialogues(const fa_config *c, unsigned workers)
{
    return (fa_dialogue_options){
        .first_listener_grace_ms = fa_config_duration(c, "first_listener_grace"),
        .reconnect_grace_ms = fa_config_duration(c, "reconnect_grace"),
        .linger_ms = fa_config_duration(c, "linger"),
        .history_ttl_ms = fa_config_duration(c, "history_ttl"),
        .finished_ttl_ms = fa_config_duration(c, "finished_ttl"),
        .turn_limit_ms = fa_config_duration(c, "turn_limit"),
        .slow_listener_wait_ms = fa_config_duration(c, "slow_listener_wait"),
        .listener_stall_ms = fa_config_duration(c, "listener_stall"),
        .ping_ms = fa_config_duration(c, "ping_interval"),
        .duplicate_window_ms = fa_config_duration(c, "duplicate_window"),
        .idempotency_window_ms = fa_config_duration(c, "idempotency_window"),
        .dialogue_budget = fa_config_size(c, "dialogue_budget"),
        .replay_window = fa_config_size(c, "replay_window"),
        .turn_budget = fa_config_size(c, "turn_budget"),
        .linger_budget = fa_config_size(c, "linger_budget") / workers, /* each worker looks after its own */
        .listener_queue = fa_config_size(c, "listener_queue"),
        .history_limit = fa_config_size(c, "history_limit"),
        .max_dialogues = (unsigned)fa_config_number(c, "max_dialogues"),
        .max_listeners = (unsigned)fa_config_number(c, "max_listeners"),
        .history_dialogues = (unsigned)fa_config_number(c, "history_dialogues"),
        .finished_dialogues = (unsigned)fa_config_number(c, "finished_dialogues"),
        .idempotency_keys = (unsigned)fa_config_number(c, "idempotency_keys"),
        .lookahead = (unsigned)fa_config_number(c, "lookahead"),
    };
}

fa_http_options fa_settings_http(const fa_config *c, unsigned workers)
{
    fa_http_options options = {
        .max_body = fa_config_size(c, "max_body"),
        .max_head = fa_config_size(c, "max_head"),
        .max_connections = (size_t)fa_config_number(c, "max_connections"),
        .address_connections = (size_t)fa_config_number(c, "max_connections_per_address"),
        .connection_requests = (size_t)fa_config_number(c, "max_requests_per_connection"),
        .accept_rate = fa_config_number(c, "accept_rate") / workers, /* each worker accepts for itself */
        .head_timeout_ms = fa_config_duration(c, "head_timeout"),
        .request_timeout_ms = fa_config_duration(c, "request_timeout"),
        .idle_timeout_ms = fa_config_duration(c, "idle_timeout"),
        .body_rate = fa_config_size(c, "body_rate"),
        .send_stall_ms = fa_config_duration(c, "send_stall"),
        .spool_threshold = fa_config_size(c, "spool_threshold"),
        .request_budget = fa_config_size(c, "request_budget"),
    };
    if (options.request_budget != 0)
        options.request_budget += options.spool_threshold; /* a larger body is not in memory */
    return options;
}

static fa_setting make_setting(const fa_config *config, const fa_config_key *key)
{
    fa_setting setting = {.name = key->name};
    switch (key->type) {
    case FA_CONFIG_NUMBER:
        setting.type = FA_SETTING_NUMBER;
        setting.number = fa_config_number(config, key->name);
        break;
    case FA_CONFIG_SIZE:
        setting.type = FA_SETTING_NUMBER;
        setting.number = (double)fa_config_size(config, key->name);
        break;
    case FA_CONFIG_DURATION:
        setting.type = FA_SETTING_NUMBER;
        setting.number = (double)fa_config_duration(config, key->name);
        break;
    case FA_CONFIG_FLAG:
        setting.type = FA_SETTING_FLAG;
        setting.number = fa_config_flag(config, key->name);
        break;
    case FA_CONFIG_TEXT:
        setting.text = fa_config_text(config, key->name);
        break;
    case FA_CONFIG_LIST:
        setting.text = fa_config_written(config, key->name, NULL);
        break;
    }
    return setting;
}

static void replace_text(fa_settings *settings, const char *name, const char *text)
{
    for (fa_setting *s = settings->list; s->name != NULL; ++s) {
        if (strcmp(s->name, name) == 0)
            s->text = text;
    }
}

void fa_settings_fill(fa_settings *settings, const fa_config *config)
{
    size_t count = 0;
    const char *data = fa_config_text(config, "data"), *media = fa_config_text(config, "media_root");
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL && count < FA_MAX_SETTINGS - 1; ++key)
        settings->list[count++] = make_setting(config, key);
    fa_home_resolve(fa_config_text(config, "app"), settings->app, sizeof(settings->app));
    if (data != NULL)
        snprintf(settings->data, sizeof(settings->data), "%s", data);
    else
        snprintf(settings->data, sizeof(settings->data), "%s/data", settings->app);
    if (media != NULL)
        snprintf(settings->media_root, sizeof(settings->media_root), "%s", media);
    else
        snprintf(settings->media_root, sizeof(settings->media_root), "%s/media", settings->data);
    snprintf(settings->library, sizeof(settings->library), "%s/lua", fa_home());
    replace_text(settings, "app", settings->app);
    replace_text(settings, "data", settings->data);
    replace_text(settings, "media_root", settings->media_root);
}

fa_websocket_options fa_settings_websocket(const fa_config *config)
{
    return (fa_websocket_options){
        .max_message = fa_config_size(config, "websocket_message"),
        .queue = fa_config_size(config, "websocket_queue"),
        .ping_ms = fa_config_duration(config, "websocket_ping"),
        .pong_ms = fa_config_duration(config, "websocket_pong"),
        .close_ms = fa_config_duration(config, "websocket_close"),
    };
}

fa_body_limits fa_settings_bodies(const fa_config *config)
{
    return (fa_body_limits){
        .max_body = fa_config_size(config, "max_body"),
        .max_upload = fa_config_size(config, "max_upload"),
        .max_json = fa_config_size(config, "max_json"),
        .json_depth = (unsigned)fa_config_number(config, "json_depth"),
        .max_form = fa_config_size(config, "max_form"),
        .form_fields = (size_t)fa_config_number(config, "form_fields"),
        .form_value = fa_config_size(config, "form_value"),
        .multipart_parts = (size_t)fa_config_number(config, "multipart_parts"),
        .multipart_field = fa_config_size(config, "multipart_field"),
    };
}
