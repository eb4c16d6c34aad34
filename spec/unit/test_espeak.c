/* The espeak plugin against libespeak-ng asked directly (espeak_samples, beside this program). */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "testing.h"

#include "fake_host.h"

static const char *const plain[] = {"voice", "en", "rate", "175", "max_audio", "8388608", NULL};

static void run_yardstick(const char *program, const char *voice, int rate, int in, int out)
{
    char words_a_minute[16];
    snprintf(words_a_minute, sizeof(words_a_minute), "%d", rate);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execl(program, program, "-v", voice, "-r", words_a_minute, (char *)NULL);
    _exit(127);
}

/* What the yardstick says. rate 0: the library's own. */
static double direct(const char *text, const char *voice, int rate)
{
    char program[4200], self[4000] = "", answer[32] = "", file[] = "/tmp/espeak-text-XXXXXX";
    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    *strrchr(self, '/') = '\0';
    const char *given = getenv("FA_ESPEAK_SAMPLES");
    snprintf(program, sizeof(program), "%s%s", given != NULL ? given : self, given != NULL ? "" : "/espeak_samples");

    int fd = mkstemp(file), status, ends[2];
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    unlink(file);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        run_yardstick(program, voice, rate, fd, ends[1]);
    close(fd);
    close(ends[1]);
    assert_true(read(ends[0], answer, sizeof(answer) - 1) > 0);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return strtod(answer, NULL);
}

static double say(fake_host *host, const char *text, const char *voice, double rate)
{
    fake_call *call = fake_call_new(host, "synthesize");
    fake_call_text(call, "text", text);
    if (voice != NULL)
        fake_call_text(call, "voice", voice);
    if (rate > 0)
        fake_call_number(call, "rate", rate);
    assert_int_equal(fake_call_run(call), FA_OK);
    double samples = fake_call_got_number(call, "samples");
    fake_call_end(call);
    return samples;
}

static fake_host *open_plain(void)
{
    fa_error error = {.text = ""};
    fake_host *host = fake_host_open("espeak", plain, &error);
    assert_string_equal(error.text, "");
    assert_non_null(host);
    return host;
}

static void fails_with(fake_call *call, const char *code)
{
    assert_int_not_equal(fake_call_run(call), FA_OK);
    assert_string_equal(fake_call_error(call), code);
    fake_call_end(call);
}

static const char *const texts[] = {
    "Lie face down, resting on your forearms. Keep your body straight.",
    "-Hello there",
    "--help -v de",
    "<break time='3s'/> Not SSML & <voice name='de'>hallo</voice>",
    "Hello",
    "\001300S an embedded command changes the speed",
    "\00130F and one leaves \00180H an echo",
    "Привет мир, это тест.",
    "[[h@l'oU]] is no phoneme",
    "...",
    " ",
    "1,234.5 kg and 3/4 of 50%",
    "This ends mid (paren",
    "Really?! NO WAY!!!\n\nA\n\nB",
    "\xff\xfe bad utf8 \xc3",
    "Hold the position for thirty seconds, breathing steadily. Repeat.",
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

/* ---- the WAV ----------------------------------------------------------------------------------------------------- */
static uint32_t little(const char *at, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; ++i)
        value |= (uint32_t)(uint8_t)at[i] << (8 * i);
    return value;
}

static void the_wav_is_exact(void **state)
{
    fake_host *host = *state;
    fake_call *call = fake_call_new(host, "synthesize");
    fake_call_text(call, "text", texts[0]);
    assert_int_equal(fake_call_run(call), FA_OK);
    size_t length;
    const char *wav = fake_call_got_buffer(call, "audio", &length);
    double samples = fake_call_got_number(call, "samples"), rate = fake_call_got_number(call, "sample_rate");
    assert_int_equal(length, 44 + 2 * (size_t)samples);
    assert_memory_equal(wav, "RIFF", 4);
    assert_int_equal(little(wav + 4, 4), length - 8);
    assert_memory_equal(wav + 8, "WAVEfmt ", 8);
    assert_int_equal(little(wav + 16, 4), 16);
    assert_int_equal(little(wav + 20, 2), 1);
    assert_int_equal(little(wav + 22, 2), 1);
    assert_int_equal(little(wav + 24, 4), (uint32_t)rate);
    assert_int_equal(little(wav + 28, 4), 2 * (uint32_t)rate);
    assert_int_equal(little(wav + 32, 2), 2);
    assert_int_equal(little(wav + 34, 2), 16);
    assert_memory_equal(wav + 36, "data", 4);
    assert_int_equal(little(wav + 40, 4), length - 44);
    assert_int_equal((int)rate, 22050);
    assert_int_equal((int)fake_call_got_number(call, "duration_ms"), (int)round(samples * 1000 / rate));
    assert_string_equal(fake_call_got_text(call, "mime"), "audio/wav");
    assert_string_equal(fake_call_got_text(call, "voice"), "gmw/en");
    int loud = 0;
    for (size_t i = 44; i < length; i += 2)
        loud += abs((int16_t)little(wav + i, 2)) > 1000;
    assert_true(loud > 1000);
    fake_call_end(call);
}

