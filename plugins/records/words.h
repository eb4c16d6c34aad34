/* Words: how text falls apart, which words say nothing, and what somebody may have meant to type. */
#ifndef RECORDS_WORDS_H
#define RECORDS_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORD_MAX = 40 };

/* The next word at or after *at: letters and digits of ASCII (made lower-case) and all bytes above, as FTS5's unicode61
 * would mostly cut it; an apostrophe and what follows it is dropped. Cut at WORD_MAX - 1 bytes. False at the end. *at
 * moves on; *joined: a hyphen and nothing else lies between this word and the one before. */
bool word_next(const char *text, size_t length, size_t *at, char word[WORD_MAX], bool *joined);

/* "Push-Ups (with feet)" -> "push ups with feet". Returns the length; cut to fit. */
size_t word_fold(const char *text, size_t length, char *to, size_t room);

/* "Push-Ups, sit up" -> "pushups situp": how else such names are written. */
size_t word_aliases(const char *text, size_t length, char *to, size_t room);

/* Words like "up" of push-up and sit-up, which also get written as one with the word before. */
bool word_is_tail(const char *word);

/* Words that never help to find anything; and words that do not when there are others ("exercise"). */
bool word_is_stop(const char *word);
bool word_is_weak(const char *word);
/* What the records call it, or NULL: "abs" -> "abdominals". */
const char *word_synonym(const char *word);

/* ---- typing errors ---- */
typedef struct vocabulary {
    char *text; /* NUL-terminated words, each after 2 bytes: in how many records it is (capped at 65535) */
    size_t length, capacity;
    void *(*grow)(void *context, void *old, size_t old_size, size_t size);
    void *context;
} vocabulary;

bool vocabulary_add(vocabulary *words, const char *word, size_t length, unsigned count);
/* The word that differs least (a letter more, less, other, or two swapped; 1 such for 4 to 6 letters, 2 from 7 on), or
 * NULL. */
const char *vocabulary_closest(const vocabulary *words, const char *word);

#endif
