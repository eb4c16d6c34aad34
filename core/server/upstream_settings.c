#include "server/upstream_settings.h"

enum { MOST_KEYS = 80 };

static const char group[] = "upstreams";

fa_result fa_settings_upstreams(const fa_config *config, fa_upstreams *upstreams, fa_error *error)
{
    const char *name, *key, *where;
    fa_result result = FA_OK;
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
