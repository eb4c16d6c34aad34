/* From "How do I do a plank?" to an FTS5 expression.
 *
 * Nothing of the question reaches FTS5 but words of letters and digits, each quoted: there is no syntax to inject. A
 * word that no record knows is taken as the beginning of one, or else as a typing error, or else left out; so every
 * word of the expression finds something, and "all words" means all words that mean something here. */
#include <stdio.h>
#include <string.h>

#include "records.h"

typedef struct builder {
    records *r;
    query *made;
    size_t match_length;
    int phrases, groups;
} builder;

static bool known(records *r, const char *expression)
{
    sqlite3_stmt *ask = records_statement(r, HAS_WORD);
    sqlite3_bind_text(ask, 1, expression, -1, SQLITE_STATIC);
    bool found = sqlite3_step(ask) == SQLITE_ROW;
    sqlite3_reset(ask);
    return found;
}

/* Adds a phrase to the current group when some record has it. */
static bool add_if_known(builder *b, const char *words, const char *star)
{
    char phrase[2 * WORD_MAX + 8];
    int length = snprintf(phrase, sizeof(phrase), "\"%s\"%s", words, star);
    const char *between = b->phrases == 0 ? "" : " OR ";
    if (b->phrases >= QUERY_PHRASES || b->match_length + (size_t)length + 8 > sizeof(b->made->match) ||
        !known(b->r, phrase))
        return false;
    b->match_length += (size_t)snprintf(b->made->match + b->match_length, sizeof(b->made->match) - b->match_length,
                                        "%s%s", between, phrase);
    b->made->groups[b->phrases++] = (char)('a' + b->groups);
    return true;
}

/* ---- the vocabulary, read when the first unknown word comes and again after changes ------------------------------ */
static void *grow_vocabulary(void *context, void *old, size_t old_size, size_t size)
{
    records *r = context;
    void *grown = r->api->allocate(r->host, size);
    if (grown != NULL && old != NULL) {
        memcpy(grown, old, old_size);
        r->api->release(r->host, old);
    }
    return grown;
}

static void refresh_vocabulary(records *r)
{
    int64_t version =
        records_number(records_statement(r, DATA_VERSION)) * 1000000 + sqlite3_total_changes(r->db) % 1000000;
    if (r->words.length > 0 && r->words_version == version)
        return;
    r->words.grow = grow_vocabulary;
    r->words.context = r;
    r->words.length = 0;
    r->words_version = version;
    sqlite3_stmt *each = records_statement(r, ALL_WORDS);
    while (sqlite3_step(each) == SQLITE_ROW) {
        const char *word = (const char *)sqlite3_column_text(each, 0);
        size_t length = (size_t)sqlite3_column_bytes(each, 0);
        if (word != NULL && !vocabulary_add(&r->words, word, length, (unsigned)sqlite3_column_int(each, 1)))
            break; /* over budget: what was read so far must do */
    }
    sqlite3_reset(each);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */
static void add_word(builder *b, const char *word)
{
    int before = b->phrases;
    const char *synonym = word_synonym(word);
    add_if_known(b, word, "");
    if (synonym != NULL)
        add_if_known(b, synonym, "");
    if (b->phrases == before && strlen(word) >= 3)
        add_if_known(b, word, " *");
    if (b->phrases == before) {
        refresh_vocabulary(b->r);
        const char *meant = vocabulary_closest(&b->r->words, word);
        if (meant != NULL)
            add_if_known(b, meant, " *"); /* a stem: the stemmer may shorten it once more */
    }
    b->groups += b->phrases > before;
}

/* "push up" and "push-up" are "pushup" where the records know that word. */
static bool add_pair(builder *b, const char *first, const char *second)
{
    char together[2 * WORD_MAX], apart[2 * WORD_MAX];
    int before = b->phrases;
    snprintf(together, sizeof(together), "%s%s", first, second);
    snprintf(apart, sizeof(apart), "%s %s", first, second);
    if (!add_if_known(b, together, ""))
        return false;
    add_if_known(b, apart, "");
    b->groups += b->phrases > before;
    return true;
}

typedef struct asked_word {
    char text[WORD_MAX];
    bool joined; /* to the one before, or the kind of word that may be */
} asked_word;

/* The words of the question that count: no stop words, no weak words when there are others, none twice. */
static int collect(const char *text, size_t length, bool weak, asked_word words[QUERY_WORDS])
{
    int count = 0;
    size_t at = 0;
    bool joined, adjacent = false;
    char word[WORD_MAX];
    while (count < QUERY_WORDS && word_next(text, length, &at, word, &joined)) {
        bool dropped = word[0] == '\0' || word_is_stop(word) || (!weak && word_is_weak(word));
        bool joinable = adjacent && (joined || word_is_tail(word));
        for (int i = 0; i < count && !dropped && !joinable; ++i)
            dropped = strcmp(words[i].text, word) == 0;
        if (!dropped) {
            memcpy(words[count].text, word, sizeof(word));
            words[count++].joined = joinable;
        }
        adjacent = !dropped;
    }
    return count;
}

void query_make(records *r, const char *text, size_t length, query *made)
{
    builder b = {.r = r, .made = made};
    asked_word words[QUERY_WORDS];
    if (length > QUERY_TEXT)
        length = QUERY_TEXT;
    made->match[0] = made->groups[0] = '\0';
    made->blank = true;
    for (size_t i = 0; i < length && made->blank; ++i)
        made->blank = text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r');
    made->folded[0] = ' ';
    size_t folded = 1 + word_fold(text, length, made->folded + 1, sizeof(made->folded) - 2);
    made->folded[folded] = ' ';
    made->folded[folded + 1] = '\0';

    int count = collect(text, length, false, words);
    if (count == 0)
        count = collect(text, length, true, words);
    for (int i = 0; i < count; ++i) {
        if (i + 1 < count && words[i + 1].joined && add_pair(&b, words[i].text, words[i + 1].text))
            i++;
        else
            add_word(&b, words[i].text);
    }
    made->groups[b.phrases] = '\0';
}
