#include "server/security_headers.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    fa_header header;
} known[] = {
    {"nosniff", {FA_TEXT("x-content-type-options"), FA_TEXT("nosniff")}},
    {"sameorigin", {FA_TEXT("x-frame-options"), FA_TEXT("SAMEORIGIN")}},
    {"noframes", {FA_TEXT("x-frame-options"), FA_TEXT("DENY")}},
    {"referrer", {FA_TEXT("referrer-policy"), FA_TEXT("strict-origin-when-cross-origin")}},
    {"isolate", {FA_TEXT("cross-origin-opener-policy"), FA_TEXT("same-origin")}},
};

static const fa_header *find(const char *name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
        if (strcmp(known[i].name, name) == 0)
            return &known[i].header;
    }
    return NULL;
}

fa_result fa_security_headers_read(fa_security_headers *headers, const fa_config *config, fa_error *error)
{
    const char *const *names;
    size_t count = fa_config_list(config, "security_headers", &names);
    uint64_t hsts_ms = fa_config_duration(config, "hsts");
    memset(headers, 0, sizeof(*headers));
    for (size_t i = 0; i < count && strcmp(names[0], "off") != 0; ++i) {
        const fa_header *header = find(names[i]);
        if (header == NULL || headers->plain == FA_SECURITY_HEADERS - 1)
            return fa_fail(
                error, FA_INVALID,
                "security_headers: \"%.40s\" is none of nosniff, sameorigin, noframes, referrer, isolate, or off",
                names[i]);
        headers->list[headers->plain++] = *header;
    }
    headers->secure = headers->plain;
    if (hsts_ms != 0) {
        int length =
            snprintf(headers->hsts, sizeof(headers->hsts), "max-age=%llu", (unsigned long long)(hsts_ms / 1000));
        headers->list[headers->secure++] =
            (fa_header){FA_TEXT("strict-transport-security"), {headers->hsts, (size_t)length}};
    }
    return FA_OK;
}
