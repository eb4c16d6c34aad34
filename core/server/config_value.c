#include "server/config_value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

typedef struct unit {
    double factor;
    const char *name;
} unit;

/* A bound of a range in the largest unit that says it exactly: "5min", "64KB", "8". */
static void write_bound(fa_config_type type, double value, char *out, size_t size)
{
    static const unit sizes[] = {{1073741824, "GB"}, {1048576, "MB"}, {1024, "KB"}, {1, "B"}};
    static const unit durations[] = {{3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    const unit *units = type == FA_CONFIG_SIZE ? sizes : durations;
    if ((type != FA_CONFIG_SIZE && type != FA_CONFIG_DURATION) || value == 0) {
        snprintf(out, size, "%.10g", value);
        return;
    }
    while (units->factor > 1 &&
           (value < units->factor || value / units->factor != (double)(long long)(value / units->factor)))
        ++units;
    snprintf(out, size, "%.10g%s", value / units->factor, units->name);
}

static fa_result check_range(const fa_config_key *key, const char *value, double number, fa_error *error)
{
    char low[32], high[32];
    if ((key->minimum == 0 && key->maximum == 0) || (number >= key->minimum && number <= key->maximum))
        return FA_OK;
    write_bound(key->type, key->minimum, low, sizeof(low));
    write_bound(key->type, key->maximum, high, sizeof(high));
    if (key->minimum == key->maximum)
        return fa_fail(error, FA_INVALID, "%.40s is out of range: only %s is possible", value, low);
    return fa_fail(error, FA_INVALID, "%.40s is out of range: it goes from %s to %s", value, low, high);
}

/* Plain decimal only: strtod would also take "0x10", "inf" and "nan". */
static fa_result parse_number(const char *value, double *number, fa_error *error)
{
    char *end = NULL;
    if (value[0] != '\0' && value[strspn(value, "0123456789+-.eE")] == '\0')
        *number = strtod(value, &end);
    if (end == NULL || end == value || *end != '\0' || *number - *number != 0)
        return fa_fail(error, FA_INVALID, "\"%.40s\" is not a number", value);
    return FA_OK;
}

static fa_result parse_flag(const char *value, double *number, fa_error *error)
{
    *number = strcmp(value, "true") == 0;
    if (*number == 0 && strcmp(value, "false") != 0)
        return fa_fail(error, FA_INVALID, "\"%.40s\" is neither true nor false", value);
    return FA_OK;
}

static fa_result parse_unit(const fa_config_key *key, const char *value, double *number, fa_error *error)
{
    uint64_t parsed = 0;
    fa_result result =
        key->type == FA_CONFIG_SIZE ? fa_parse_size(value, &parsed, error) : fa_parse_duration(value, &parsed, error);
    *number = (double)parsed;
    return result;
}

static fa_result check_choice(const fa_config_key *key, const char *value, fa_error *error)
{
    size_t length = strlen(value);
    if (key->choices == NULL)
        return FA_OK;
    for (const char *choice = key->choices; choice != NULL; choice = strchr(choice, '|')) {
        choice += *choice == '|';
        if (length > 0 && strncmp(choice, value, length) == 0 && (choice[length] == '|' || choice[length] == '\0') &&
            strchr(value, '|') == NULL)
            return FA_OK;
    }
    return fa_fail(error, FA_INVALID, "\"%.40s\" is none of %s", value, key->choices);
}

static fa_result check_items(const char *value, fa_error *error)
{
    const char *item;
    size_t length;
    for (const char *rest = value; rest != NULL && *value != '\0';) {
        rest = fa_config_next_item(rest, &item, &length);
        if (length == 0)
            return fa_fail(error, FA_INVALID, "\"%.40s\" has an empty item between its commas", value);
    }
    return FA_OK;
}

fa_result fa_config_value_parse(const fa_config_key *key, const char *value, double *number, fa_error *error)
{
    fa_result result = FA_OK;
    *number = 0;
    switch (key->type) {
    case FA_CONFIG_TEXT:
        return check_choice(key, value, error);
    case FA_CONFIG_LIST:
        return check_items(value, error);
    case FA_CONFIG_FLAG:
        return parse_flag(value, number, error);
    case FA_CONFIG_NUMBER:
        result = parse_number(value, number, error);
        break;
    case FA_CONFIG_SIZE:
    case FA_CONFIG_DURATION:
        result = parse_unit(key, value, number, error);
        break;
    }
    return result == FA_OK ? check_range(key, value, *number, error) : result;
}

fa_result fa_config_check(const fa_config_key *key, const char *value, fa_error *error)
{
    double ignored;
    return fa_config_value_parse(key, value, &ignored, error);
}

const char *fa_config_next_item(const char *list, const char **item, size_t *length)
{
    const char *comma = strchr(list, ',');
    const char *end = comma != NULL ? comma : list + strlen(list);
    while (list < end && isspace((unsigned char)*list))
        ++list;
    while (end > list && isspace((unsigned char)end[-1]))
        --end;
    *item = list;
    *length = (size_t)(end - list);
    return comma != NULL ? comma + 1 : NULL;
}

static size_t scheme_length(const char *text, size_t length)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); ++i) {
        size_t own = strlen(schemes[i]);
        if (length > own && memcmp(text, schemes[i], own) == 0)
            return own;
    }
    return 0;
}

bool fa_config_is_address(const char *text, size_t length)
{
    size_t scheme = scheme_length(text, length);
    text += scheme;
    length -= scheme;
    const char *colon = memrchr(text, ':', length);
    if (colon == NULL || colon == text)
        return false;
    size_t host = (size_t)(colon - text), digits = length - host - 1;
    unsigned port = 0;
    if (memchr(text, ':', host) != NULL && !(text[0] == '[' && text[host - 1] == ']'))
        return false;
    for (size_t i = 0; i < digits && digits <= 5; ++i) {
        if (!isdigit((unsigned char)colon[1 + i]))
            return false;
        port = port * 10 + (unsigned)(colon[1 + i] - '0');
    }
    return digits >= 1 && digits <= 5 && port <= 65535;
}
