/* The plugin's side: starts the speaker process, hands it texts, turns what comes back into a WAV. See protocol.h and,
 * for why there is a process at all, speaker.c. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fitnessally/plugin.h"
#include "protocol.h"
#include "wav.h"

extern const fa_plugin fa_plugin_entry; /* defined at the end, asked where it lies */

enum {
    RATE_MIN = 80, /* what libespeak-ng takes */
    RATE_MAX = 450,
    POLL_MS = 20,        /* how soon a vanished caller is noticed while the speaker is silent */
    STALL_MS = 20000,    /* no byte for that long: the speaker is stuck and is replaced */
    AUDIO_A_BYTE = 2700, /* a byte of English text makes about that much audio; only sizes the first allocation */
    FIRST_AUDIO = 512 * 1024
};

typedef struct espeak {
    fa_plugin_host *host;
    const fa_host_api *api;
    char program[PATH_MAX];
    char voice[SPEAKER_VOICE_MAX + 1];
    double rate, max_audio;
    pid_t speaker; /* 0: none runs */
    int control;
} espeak;

/* One call on its way. */
typedef struct utterance {
    espeak *plugin;
    fa_call *call;
    fa_buffer *buffer;
    const char *wanted_voice;
    int answer;
    bool heard_of, ended, unknown; /* any frame came; SPEAKER_END came; SPEAKER_UNKNOWN_VOICE came */
    speaker_voice voice;
} utterance;

/* ---- the speaker process ----------------------------------------------------------------------------------------- */
static void end_speaker(espeak *plugin)
{
    if (plugin->speaker == 0)
        return;
    close(plugin->control);
    kill(-plugin->speaker, SIGKILL); /* its group: itself and the copy that may be speaking */
    while (waitpid(plugin->speaker, NULL, 0) < 0 && errno == EINTR) {
    }
    plugin->speaker = 0;
}

