#include "words.h"

#include <stdlib.h>
#include <string.h>

static bool is_apostrophe(const char *text, size_t length, size_t at)
{
    return text[at] == '\'' || (at + 2 < length && memcmp(text + at, "\xe2\x80\x99", 3) == 0);
}

/* How many bytes here are no part of a word: ASCII but letters and digits; above it the blocks that are punctuation,
 * symbols and emoji, roughly. 0: a letter. */
static size_t separator(const char *text, size_t length, size_t at)
{
    unsigned char c = (unsigned char)text[at], next = at + 1 < length ? (unsigned char)text[at + 1] : 0;
    size_t size = 0;
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? 0 : 1;
    if (c == 0xc2)
        size = 2;
    else if (c == 0xe2 || (c == 0xe3 && next == 0x80) || (c == 0xef && next == 0xb8))
        size = 3;
    else if (c == 0xf0 && next == 0x9f)
        size = 4;
    return size < length - at ? size : length - at;
}

/* A word in a sentence of some other script, or a long run of anything, is cut where a character ends. */
static size_t whole_characters(const char *word, size_t length)
{
    while (length > 0 && ((unsigned char)word[length - 1] & 0xc0) == 0x80)
        length--;
    return length > 0 && (unsigned char)word[length - 1] >= 0xc0 ? length - 1 : length;
}

static size_t skip_letters(const char *text, size_t length, size_t at)
{
    while (at < length && separator(text, length, at) == 0)
        at++;
    return at;
}

bool word_next(const char *text, size_t length, size_t *at, char word[WORD_MAX], bool *joined)
{
    size_t start = *at, between;
    while (start < length && (between = separator(text, length, start)) > 0)
        start += between;
    *joined = *at > 0 && start == *at + 1 && text[*at] == '-';
    size_t end = skip_letters(text, length, start);
    *at = end;
    if (start >= length)
        return false;

    size_t size = end - start;
    if (size > WORD_MAX - 1)
        size = whole_characters(text + start, WORD_MAX - 1);
    for (size_t i = 0; i < size; ++i)
        word[i] =
            (char)(text[start + i] >= 'A' && text[start + i] <= 'Z' ? text[start + i] + ('a' - 'A') : text[start + i]);
    word[size] = '\0';
    /* what's, don't: what follows the apostrophe says nothing */
    if (end < length && is_apostrophe(text, length, end))
        *at = skip_letters(text, length, end + separator(text, length, end));
    return true;
}

size_t word_fold(const char *text, size_t length, char *to, size_t room)
{
    char word[WORD_MAX];
    bool joined;
    size_t at = 0, used = 0;
    while (word_next(text, length, &at, word, &joined)) {
        size_t size = strlen(word);
        if (used + size + 2 > room)
            break;
        if (used > 0)
            to[used++] = ' ';
        memcpy(to + used, word, size);
        used += size;
    }
    to[used] = '\0';
    return used;
}

size_t word_aliases(const char *text, size_t length, char *to, size_t room)
{
    char word[WORD_MAX], before[WORD_MAX] = "";
    bool joined;
    size_t at = 0, used = 0;
    while (word_next(text, length, &at, word, &joined)) {
        size_t size = strlen(word), before_size = strlen(before);
        if (before_size > 0 && (joined || word_is_tail(word)) && used + before_size + size + 2 <= room) {
            if (used > 0)
                to[used++] = ' ';
            memcpy(to + used, before, before_size);
            memcpy(to + used + before_size, word, size);
            used += before_size + size;
        }
        memcpy(before, word, size + 1);
    }
    to[used] = '\0';
    return used;
}

/* ---- lists, sorted ----------------------------------------------------------------------------------------------- */
static const char *const stop_words[] = {
    "a",          "about",  "after",    "all",    "am",    "an",    "and",     "any",     "are",       "as",
    "at",         "be",     "before",   "best",   "but",   "by",    "can",     "correct", "correctly", "could",
    "describe",   "did",    "do",       "does",   "doing", "don",   "explain", "find",    "for",       "from",
    "get",        "give",   "go",       "good",   "had",   "has",   "have",    "hello",   "help",      "hey",
    "hi",         "how",    "i",        "if",     "in",    "into",  "is",      "it",      "its",       "know",
    "let",        "like",   "make",     "many",   "may",   "me",    "might",   "more",    "most",      "much",
    "must",       "my",     "need",     "no",     "not",   "of",    "on",      "or",      "our",       "perform",
    "performing", "please", "properly", "proper", "right", "s",     "say",     "shall",   "she",       "should",
    "show",       "so",     "some",     "t",      "teach", "tell",  "than",    "thank",   "thanks",    "that",
    "the",        "their",  "them",     "then",   "there", "these", "they",    "thing",   "things",    "this",
    "those",      "to",     "try",      "us",     "use",   "using", "want",    "was",     "way",       "we",
    "were",       "what",   "when",     "where",  "which", "who",   "whom",    "why",     "will",      "with",
    "without",    "would",  "you",      "your"};
