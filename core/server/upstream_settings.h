/* Upstreams of the configuration: upstreams.NAME.KEY (upstream/options.h has the keys). */
#ifndef FA_SERVER_UPSTREAM_SETTINGS_H
#define FA_SERVER_UPSTREAM_SETTINGS_H

#include "server/config.h"
#include "upstream/upstream.h"

/* Defines all of them, and those of tts_url, llm_url and stt_url. What is written here goes before what an application says. FA_INVALID, FA_NOT_FOUND (a secret) with where it was
 * written, FA_NO_MEMORY. */
fa_result fa_settings_upstreams(const fa_config *config, fa_upstreams *upstreams, fa_error *error);

#endif
