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

static bool month_number(const char *name, int *number)
{
    for (int i = 0; i < 12; ++i) {
        if (strcmp(name, months[i]) == 0) {
            *number = i;
            return true;
        }
    }
    return false;
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

bool fa_http_date_read(fa_text text, int64_t *seconds)
{
    char copy[40], month[4];
    int end = 0, day, year, hour, minute, second;
    struct tm utc = {0};
    if (text.length == 0 || text.length >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    if (sscanf(copy, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour, &minute, &second,
               &end) == 6 &&
        end != 0)
        ;
    else if (sscanf(copy, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &day, month, &year, &hour, &minute,
                    &second, &end) == 6 &&
             end != 0)
        year = full_year(year);
    else if (sscanf(copy, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &day, &hour, &minute, &second, &year,
                    &end) != 6 ||
             end == 0)
        return false;
    if ((size_t)end != text.length || !month_number(month, &utc.tm_mon) || day < 1 || day > 31 || year < 0 ||
        hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    utc.tm_mday = day;
    utc.tm_year = year - 1900;
    utc.tm_hour = hour;
    utc.tm_min = minute;
    utc.tm_sec = second;
    *seconds = (int64_t)timegm(&utc);
    return true;
}

/* ---- conditions ---- */

/* Whether the list of If-None-Match names `etag`. The comparison is the weak one: "W/" does not count. */
static bool lists_etag(fa_text list, const char *etag)
{
    size_t etag_length = strlen(etag), at = 0;
    while (at < list.length) {
        char c = list.data[at];
        if (c == ' ' || c == '\t' || c == ',') {
            ++at;
            continue;
        }
        if (c == '*')
            return true;
        if (c == 'W' && at + 1 < list.length && list.data[at + 1] == '/')
            at += 2;
        if (at >= list.length || list.data[at] != '"')
            return false; /* not a list of tags: no condition that we understand */
        const char *start = list.data + at, *close = memchr(start + 1, '"', list.length - at - 1);
        if (close == NULL)
            return false;
        size_t length = (size_t)(close - start) + 1;
        if (length == etag_length && memcmp(start, etag, length) == 0)
            return true;
        at += length;
    }
    return false;
}

bool fa_not_modified(const fa_exchange *exchange, const char *etag, int64_t seconds)
{
    int64_t since;
    fa_text tags = fa_exchange_header(exchange, "if-none-match");
    if (tags.length != 0)
        return lists_etag(tags, etag);
    return fa_http_date_read(fa_exchange_header(exchange, "if-modified-since"), &since) && seconds <= since;
}
