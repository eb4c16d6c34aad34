#include "media/validators.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void fa_etag_write(char out[FA_ETAG_SIZE], const fa_file_id *id)
{
    uint64_t time = (uint64_t)id->seconds * 1000000000u + id->nanoseconds;
    snprintf(out, FA_ETAG_SIZE, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", id->size, time, (uint64_t)id->inode);
}

/* ---- dates ---- */

void fa_http_date_write(char out[FA_HTTP_DATE_SIZE], int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&time, &utc) == NULL || utc.tm_year < -1900 || utc.tm_year > 8099) { /* no year of four digits */
        time = 0;
        gmtime_r(&time, &utc);
    }
    snprintf(out, FA_HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[utc.tm_wday],
             (unsigned)utc.tm_mday % 100, months[utc.tm_mon], (unsigned)(utc.tm_year + 1900) % 10000,
             (unsigned)utc.tm_hour % 100, (unsigned)utc.tm_min % 100, (unsigned)utc.tm_sec % 100);
}

/* The next part of a date is a number of `digits` digits; a day may have a space for the first. */
static bool read_number(const char **at, const char *end, int digits, int *value)
{
    *value = 0;
    if (end - *at < digits)
        return false;
    for (int i = 0; i < digits; ++i, ++*at) {
        char c = **at;
        if (c == ' ' && i == 0)
            continue;
        if (c < '0' || c > '9')
            return false;
        *value = *value * 10 + (c - '0');
    }
    return true;
}

static bool read_month(const char **at, const char *end, int *month)
{
    for (*month = 0; *month < 12; ++*month) {
        if (end - *at >= 3 && memcmp(*at, months[*month], 3) == 0) {
            *at += 3;
            return true;
        }
    }
    return false;
}

static bool skip_letters(const char **at, const char *end)
{
    const char *start = *at;
    while (*at < end && ((**at >= 'A' && **at <= 'Z') || (**at >= 'a' && **at <= 'z')))
        ++*at;
    return *at != start;
}

/* Two digits mean the century that is nearest: a year more than 50 ahead is in the past. */
static int full_year(int year)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    int this_year = utc.tm_year + 1900, guess = this_year / 100 * 100 + year;
    return guess > this_year + 50 ? guess - 100 : guess;
}

/* pattern: %w a weekday, whatever it says; %d %M %Y %h %m %s; %y a year of two digits; all else stands for itself. */
static bool read_pattern(const char *at, const char *end, const char *pattern, struct tm *utc)
{
    bool good = true;
    for (; good && *pattern != '\0'; ++pattern) {
        if (*pattern != '%') {
            good = at < end && *at++ == *pattern;
            continue;
        }
        switch (*++pattern) {
        case 'w':
            good = skip_letters(&at, end);
            break;
        case 'd':
            good = read_number(&at, end, 2, &utc->tm_mday) && utc->tm_mday >= 1 && utc->tm_mday <= 31;
            break;
        case 'M':
            good = read_month(&at, end, &utc->tm_mon);
            break;
        case 'Y':
            good = read_number(&at, end, 4, &utc->tm_year);
            break;
        case 'y':
            good = read_number(&at, end, 2, &utc->tm_year);
            utc->tm_year = full_year(utc->tm_year);
            break;
        case 'h':
            good = read_number(&at, end, 2, &utc->tm_hour) && utc->tm_hour <= 23;
            break;
        case 'm':
            good = read_number(&at, end, 2, &utc->tm_min) && utc->tm_min <= 59;
            break;
        default: /* 's' */
            good = read_number(&at, end, 2, &utc->tm_sec) && utc->tm_sec <= 60;
        }
    }
    return good && at == end;
}

bool fa_http_date_read(fa_text text, int64_t *seconds)
{
    static const char *const patterns[] = {"%w, %d %M %Y %h:%m:%s GMT", "%w, %d-%M-%y %h:%m:%s GMT",
                                           "%w %M %d %h:%m:%s %Y"};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); ++i) {
        struct tm utc = {0};
        if (read_pattern(text.data, text.data + text.length, patterns[i], &utc)) {
            utc.tm_year -= 1900;
            *seconds = (int64_t)timegm(&utc);
            return true;
        }
    }
    return false;
}
