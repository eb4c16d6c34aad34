/* Commands that show a page again and again until they are interrupted. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/cli.h"

static void interrupts(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void fa_cli_hold_interrupts(void)
{
    sigset_t held;
    interrupts(&held);
    pthread_sigmask(SIG_BLOCK, &held, NULL);
}

bool fa_cli_pause(unsigned milliseconds)
{
    sigset_t held;
    const struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    interrupts(&held);
    return sigtimedwait(&held, NULL, &pause) <= 0;
}

int fa_cli_show_page(const char *text)
{
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", stdout);
    fputs(text, stdout);
    if (text[0] == '\0' || text[strlen(text) - 1] != '\n')
        putchar('\n');
    return fflush(stdout) == 0 ? FA_EXIT_DONE : FA_EXIT_FAILED;
}
