/* What the configuration says of TLS: tls.NAME = { certificate = FILE, key = FILE, names = { ... } }, and which listeners want it. */
#ifndef FA_SERVER_TLS_SETTINGS_H
#define FA_SERVER_TLS_SETTINGS_H

#include "http/tls.h"
#include "server/config.h"

enum { FA_MAX_IDENTITIES = 64 };

typedef struct fa_tls_settings {
    fa_tls_source sources[FA_MAX_IDENTITIES];
    fa_tls_options options;
} fa_tls_settings;

/* Whether a listener wants TLS, or an identity is there to be checked. */
bool fa_tls_settings_wanted(const fa_config *config);

/* config: borrowed as long as the settings are used. FA_INVALID for a key that is unknown or missing, for too many identities, and when
 * a listener wants TLS and there is none. */
fa_result fa_tls_settings_fill(fa_tls_settings *settings, const fa_config *config, fa_error *error);

#endif
