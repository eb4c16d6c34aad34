/* A plugin that speaks without a voice: every text is answered with the same WAV, of the size that the configuration says, at
 * once. With it a measurement sees what the server does with audio, not what making audio costs, and knows beforehand how many
 * bytes there will be. */
#include <stdlib.h>
#include <string.h>

#include "fitnessally/plugin.h"
#include "wav.h"

enum { RATE = 22050, PERIOD = 50, LOUDNESS = 4000 };

typedef struct tone {
    fa_plugin_host *host;
    const fa_host_api *api;
    uint8_t *wav;
    size_t length;
} tone;

/* A triangle of 441 Hz. */
static int16_t sample_at(size_t i)
{
    const int at = (int)(i % PERIOD), half = PERIOD / 2;
    return (int16_t)((at < half ? at : PERIOD - at) * 2 * LOUDNESS / half - LOUDNESS);
}

static void fill(tone *plugin)
{
    wav_header(plugin->wav, RATE, (uint32_t)(plugin->length - WAV_HEADER));
    for (size_t at = WAV_HEADER, i = 0; at < plugin->length; at += 2, ++i) {
        const uint16_t sample = (uint16_t)sample_at(i);
        plugin->wav[at] = (uint8_t)sample;
        plugin->wav[at + 1] = (uint8_t)(sample >> 8);
    }
}

static fa_result open_tone(fa_plugin_host *host, const fa_host_api *api, void **state, fa_error *error)
{
    const char *bytes = api->config(host, "bytes");
    size_t wished = bytes != NULL ? strtoull(bytes, NULL, 10) : 0;
    (void)error; /* the manifest has checked the size */
    tone *plugin = api->allocate(host, sizeof(*plugin));
    if (plugin == NULL)
        return FA_NO_MEMORY;
    *plugin = (tone){.host = host, .api = api, .length = wished & ~(size_t)1};
    plugin->wav = api->allocate(host, plugin->length);
    if (plugin->wav == NULL) {
        api->release(host, plugin);
        return FA_NO_MEMORY;
    }
    fill(plugin);
    *state = plugin;
    return FA_OK;
}

static void close_tone(void *state)
{
    tone *plugin = state;
    plugin->api->release(plugin->host, plugin->wav);
    plugin->api->release(plugin->host, plugin);
}

static fa_result synthesize(void *state, fa_call *call)
{
    const tone *plugin = state;
    const fa_host_api *api = plugin->api;
    const size_t samples = (plugin->length - WAV_HEADER) / 2;
    fa_buffer *audio;
    if (api->argument_text(call, "text", NULL) == NULL)
        return api->fail(call, "invalid", "text is missing");
    fa_result result = api->result_buffer(call, "audio", plugin->length, &audio);
    if (result == FA_OK)
        result = api->buffer_append(audio, plugin->wav, plugin->length);
    if (result == FA_OK)
        result = api->result_text(call, "mime", "audio/wav", 9);
    if (result == FA_OK)
        result = api->result_text(call, "voice", "tone", 4);
    if (result == FA_OK)
        result = api->result_number(call, "sample_rate", RATE);
    if (result == FA_OK)
        result = api->result_number(call, "samples", (double)samples);
    return result == FA_OK ? api->result_number(call, "duration_ms", (double)samples * 1000 / RATE) : result;
}

static const fa_plugin_function functions[] = {{"synthesize", synthesize}};

FA_PLUGIN_EXPORT fa_plugin_entry = {.magic = FA_PLUGIN_MAGIC,
                                    .abi = FA_PLUGIN_ABI,
                                    .size = sizeof(fa_plugin),
                                    .name = "tone",
                                    .version = "1.0.0",
                                    .open = open_tone,
                                    .close = close_tone,
                                    .functions = functions,
                                    .function_count = sizeof(functions) / sizeof(functions[0])};
