#include "server/upstream_settings.h"

#include <stdio.h>
#include <string.h>

enum { MOST_KEYS = 80 };

static const char group[] = "upstreams";

/* llm_url is the url of the upstream "llm", and so on: whatever plugin asks there. Other addresses than of HTTP are that plugin's own affair. */
static fa_result define_services(const fa_config *config, fa_upstreams *upstreams, fa_error *error)
{
    static const char *const kinds[] = {"tts", "llm", "stt"};
    fa_result result = FA_OK;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && result == FA_OK; ++i) {
        char key[16];
        snprintf(key, sizeof(key), "%s_url", kinds[i]);
        fa_upstream_setting url = {"url", fa_config_text(config, key), key, true};
        if (url.value != NULL && strncmp(url.value, "http", 4) == 0)
            result = fa_upstreams_define(upstreams, kinds[i], &url, 1, error);
    }
    return result;
}

fa_result fa_settings_upstreams(const fa_config *config, fa_upstreams *upstreams, fa_error *error)
{
    const char *name, *key, *where;
    fa_result result = define_services(config, upstreams, error);
    for (size_t i = 0; result == FA_OK && (name = fa_config_named_name(config, group, i)) != NULL; ++i) {
        size_t count = 0;
        fa_upstream_setting settings[MOST_KEYS];
        while (count < MOST_KEYS && (key = fa_config_named_key(config, group, name, count, &where)) != NULL) {
            settings[count++] =
                (fa_upstream_setting){key, fa_config_named(config, group, name, key, NULL), where, true};
        }
        result = fa_upstreams_define(upstreams, name, settings, count, error);
    }
    return result;
}
