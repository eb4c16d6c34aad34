/* Frames of MP3 and AAC: what sound in frames is made of. Pure. Thread: any. */
#ifndef FA_AUDIO_FRAMES_H
#define FA_AUDIO_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FA_FRAME_HEAD = 7 }; /* bytes that are enough to know a frame by */

/* How long a frame is, and what it holds. */
typedef struct fa_sound_frame {
    size_t length; /* bytes, with its head */
    unsigned samples, rate, channels;
} fa_sound_frame;

/* The frame that begins at p, as its head says; `length` bytes are there. False: none does, or the head is not whole. */
bool fa_mp3_frame(const uint8_t *p, size_t length, fa_sound_frame *frame); /* layer III */
bool fa_aac_frame(const uint8_t *p, size_t length, fa_sound_frame *frame); /* ADTS */

/* How long the tag is that may stand before an MP3, as it says: perhaps more than is there. 0: there is none, or its head is not whole. */
size_t fa_id3_length(const uint8_t *p, size_t length);

#endif
