/* espeak-speaker: the process in which libespeak-ng lives. Started and ended by espeak.so, useless by hand.
 *
 * It initialises the library once and forks for every utterance. What libespeak-ng says depends on what it said before
 * (flutter phase, pitch cycle: up to 2,157 samples were measured with every parameter set anew), and neither a setting
 * nor espeak_Terminate takes that back; unloading the library does, but loses 47 KB each time. Only a copy that never
 * spoke makes the same sound from the same text. Besides, a crash of the library costs one utterance, and its memory
 * and the audio libraries that it drags in stay out of the server. */
#include <errno.h>
#include <espeak-ng/speak_lib.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol.h"

static int answer = -1; /* the pipe of this utterance */

/* Whoever listens may be gone: then SIGPIPE ends this process, which is what giving up means. */
static void frame(speaker_kind kind, const void *data, size_t length)
{
    speaker_frame head = {.kind = (uint32_t)kind, .length = (uint32_t)length};
    struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)data, length}};
    struct iovec *part = parts;
    while (part < parts + 2) {
        ssize_t wrote = writev(answer, part, (int)(parts + 2 - part));
        if (wrote < 0 && errno != EINTR)
            _exit(1);
        for (size_t left = wrote > 0 ? (size_t)wrote : 0; part < parts + 2; ++part) {
            if (left < part->iov_len) {
                part->iov_base = (char *)part->iov_base + left;
                part->iov_len -= left;
                break;
            }
            left -= part->iov_len;
        }
    }
}

/* The library hands out 60 ms at a time; the other side is woken for more than that. */
static short gathered[16 * 1024];
static size_t gathered_count;

static void flush_samples(void)
{
    if (gathered_count > 0)
        frame(SPEAKER_AUDIO, gathered, gathered_count * sizeof(*gathered));
    gathered_count = 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the library's type */
static int on_samples(short *samples, int count, espeak_EVENT *events)
{
    (void)events;
    for (int i = 0; samples != NULL && i < count; ++i) {
        if (gathered_count == sizeof(gathered) / sizeof(*gathered))
            flush_samples();
        gathered[gathered_count++] = samples[i];
    }
    return 0;
}

/* Everything, each time: a voice may have brought a speed of its own. These are the library's defaults but for rate and
 * pitch. */
static void set_parameters(int rate, int pitch)
{
    espeak_SetParameter(espeakRATE, rate, 0);
    espeak_SetParameter(espeakVOLUME, 100, 0);
    espeak_SetParameter(espeakPITCH, pitch, 0);
    espeak_SetParameter(espeakRANGE, 50, 0);
    espeak_SetParameter(espeakPUNCTUATION, espeakPUNCT_NONE, 0);
    espeak_SetParameter(espeakCAPITALS, 0, 0);
    espeak_SetParameter(espeakWORDGAP, 0, 0);
}

static void say(const speaker_request *request, const char *voice, const char *text, const char *ready_voice,
                int sample_rate)
{
    if (strcmp(voice, ready_voice) != 0 && espeak_SetVoiceByName(voice) != EE_OK) {
        frame(SPEAKER_UNKNOWN_VOICE, NULL, 0);
        return;
    }
    const espeak_VOICE *used = espeak_GetCurrentVoice();
    const char *variant = strchr(voice, '+');
    speaker_voice about = {.sample_rate = (uint32_t)sample_rate};
    snprintf(about.id, sizeof(about.id), "%s%s", used != NULL && used->identifier != NULL ? used->identifier : voice,
             variant != NULL ? variant : "");
    frame(SPEAKER_VOICE, &about, sizeof(about));

    set_parameters(request->rate, request->pitch);
    if (espeak_Synth(text, (size_t)request->text_length + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, NULL, NULL) !=
        EE_OK)
        _exit(1);
    flush_samples();
}

static size_t quoted(char *to, size_t room, const char *text)
{
    size_t used = 0;
    to[used++] = '"';
    for (; *text != '\0' && used + 8 < room; ++text) {
        if (*text == '"' || *text == '\\')
            to[used++] = '\\';
        if ((unsigned char)*text >= ' ')
            to[used++] = *text;
    }
    to[used++] = '"';
    to[used] = '\0';
    return used;
}

static void list_voices(void)
{
    static const char *const genders[] = {"none", "male", "female"};
    const char *between = "[";
    const espeak_VOICE **voices = espeak_ListVoices(NULL);
    for (; voices != NULL && *voices != NULL; ++voices) {
        const espeak_VOICE *voice = *voices;
        if (voice->identifier == NULL || strncmp(voice->identifier, "mb/", 3) == 0)
            continue; /* MBROLA voices are listed whether their data is there or not */
        char line[1024], id[200], name[200], language[100];
        quoted(id, sizeof(id), voice->identifier);
        quoted(name, sizeof(name), voice->name != NULL ? voice->name : "");
        quoted(language, sizeof(language),
               voice->languages != NULL && *voice->languages != 0 ? voice->languages + 1 : "");
        int length = snprintf(line, sizeof(line), "%s{\"id\":%s,\"name\":%s,\"language\":%s,\"gender\":\"%s\"}",
                              between, id, name, language, genders[voice->gender <= 2 ? voice->gender : 0]);
        frame(SPEAKER_TEXT, line, (size_t)length);
        between = ",\n";
    }
    frame(SPEAKER_TEXT, *between == '[' ? "[]" : "]", *between == '[' ? 2 : 1);
}

static bool read_all(void *to, size_t length)
{
    char *at = to;
    while (length > 0) {
        ssize_t got = read(STDIN_FILENO, at, length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

/* The request's head and the pipe that came with it. False when the server is gone. */
static bool next_request(speaker_request *request)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {request, sizeof(*request)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t got;
    do {
        got = recvmsg(STDIN_FILENO, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    const struct cmsghdr *attached = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (attached == NULL || attached->cmsg_type != SCM_RIGHTS)
        return false;
    memcpy(&answer, CMSG_DATA(attached), sizeof(answer));
    return read_all((char *)request + got, sizeof(*request) - (size_t)got) &&
           request->voice_length <= SPEAKER_VOICE_MAX && request->text_length <= SPEAKER_TEXT_MAX;
}

static void serve(const char *ready_voice, int sample_rate)
{
    static char voice[SPEAKER_VOICE_MAX + 1], text[SPEAKER_TEXT_MAX + 1]; /* untouched pages cost nothing */
    speaker_request request;
    while (next_request(&request) && read_all(voice, request.voice_length + 1) &&
           read_all(text, request.text_length + 1)) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGPIPE, SIG_DFL);
            if (request.kind == SPEAKER_SAY)
                say(&request, voice, text, ready_voice, sample_rate);
            else
                list_voices();
            frame(SPEAKER_END, NULL, 0);
            _exit(0);
        }
        close(answer);
        while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
}

/* usage: espeak-speaker VOICE */
int main(int argc, char **argv)
{
    /* It ends when its server closes the socket, not when a terminal or a service manager signals the whole group:
     * until then the server may want to finish its sentences. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); ++i)
        signal(ignored[i], SIG_IGN);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});

    int sample_rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL, espeakINITIALIZE_DONT_EXIT);
    if (sample_rate <= 0) {
        fputs("espeak-speaker: libespeak-ng finds no data (package espeak-ng-data)\n", stderr);
        return 1;
    }
    espeak_SetSynthCallback(on_samples);
    const char *ready_voice = argc > 1 && espeak_SetVoiceByName(argv[1]) == EE_OK ? argv[1] : "";

    /* From here on the library's remarks about odd voices interest nobody. */
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
    serve(ready_voice, sample_rate);
    _exit(0);
}
