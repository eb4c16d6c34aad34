#include "server/tls_settings.h"

#include <string.h>

#include "http/http.h"

static bool listens_secure(const fa_config *config)
{
    const char *const *addresses;
    size_t count = fa_config_list(config, "listen", &addresses);
    for (size_t i = 0; i < count; ++i) {
        if (fa_http_is_secure(addresses[i]))
            return true;
    }
    return false;
}

bool fa_tls_settings_wanted(const fa_config *config)
{
    return listens_secure(config) || fa_config_named_name(config, "tls", 0) != NULL;
}

static fa_result check_keys(const fa_config *config, const char *name, fa_error *error)
{
    const char *key, *where;
    for (size_t i = 0; (key = fa_config_named_key(config, "tls", name, i, &where)) != NULL; ++i) {
        if (strcmp(key, "certificate") != 0 && strcmp(key, "key") != 0 && strcmp(key, "names") != 0)
            return fa_fail(error, FA_INVALID,
                           "%s: tls.%s.%s: there is no such key; there are certificate, key and names", where, name,
                           key);
    }
    return FA_OK;
}

static fa_result add(fa_tls_settings *settings, const fa_config *config, const char *name, fa_error *error)
{
    if (settings->options.count == FA_MAX_IDENTITIES)
        return fa_fail(error, FA_INVALID, "tls: at most %d identities", FA_MAX_IDENTITIES);
    settings->sources[settings->options.count++] = (fa_tls_source){
        .name = name,
        .certificate = fa_config_named(config, "tls", name, "certificate", NULL),
        .key = fa_config_named(config, "tls", name, "key", NULL),
        .names = fa_config_named(config, "tls", name, "names", NULL),
    };
    return check_keys(config, name, error);
}

fa_result fa_tls_settings_fill(fa_tls_settings *settings, const fa_config *config, fa_error *error)
{
    fa_result result = FA_OK;
    const char *name;
    settings->options = (fa_tls_options){
        .sources = settings->sources,
        .only_13 = strcmp(fa_config_text(config, "tls_minimum"), "1.3") == 0,
        .http2 = strcmp(fa_config_text(config, "http2"), "trusted") == 0,
    };
    for (size_t i = 0; result == FA_OK && (name = fa_config_named_name(config, "tls", i)) != NULL; ++i)
        result = add(settings, config, name, error);
    if (result == FA_OK && settings->options.count == 0)
        result = fa_fail(
            error, FA_INVALID,
            "listen: https:// needs an identity: tls.main = { certificate = \"FILE.pem\", key = \"FILE.pem\" }");
    return result;
}
