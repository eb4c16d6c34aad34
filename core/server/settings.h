/* The configuration, in the forms that the floors below want it. */
#ifndef FA_SERVER_SETTINGS_H
#define FA_SERVER_SETTINGS_H

#include "dialogue/dialogue.h"
#include "http/http.h"
#include "script/script.h"
#include "server/config.h"

enum { FA_MAX_SETTINGS = 192 };

/* What scripts see: every key, with the folders made definite. */
typedef struct fa_settings {
    fa_setting list[FA_MAX_SETTINGS]; /* ends with name NULL */
    char app[4096], data[4200], media_root[4300], library[4096];
} fa_settings;

/* config: borrowed as long as the settings are used. */
void fa_settings_fill(fa_settings *settings, const fa_config *config);

/* All but spool_dir and addresses. workers: among how many accept_rate is shared. */
fa_http_options fa_settings_http(const fa_config *config, unsigned workers);

fa_body_limits fa_settings_bodies(const fa_config *config);
fa_websocket_options fa_settings_websocket(const fa_config *config);

/* workers: among how many the linger budget is shared. */
fa_dialogue_options fa_settings_dialogues(const fa_config *config, unsigned workers);

#endif
