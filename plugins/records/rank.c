/* closeness(search, groups): how well a hit answers, as an SQL function beside bm25().
 *
 * bm25 knows how rare words are, not whether all of them are there, nor that a record *called* "Plank" is about planks.
 * groups names for each phrase of the expression the word of the question that it stands for ("aab": two spellings of
 * the first word, one of the second).
 *
 *     2000 - n        all words are in the name, which has n words
 *     1000 + k        all words are somewhere in the record, k of them in the name or the main facts
 *     16 * words + k  some are */
#include <string.h>

#include "records.h"

enum { NAME_COLUMNS = 2, MAIN_COLUMNS = 3 }; /* name and alias come first, then main */

static int bits(uint32_t set)
{
    return __builtin_popcount(set);
}

static void closeness(const Fts5ExtensionApi *fts, Fts5Context *hit, sqlite3_context *context, int count,
                      sqlite3_value **values)
{
    uint32_t named = 0, mainly = 0, anywhere = 0, asked = 0;
    int places = 0, name_words = 0;
    const char *groups = count == 1 ? (const char *)sqlite3_value_text(values[0]) : NULL;
    size_t phrases = groups != NULL ? strlen(groups) : 0;
    for (size_t i = 0; i < phrases; ++i)
        asked |= 1u << ((groups[i] - 'a') & 31);

    int code = fts->xInstCount(hit, &places);
    for (int i = 0; code == SQLITE_OK && i < places; ++i) {
        int phrase, column, offset;
        code = fts->xInst(hit, i, &phrase, &column, &offset);
        if (code != SQLITE_OK || phrase < 0 || (size_t)phrase >= phrases)
            continue;
        uint32_t bit = 1u << ((groups[phrase] - 'a') & 31);
        anywhere |= bit;
        if (column < MAIN_COLUMNS)
            mainly |= bit;
        if (column < NAME_COLUMNS)
            named |= bit;
    }
    if (code == SQLITE_OK)
        code = fts->xColumnSize(hit, 0, &name_words);
    if (code != SQLITE_OK)
        sqlite3_result_error_code(context, code);
    else if (asked != 0 && bits(named) == bits(asked))
        sqlite3_result_int(context, 2000 - (name_words < 900 ? name_words : 900));
    else
        sqlite3_result_int(context, (bits(anywhere) == bits(asked) ? 1000 : 16 * bits(anywhere)) + bits(mainly));
}

int rank_register(sqlite3 *db)
{
    fts5_api *fts = NULL;
    sqlite3_stmt *ask = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &ask, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_pointer(ask, 1, (void *)&fts, "fts5_api_ptr", NULL);
    if (code == SQLITE_OK)
        sqlite3_step(ask);
    sqlite3_finalize(ask);
    if (code == SQLITE_OK && (fts == NULL || fts->iVersion < 2))
        code = SQLITE_ERROR;
    return code == SQLITE_OK ? fts->xCreateFunction(fts, "closeness", NULL, closeness, NULL) : code;
}