static int spawn_speaker(espeak *plugin, int control)
{
    char *const arguments[] = {plugin->program, plugin->voice, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, control, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(&plugin->speaker, plugin->program, &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* Returns an errno. Does not wait until the library is ready: that would be the server's start. */
static int start_speaker(espeak *plugin)
{
    int ends[2];
    if (plugin->speaker != 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    int error = spawn_speaker(plugin, ends[1]);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        plugin->speaker = 0;
        return error;
    }
    plugin->control = ends[0];
    return 0;
}

static bool send_request(const espeak *plugin, const speaker_request *request, const char *voice, const char *text,
                         int answer)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec parts[3] = {{(void *)(uintptr_t)request, sizeof(*request)},
                             {(void *)(uintptr_t)voice, request->voice_length + 1},
                             {(void *)(uintptr_t)text, request->text_length + 1}};
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 3, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *attached = CMSG_FIRSTHDR(&message);
    attached->cmsg_level = SOL_SOCKET;
    attached->cmsg_type = SCM_RIGHTS;
    attached->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(attached), &answer, sizeof(answer));

    while (message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(plugin->control, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        if (sent <= 0)
            continue;
        message.msg_control = NULL; /* the pipe went with the first byte */
        message.msg_controllen = 0;
        for (size_t left = (size_t)sent; message.msg_iovlen > 0; ++message.msg_iov, --message.msg_iovlen) {
            if (left < message.msg_iov->iov_len) {
                message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + left;
                message.msg_iov->iov_len -= left;
                break;
            }
            left -= message.msg_iov->iov_len;
        }
    }
    return true;
}

/* Gives the request to the speaker, a new one when the last one died. *answer: the end to read frames from. */
static fa_result ask_speaker(espeak *plugin, fa_call *call, const speaker_request *request, const char *voice,
                             const char *text, int *answer)
{
    for (int attempt = 0; attempt < 2; ++attempt) {
        int ends[2];
        int error = start_speaker(plugin);
        if (error != 0)
            return plugin->api->fail(call, "unavailable", "cannot start %s: %s", plugin->program, strerror(error));
        if (pipe2(ends, O_CLOEXEC) != 0)
            return plugin->api->fail(call, "unavailable", "no pipe: %s", strerror(errno));
        bool sent = send_request(plugin, request, voice, text, ends[1]);
        close(ends[1]);
        if (sent) {
            *answer = ends[0];
            return FA_OK;
        }
        close(ends[0]);
        end_speaker(plugin);
    }
    return plugin->api->fail(call, "unavailable", "the speaker process ends at once; is espeak-ng-data installed?");
}

/* ---- reading the answer ------------------------------------------------------------------------------------------ */
/* Reads exactly `length` bytes. FA_IO: the pipe ended; FA_CANCELLED: the caller did; FA_TIMED_OUT: nothing came for
 * long. */
static fa_result read_answer(utterance *u, void *to, size_t length)
{
    const fa_host_api *api = u->plugin->api;
    char *at = to;
    int silent_ms = 0;
    while (length > 0) {
        struct pollfd ready = {.fd = u->answer, .events = POLLIN};
        if (api->cancelled(u->call))
            return FA_CANCELLED;
        if (poll(&ready, 1, POLL_MS) == 0) {
            if ((silent_ms += POLL_MS) >= STALL_MS)
                return FA_TIMED_OUT;
            continue;
        }
        ssize_t got = read(u->answer, at, length);
        if (got == 0 || (got < 0 && errno != EINTR))
            return FA_IO;
        if (got > 0) {
            silent_ms = 0;
            at += got;
            length -= (size_t)got;
        }
    }
    return FA_OK;
}

static fa_result read_payload(utterance *u, size_t length)
{
    const fa_host_api *api = u->plugin->api;
    void *space;
    if ((double)api->buffer_length(u->buffer) + (double)length > u->plugin->max_audio)
        return api->fail(u->call, "too_long", "the result is longer than max_audio (%.0f bytes)", u->plugin->max_audio);
    fa_result result = api->buffer_reserve(u->buffer, length, &space);
    if (result == FA_OK)
        result = read_answer(u, space, length);
    if (result == FA_OK)
        api->buffer_commit(u->buffer, length);
    return result;
}

static fa_result read_frame(utterance *u)
{
    speaker_frame head;
    fa_result result = read_answer(u, &head, sizeof(head));
    if (result != FA_OK)
        return result;
    u->heard_of = true;
    if (head.length > SPEAKER_FRAME_MAX)
        return FA_IO;
    switch (head.kind) {
    case SPEAKER_VOICE:
        return head.length == sizeof(u->voice) ? read_answer(u, &u->voice, sizeof(u->voice)) : FA_IO;
    case SPEAKER_AUDIO:
    case SPEAKER_TEXT:
        return read_payload(u, head.length);
    case SPEAKER_UNKNOWN_VOICE:
        u->unknown = true;
        return FA_OK;
    case SPEAKER_END:
        u->ended = true;
        return FA_OK;
    default:
        return FA_IO;
    }
}

/* Sends the request and collects the whole answer into u->buffer. */
static fa_result converse(utterance *u, const speaker_request *request, const char *voice, const char *text)
{
    const fa_host_api *api = u->plugin->api;
    fa_result result = FA_IO;
    for (int attempt = 0; attempt < 2 && result == FA_IO && !u->heard_of; ++attempt) {
        result = ask_speaker(u->plugin, u->call, request, voice, text, &u->answer);
        if (result != FA_OK)
            return result;
        while (result == FA_OK && !u->ended)
            result = read_frame(u);
        close(u->answer);
        if (result == FA_TIMED_OUT || (result == FA_IO && !u->heard_of))
            end_speaker(u->plugin); /* it hangs, or it died with the request unread */
    }
    if (result == FA_TIMED_OUT)
        return api->fail(u->call, "unavailable", "the speaker process was silent for %d s", STALL_MS / 1000);
    if (result == FA_IO && !u->heard_of)
        return api->fail(u->call, "unavailable", "the speaker process ends at once; is espeak-ng-data installed?");
    if (result == FA_IO)
        return api->fail(u->call, "failed", "libespeak-ng died of this text");
    if (result == FA_OK && u->unknown)
        return api->fail(u->call, "unknown_voice", "there is no voice \"%s\"", u->wanted_voice);
    return result;
}

/* ---- synthesize -------------------------------------------------------------------------------------------------- */
/* A number argument, `standard` when absent. False when it is not a finite number within the limits. */
static bool number_argument(const espeak *plugin, fa_call *call, const char *key, double standard, double least,
                            double most, double *value)
{
    *value = standard;
    return !plugin->api->argument_number(call, key, value) || (isfinite(*value) && *value >= least && *value <= most);
}

/* A name may go on to become a path below espeak-ng-data: nothing that leaves it. */
static bool plausible_voice(const char *voice, size_t length)
{
    return length > 0 && length <= SPEAKER_VOICE_MAX && memchr(voice, '\0', length) == NULL && voice[0] != '/' &&
           memmem(voice, length, "..", 2) == NULL;
}

static fa_result read_arguments(espeak *plugin, fa_call *call, speaker_request *request, const char **voice,
                                const char **text)
{
    const fa_host_api *api = plugin->api;
    size_t text_length = 0, voice_length = 0;
    double rate, pitch, speed;
    *text = api->argument_text(call, "text", &text_length);
    if (*text == NULL || text_length == 0)
        return api->fail(call, "invalid", "text is missing");
    if (text_length > SPEAKER_TEXT_MAX)
        return api->fail(call, "too_long", "text is longer than %d bytes", SPEAKER_TEXT_MAX);
    if (memchr(*text, '\0', text_length) != NULL)
        return api->fail(call, "invalid", "text contains a NUL");

    *voice = api->argument_text(call, "voice", &voice_length);
    if (*voice == NULL || voice_length == 0) {
        *voice = plugin->voice;
        voice_length = strlen(plugin->voice);
    }
    if (!plausible_voice(*voice, voice_length))
        return api->fail(call, "unknown_voice", "there is no such voice");
    if (!number_argument(plugin, call, "rate", plugin->rate, 1, 10000, &rate))
        return api->fail(call, "invalid", "rate is a number of words a minute (%d to %d)", RATE_MIN, RATE_MAX);
    if (!number_argument(plugin, call, "speed", 1, 0.01, 100, &speed))
        return api->fail(call, "invalid", "speed is a factor (1 is normal)");
    if (!number_argument(plugin, call, "pitch", 50, 0, 100, &pitch))
        return api->fail(call, "invalid", "pitch is a number from 0 to 100");

    double words = fmin(fmax(round(rate * speed), RATE_MIN), RATE_MAX);
    *request = (speaker_request){.kind = SPEAKER_SAY,
                                 .rate = (int32_t)words,
                                 .pitch = (int32_t)round(pitch),
                                 .voice_length = (uint32_t)voice_length,
                                 .text_length = (uint32_t)text_length};
    return FA_OK;
}

static fa_result finish_wav(const utterance *u)
{
    const fa_host_api *api = u->plugin->api;
    uint8_t header[WAV_HEADER];
    size_t data = api->buffer_length(u->buffer) - WAV_HEADER;
    double samples = (double)data / 2, rate = (double)u->voice.sample_rate;
    wav_header(header, u->voice.sample_rate, (uint32_t)data);
    fa_result result = api->buffer_patch(u->buffer, 0, header, sizeof(header));
    if (result == FA_OK)
        result = api->result_number(u->call, "samples", samples);
    if (result == FA_OK)
        result = api->result_number(u->call, "sample_rate", rate);
    if (result == FA_OK)
        result = api->result_number(u->call, "duration_ms", rate > 0 ? round(samples * 1000 / rate) : 0);
    if (result == FA_OK)
        result = api->result_text(u->call, "mime", "audio/wav", strlen("audio/wav"));
    if (result == FA_OK)
        result = api->result_text(u->call, "voice", u->voice.id, strnlen(u->voice.id, sizeof(u->voice.id)));
    return result;
}

static fa_result synthesize(void *state, fa_call *call)
{
    espeak *plugin = state;
    const fa_host_api *api = plugin->api;
    utterance u = {.plugin = plugin, .call = call};
    speaker_request request = {.kind = SPEAKER_SAY};
    const char *text = NULL;
    fa_result result = read_arguments(plugin, call, &request, &u.wanted_voice, &text);
    if (result != FA_OK)
        return result;

    /* Arguments are not promised to end with a NUL. */
    char voice[SPEAKER_VOICE_MAX + 1];
    snprintf(voice, sizeof(voice), "%.*s", (int)request.voice_length, u.wanted_voice);
    u.wanted_voice = voice;
    char *terminated = api->allocate(plugin->host, (size_t)request.text_length + 1);
    if (terminated == NULL)
        return FA_OVER_BUDGET;
    memcpy(terminated, text, request.text_length);

    size_t expected = WAV_HEADER + (size_t)request.text_length * AUDIO_A_BYTE;
    result = api->result_buffer(call, "audio", expected < FIRST_AUDIO ? expected : FIRST_AUDIO, &u.buffer);
    if (result == FA_OK)
        result = api->buffer_append(u.buffer, (const uint8_t[WAV_HEADER]){0}, WAV_HEADER);
    if (result == FA_OK)
        result = converse(&u, &request, voice, terminated);
    if (result == FA_OK)
        result = finish_wav(&u);
    api->release(plugin->host, terminated);
    return result;
}

/* ---- voices ------------------------------------------------------------------------------------------------------ */
static fa_result voices(void *state, fa_call *call)
{
    espeak *plugin = state;
    utterance u = {.plugin = plugin, .call = call};
    speaker_request request = {.kind = SPEAKER_LIST};
    fa_result result = plugin->api->result_buffer(call, "json", 16 * 1024, &u.buffer);
    return result == FA_OK ? converse(&u, &request, "", "") : result;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */
/* The speaker lies beside this shared object. */
static bool find_speaker(espeak *plugin)
{
    Dl_info self;
    if (dladdr(&fa_plugin_entry, &self) == 0 || self.dli_fname == NULL)
        return false;
    const char *slash = strrchr(self.dli_fname, '/');
    int directory = slash == NULL ? 1 : (int)(slash - self.dli_fname);
    int length = snprintf(plugin->program, sizeof(plugin->program), "%.*s/espeak-speaker", directory,
                          slash == NULL ? "." : self.dli_fname);
    return length > 0 && (size_t)length < sizeof(plugin->program);
}

static double configured(const espeak *plugin, const char *key, double standard)
{
    const char *value = plugin->api->config(plugin->host, key);
    return value != NULL && *value != '\0' ? strtod(value, NULL) : standard;
}

static fa_result fail_open(espeak *plugin, fa_error *error, fa_result result, const char *what, const char *why)
{
    if (error != NULL)
        snprintf(error->text, sizeof(error->text), "%.250s%s%.100s", what, *why != '\0' ? ": " : "", why);
    plugin->api->release(plugin->host, plugin);
    return result;
}

static fa_result open_espeak(fa_plugin_host *host, const fa_host_api *api, void **state, fa_error *error)
{
    espeak *plugin = api->allocate(host, sizeof(*plugin));
    if (plugin == NULL)
        return FA_NO_MEMORY;
    plugin->host = host;
    plugin->api = api;
    const char *voice = api->config(host, "voice");
    if (voice == NULL || *voice == '\0')
        voice = "en";
    if (!plausible_voice(voice, strlen(voice)))
        return fail_open(plugin, error, FA_INVALID, "no such voice", voice);
    snprintf(plugin->voice, sizeof(plugin->voice), "%s", voice);
    plugin->rate = configured(plugin, "rate", 175);
    plugin->max_audio = fmin(configured(plugin, "max_audio", 8.0 * 1024 * 1024), 1e9); /* WAV sizes are 32-bit */
    if (!find_speaker(plugin))
        return fail_open(plugin, error, FA_NOT_FOUND, "cannot tell where espeak-speaker is", "");
    int failed = start_speaker(plugin);
    if (failed != 0)
        return fail_open(plugin, error, FA_IO, plugin->program, strerror(failed));
    *state = plugin;
    return FA_OK;
}

static void close_espeak(void *state)
{
    espeak *plugin = state;
    end_speaker(plugin);
    plugin->api->release(plugin->host, plugin);
}

static const fa_plugin_function functions[] = {{"synthesize", synthesize}, {"voices", voices}};

FA_PLUGIN_EXPORT fa_plugin_entry = {.magic = FA_PLUGIN_MAGIC,
                                    .abi = FA_PLUGIN_ABI,
                                    .size = sizeof(fa_plugin),
                                    .name = "espeak",
                                    .version = "1.0.0",
                                    .open = open_espeak,
                                    .close = close_espeak,
                                    .functions = functions,
                                    .function_count = sizeof(functions) / sizeof(functions[0])};