static const char *const weak_words[] = {"exercise",     "exercises", "exercising", "form",       "instruction",
                                         "instructions", "movement",  "muscle",     "muscles",    "routine",
                                         "step",         "steps",     "technique",  "techniques", "train",
                                         "training",     "work",      "workout",    "workouts"};
static const char *const tail_words[] = {"back", "down",  "downs",   "off", "out", "outs",
                                         "over", "overs", "through", "up",  "ups"};
static const char *const synonyms[][2] = {
    {"abs", "abdominals"},   {"belly", "abdominals"},   {"bodyweight", "body only"}, {"bum", "glutes"},
    {"butt", "glutes"},      {"core", "abdominals"},    {"delts", "shoulders"},      {"hams", "hamstrings"},
    {"leg", "quadriceps"},   {"legs", "quadriceps"},    {"obliques", "abdominals"},  {"pecs", "chest"},
    {"quads", "quadriceps"}, {"stomach", "abdominals"}, {"thighs", "quadriceps"}};
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Short lists, looked at a few times a question. */
static bool listed(const char *const *list, size_t count, const char *word)
{
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(list[i], word) == 0)
            return true;
    }
    return false;
}

bool word_is_stop(const char *word)
{
    return listed(stop_words, LENGTH(stop_words), word);
}

bool word_is_weak(const char *word)
{
    return listed(weak_words, LENGTH(weak_words), word);
}

bool word_is_tail(const char *word)
{
    return listed(tail_words, LENGTH(tail_words), word);
}

const char *word_synonym(const char *word)
{
    for (size_t i = 0; i < LENGTH(synonyms); ++i) {
        if (strcmp(synonyms[i][0], word) == 0)
            return synonyms[i][1];
    }
    return NULL;
}

/* ---- typing errors ----------------------------------------------------------------------------------------------- */
bool vocabulary_add(vocabulary *words, const char *word, size_t length, unsigned count)
{
    if (length == 0 || length >= WORD_MAX)
        return true;
    if (words->length + length + 3 > words->capacity) {
        size_t capacity = words->capacity == 0 ? 16 * 1024 : words->capacity * 2;
        char *grown = words->grow(words->context, words->text, words->length, capacity);
        if (grown == NULL)
            return false;
        words->text = grown;
        words->capacity = capacity;
    }
    char *to = words->text + words->length;
    uint16_t capped = count > 65535 ? 65535 : (uint16_t)count;
    memcpy(to, &capped, 2);
    memcpy(to + 2, word, length);
    to[2 + length] = '\0';
    words->length += length + 3;
    return true;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, given up above `limit` (then limit + 1). Both shorter than WORD_MAX. */
static int distance(const char *a, int a_length, const char *b, int b_length, int limit)
{
    int rows[3][WORD_MAX + 1];
    int *older = rows[0], *old = rows[1], *row = rows[2];
    if (abs(a_length - b_length) > limit)
        return limit + 1;
    for (int j = 0; j <= b_length; ++j)
        old[j] = j;
    for (int i = 1; i <= a_length; ++i) {
        int best = row[0] = i;
        for (int j = 1; j <= b_length; ++j) {
            int cost = least(least(old[j], row[j - 1]) + 1, old[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost = least(cost, older[j - 2] + 1);
            row[j] = cost;
            best = least(best, cost);
        }
        if (best > limit)
            return limit + 1;
        int *free_row = older;
        older = old;
        old = row;
        row = free_row;
    }
    return old[b_length];
}

/* The vocabulary holds stems. */
static int unsuffixed(const char *word, int length)
{
    static const char *const suffixes[] = {"ing", "es", "ed", "s"};
    for (size_t i = 0; i < LENGTH(suffixes); ++i) {
        int size = (int)strlen(suffixes[i]);
        if (length - size >= 4 && memcmp(word + length - size, suffixes[i], (size_t)size) == 0)
            return length - size;
    }
    return length;
}

const char *vocabulary_closest(const vocabulary *words, const char *word)
{
    int length = (int)strlen(word), stem = unsuffixed(word, length);
    int limit = length < 4 ? 0 : length < 7 ? 1 : 2;
    const char *found = NULL;
    int found_score = 0;
    for (size_t at = 0; limit > 0 && at < words->length;) {
        uint16_t count;
        memcpy(&count, words->text + at, 2);
        const char *candidate = words->text + at + 2;
        int size = (int)strlen(candidate);
        at += (size_t)size + 3;
        if (size < 3)
            continue;
        int apart = distance(word, length, candidate, size, limit);
        if (stem != length)
            apart = least(apart, distance(word, stem, candidate, size, limit));
        if (apart > limit)
            continue;
        /* fewer errors first, then the same first letter, then the commoner word */
        int score = (3 - apart) * 1000000 + (candidate[0] == word[0] ? 100000 : 0) + count;
        if (score > found_score) {
            found = candidate;
            found_score = score;
        }
    }
    return found;
}
