#include "base/nearest.h"

#include <string.h>

enum { LONGEST_NAME = 40 };

/* How many letters must be changed, added or left out (Levenshtein). */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[LONGEST_NAME + 1];
    for (size_t j = 0; j <= b_length; ++j)
        row[j] = j;
    for (size_t i = 1; i <= a_length; ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; ++j) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_length];
}

fa_nearest fa_nearest_to(const char *name)
{
    size_t length = strlen(name);
    return (fa_nearest){.name = name,
                        .length = length,
                        .best = length / 3 + 2}; /* farther than that it would be a guess, not a suggestion */
}

void fa_nearest_offer(fa_nearest *nearest, const char *candidate)
{
    size_t length = strlen(candidate);
    if (nearest->length > LONGEST_NAME || length > LONGEST_NAME)
        return;
    size_t distance = edit_distance(nearest->name, nearest->length, candidate, length);
    if (distance < nearest->best) {
        nearest->best = distance;
        nearest->found = candidate;
    }
}
