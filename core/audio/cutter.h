/* Cuts encoded sound that is still coming into pieces each of which plays by itself.
 *
 * MP3 and AAC are cut between frames: the pieces in a row are the bytes as they came, and each decodes on its own, but that a decoder
 * that begins with a piece lacks the frame before it: whoever decodes piece by piece and wants no seam begins with the piece before.
 * WAV, and samples without a header, are cut between samples, and each piece gets a header. What has no place to be cut (FLAC, Opus in
 * Ogg, WAV of other codings) is one piece, at the end. What stands behind the last frame or sample (tags, a frame that was cut off) is left out.
 *
 * It is known what comes by the bytes alone, but for samples without a header. Nothing is kept and nothing is copied here: the caller
 * has the bytes that came and were not taken yet, in one block. Pure. Thread: any.
 */
#ifndef FA_AUDIO_CUTTER_H
#define FA_AUDIO_CUTTER_H

#include "audio/frames.h"
#include "audio/probe.h"

enum { FA_PIECE_HEAD = 68 };

typedef enum fa_cutter_state { FA_CUTTER_BEGINS, FA_CUTTER_FRAMES, FA_CUTTER_SAMPLES, FA_CUTTER_WHOLE } fa_cutter_state;

typedef struct fa_cutter {
    double piece_ms;
    unsigned pcm_rate;
    fa_cutter_state state;
    bool (*read)(const uint8_t *p, size_t length, fa_sound_frame *frame);
    unsigned rate, channels;
    bool given; /* a piece */
    /* frames */
    size_t at;     /* looked at, of what waits */
    unsigned seen; /* frames in all */
    double samples;
    size_t cut; /* where the next piece ends if another frame follows; 0: not known yet */
    double cut_samples;
    /* samples */
    size_t start;        /* the header, which waits with the first of them */
    unsigned frame_size; /* bytes of one sample of all channels */
    uint64_t left;       /* of the data as declared, UINT64_MAX: nobody knows */
    uint8_t head[FA_PIECE_HEAD];
    size_t head_length;
} fa_cutter;

typedef struct fa_sound_piece {
    uint8_t head[FA_PIECE_HEAD]; /* what stands before the bytes */
    size_t head_length;
    size_t skip, length; /* of the bytes that wait: so many go, then so many are the piece */
    bool last;
    fa_sound sound;
} fa_sound_piece;

typedef enum fa_cut {
    FA_CUT_PIECE,
    FA_CUT_MORE,   /* more bytes are needed */
    FA_CUT_END,    /* all has been given */
    FA_CUT_GARBAGE /* it is no sound, or does not go on as one */
} fa_cut;

/* piece_ms: how long a piece is at least; the last one may be shorter. 0: all is one piece. pcm_rate: samples a second of bytes without a
 * header, 16 bit, mono, little endian; 0: the bytes say what they are. */
void fa_cutter_init(fa_cutter *cutter, double piece_ms, unsigned pcm_rate);

/* The next piece of the `length` bytes that wait. After a piece the caller drops its `skip` and `length` bytes. Another piece follows each
 * that is not the last. over: no more bytes come; then it gives what is there, also after FA_CUT_GARBAGE, as the last piece. */
fa_cut fa_cutter_next(fa_cutter *cutter, const uint8_t *bytes, size_t length, bool over, fa_sound_piece *piece);

#endif
