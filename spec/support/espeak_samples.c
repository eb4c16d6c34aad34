/* espeak_samples [-v VOICE] [-r RATE] < TEXT: how many samples libespeak-ng makes of the text, asked directly and once,
 * by a process that never spoke before. The yardstick for everything that claims to speak through libespeak-ng. */
#include <espeak-ng/speak_lib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long samples;

/* NOLINTNEXTLINE(readability-non-const-parameter): the library's type */
static int count(short *wave, int length, espeak_EVENT *events)
{
    (void)events;
    if (wave != NULL)
        samples += length;
    return 0;
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    const char *voice = "en";
    int option, rate = 0;
    while ((option = getopt(argc, argv, "v:r:")) != -1) {
        if (option == 'v')
            voice = optarg;
        else if (option == 'r')
            rate = (int)strtol(optarg, NULL, 10);
        else
            return 2;
    }
    size_t length = fread(text, 1, sizeof(text) - 1, stdin);
    if (espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL, 0) <= 0)
        return 1;
    espeak_SetSynthCallback(count);
    if (espeak_SetVoiceByName(voice) != EE_OK)
        return 1;
    if (rate > 0)
        espeak_SetParameter(espeakRATE, rate, 0);
    if (espeak_Synth(text, length + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, NULL, NULL) != EE_OK)
        return 1;
    printf("%ld\n", samples);
    return 0;
}