/* ---- as many samples as the library itself makes, whatever was said before --------------------------------------- */
static void each_text_as_if_it_were_the_first(void **state)
{
    fake_host *host = *state;
    static const char *const voices[] = {"en", "en-us", "de", "ru", "en+f3"};
    for (int i = 0; i < TEXTS; ++i) {
        for (int v = 0; v < 5; ++v)
            assert_int_equal((int)say(host, texts[i], voices[v], 0), (int)direct(texts[i], voices[v], 0));
    }
    for (int round = 0; round < 2; ++round)
        assert_int_equal((int)say(host, texts[0], NULL, 0), (int)direct(texts[0], "en", 0));
}

static void rate_and_speed_change_this_call_only(void **state)
{
    fake_host *host = *state;
    double normal = direct(texts[0], "en", 0), quick = direct(texts[0], "en", 350);
    assert_true(quick < normal * 0.7);
    assert_int_equal((int)say(host, texts[0], NULL, 350), (int)quick);
    assert_int_equal((int)say(host, texts[0], NULL, 0), (int)normal);

    fake_call *call = fake_call_new(host, "synthesize");
    fake_call_text(call, "text", texts[0]);
    fake_call_number(call, "speed", 2.0);
    fake_call_number(call, "pitch", 80);
    assert_int_equal(fake_call_run(call), FA_OK);
    assert_true(fake_call_got_number(call, "samples") < normal * 0.7);
    fake_call_end(call);
    assert_int_equal((int)say(host, texts[0], NULL, 0), (int)normal);
    /* beyond what the library takes is cut to it, not refused: speed comes from a slider */
    assert_int_equal((int)say(host, texts[0], NULL, 2000), (int)direct(texts[0], "en", 450));
}

static void an_abandoned_call_leaves_no_trace(void **state)
{
    fake_host *host = *state;
    double expected = direct(texts[0], "en", 0);
    for (long looks = 0; looks < 8; ++looks) {
        fake_call *call = fake_call_new(host, "synthesize");
        fake_call_text(call, "text", texts[3]);
        fake_call_text(call, "voice", "de");
        fake_call_number(call, "rate", 300);
        fake_call_cancel_after(call, looks);
        assert_int_equal(fake_call_run(call), FA_CANCELLED);
        assert_string_equal(fake_call_error(call), "");
        fake_call_end(call);
        assert_int_equal((int)say(host, texts[0], NULL, 0), (int)expected);
    }
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */
static fake_call *saying(fake_host *host, const char *text, const char *voice)
{
    fake_call *call = fake_call_new(host, "synthesize");
    fake_call_text(call, "text", text);
    if (voice != NULL)
        fake_call_text(call, "voice", voice);
    return call;
}

static void an_unknown_voice_is_said_to_be_one(void **state)
{
    fake_host *host = *state;
    static const char *const wrong[] = {
        "nonexistent", "../../../etc/passwd", "/etc/passwd", "mb-de1",
        "a-name-that-is-longer-than-any-voice-that-there-is-in-the-whole-wide-world-of-speech"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i)
        fails_with(saying(host, "hello", wrong[i]), "unknown_voice");
    assert_int_equal((int)say(host, texts[0], NULL, 0), (int)direct(texts[0], "en", 0));
}

static void wrong_arguments_are_invalid(void **state)
{
    fake_host *host = *state;
    fails_with(fake_call_new(host, "synthesize"), "invalid");
    fails_with(saying(host, "", NULL), "invalid");
    fake_call *call = fake_call_new(host, "synthesize");
    fake_call_bytes(call, "text", "a\0b", 3);
    fails_with(call, "invalid");
    static const struct {
        const char *key;
        double value;
    } wrong[] = {{"rate", NAN}, {"rate", -1}, {"speed", 0}, {"speed", INFINITY}, {"pitch", -1}, {"pitch", 101}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        call = saying(host, "hello", NULL);
        fake_call_number(call, wrong[i].key, wrong[i].value);
        fails_with(call, "invalid");
    }
}

static char *long_text(size_t length)
{
    char *text = malloc(length + 1);
    for (size_t i = 0; i < length; ++i)
        text[i] = "Repeat this. "[i % 13];
    text[length] = '\0';
    return text;
}

static void too_much_is_too_long(void **state)
{
    (void)state;
    static const char *const small[] = {"max_audio", "50000", NULL};
    fake_host *host = fake_host_open("espeak", small, NULL);
    fails_with(saying(host, texts[0], NULL), "too_long");
    assert_int_equal((int)say(host, "Hello", NULL, 0), (int)direct("Hello", "en", 0));
    fake_host_close(host);

    host = open_plain();
    char *text = long_text(300 * 1024);
    fails_with(saying(host, text, NULL), "too_long"); /* the text itself */
    text[100 * 1024] = '\0';
    fails_with(saying(host, text, NULL), "too_long"); /* what it makes */
    text[500] = '\0';
    assert_int_equal((int)say(host, text, NULL, 0), (int)direct(text, "en", 0));
    free(text);
    fake_host_close(host);
}

static void a_full_budget_ends_the_call(void **state)
{
    fake_host *host = *state;
    static const size_t budgets[] = {0, 100, 100000, 5000000};
    for (size_t i = 0; i < 4; ++i) {
        fake_call *call = saying(host, texts[0], NULL);
        fake_call_budget(call, budgets[i]);
        assert_int_equal(fake_call_run(call), i == 3 ? FA_OK : FA_OVER_BUDGET);
        fake_call_end(call);
    }
}

/* ---- the speaker process ----------------------------------------------------------------------------------------- */
/* How many children this process has, each killed when `deadly`; -1 where the kernel does not tell. */
static int children(int deadly)
{
    char path[80], list[400] = "", *at = list;
    int count = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    assert_true(read(fd, list, sizeof(list) - 1) >= 0);
    close(fd);
    for (long pid; (pid = strtol(at, &at, 10)) > 0; ++count) {
        if (deadly)
            kill((pid_t)pid, SIGKILL);
    }
    return count;
}

static void a_dead_speaker_is_replaced(void **state)
{
    (void)state;
    if (children(0) < 0)
        skip();
    int before = children(0);
    fake_host *host = open_plain();
    assert_int_equal(children(0), before + 1);
    double expected = direct("Hello", "en", 0);
    for (int i = 0; i < 3; ++i) {
        assert_int_equal((int)say(host, "Hello", NULL, 0), (int)expected);
        children(1);
    }
    fake_host_close(host);
    assert_int_equal(children(0), before);
}

static void two_servers_do_not_meet(void **state)
{
    fake_host *first = *state, *second = open_plain();
    double expected = direct(texts[0], "en", 0);
    for (int i = 0; i < 5; ++i) {
        say(second, texts[3], "de", 400);
        assert_int_equal((int)say(first, texts[0], NULL, 0), (int)expected);
    }
    fake_host_close(second);
    assert_int_equal((int)say(first, texts[0], NULL, 0), (int)expected);
}

static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; ++fd)
        count += dup2(fd, fd) == fd;
    return count;
}

