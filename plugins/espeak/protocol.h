/* What espeak.so and its speaker process say to each other.
 *
 * Control: a socket pair, the speaker's end is its standard input. One message a call: a speaker_request, with the
 * write end of a pipe attached (SCM_RIGHTS), then the voice's name and the text. The speaker never answers there.
 * Answer: frames through that pipe, the last one SPEAKER_END. An end of file before it means that the speaking process
 * died. Closing the read end is how a call is given up: the next write kills the process that speaks. */
#ifndef ESPEAK_PROTOCOL_H
#define ESPEAK_PROTOCOL_H

#include <stdint.h>

enum {
    SPEAKER_VOICE_MAX = 64,         /* libespeak-ng cuts names at 40 to 80 bytes, depending on where */
    SPEAKER_TEXT_MAX = 256 * 1024,  /* a quarter of an hour needs 15 KB */
    SPEAKER_FRAME_MAX = 1024 * 1024 /* what a sane speaker stays under; frames are a few KB */
};

typedef enum speaker_kind {
    /* requests */
    SPEAKER_SAY = 1,
    SPEAKER_LIST,
    /* frames */
    SPEAKER_VOICE,         /* a speaker_voice, before the first audio */
    SPEAKER_AUDIO,         /* 16-bit mono samples, host byte order */
    SPEAKER_TEXT,          /* a piece of the voice list (JSON) */
    SPEAKER_UNKNOWN_VOICE, /* empty; instead of all others but SPEAKER_END */
    SPEAKER_END            /* empty: all was said */
} speaker_kind;

typedef struct speaker_request {
    uint32_t kind;
    int32_t rate, pitch;
    uint32_t voice_length, text_length; /* each is followed by a NUL that is not counted */
} speaker_request;

typedef struct speaker_frame {
    uint32_t kind, length;
} speaker_frame;

typedef struct speaker_voice {
    uint32_t sample_rate;
    char id[124]; /* the voice really used, as voices{} lists it */
} speaker_voice;

#endif
