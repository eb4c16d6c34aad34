/* What encoded sound is: its format and how long it lasts, read from its headers and frames; nothing is decoded. Pure. Thread: any. */
#ifndef FA_AUDIO_PROBE_H
#define FA_AUDIO_PROBE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fa_sound {
    const char *format, *mime; /* constants: "mp3", "audio/mpeg" */
    unsigned sample_rate, channels;
    double samples; /* of each channel; 0 when the bytes do not say */
    double duration_ms;
} fa_sound;

/* WAV, MP3, AAC (ADTS), FLAC, and Opus in Ogg. False: the bytes are none of these, or too few to tell. A sound that was cut off is one:
 * it lasts as long as what is there; a WAV whose header claims more than that (streams do not know their length) too. */
bool fa_sound_probe(const void *data, size_t length, fa_sound *sound);

#endif