static void descriptors_are_given_back(void **state)
{
    fake_host *host = *state;
    say(host, "Hello", NULL, 0);
    int before = descriptors();
    size_t blocks = fake_host_allocated(host);
    for (int i = 0; i < 50; ++i) {
        fake_call *call = saying(host, "Hello", i % 3 == 0 ? "nonexistent" : "en");
        if (i % 2 == 0)
            fake_call_cancel_after(call, i / 2);
        fake_call_run(call);
        fake_call_end(call);
    }
    assert_int_equal(descriptors(), before);
    assert_int_equal(fake_host_allocated(host), blocks);
}

static void voices_are_listed(void **state)
{
    fake_host *host = *state;
    fake_call *call = fake_call_new(host, "voices");
    assert_int_equal(fake_call_run(call), FA_OK);
    const char *json = fake_call_got_buffer(call, "json", NULL);
    assert_memory_equal(json, "[{\"id\":", 7);
    assert_int_equal(json[strlen(json) - 1], ']');
    assert_non_null(strstr(
        json, "{\"id\":\"gmw/en\",\"name\":\"English (Great Britain)\",\"language\":\"en-gb\",\"gender\":\"male\"}"));
    assert_null(strstr(json, "mb/"));
    fake_call_end(call);
}

static void a_wrong_configured_voice_stops_the_start(void **state)
{
    (void)state;
    static const char *const wrong[] = {"voice", "../../x", NULL};
    fa_error error = {.text = ""};
    assert_null(fake_host_open("espeak", wrong, &error));
    assert_non_null(strstr(error.text, "voice"));
}

static int open_host(void **state)
{
    *state = open_plain();
    return 0;
}

static int close_host(void **state)
{
    fake_host_close(*state);
    return 0;
}

#define WITH_HOST(test) cmocka_unit_test_setup_teardown(test, open_host, close_host)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOST(the_wav_is_exact),
        WITH_HOST(each_text_as_if_it_were_the_first),
        WITH_HOST(rate_and_speed_change_this_call_only),
        WITH_HOST(an_abandoned_call_leaves_no_trace),
        WITH_HOST(an_unknown_voice_is_said_to_be_one),
        WITH_HOST(wrong_arguments_are_invalid),
        cmocka_unit_test(too_much_is_too_long),
        WITH_HOST(a_full_budget_ends_the_call),
        cmocka_unit_test(a_dead_speaker_is_replaced),
        WITH_HOST(two_servers_do_not_meet),
        WITH_HOST(descriptors_are_given_back),
        WITH_HOST(voices_are_listed),
        cmocka_unit_test(a_wrong_configured_voice_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
