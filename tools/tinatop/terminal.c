#define _GNU_SOURCE 1
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BEGIN      "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define END        "\033[?25h\033[?1049l"
#define HOME       "\033[H"
#define REST_EMPTY "\033[J"
#define LINE_EMPTY "\033[K"

static struct termios before;
static sigset_t mask_before;
static volatile sig_atomic_t is_told_to_quit, is_resized;

static const int quit_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};

static void on_signal(int signal)
{
    if (signal == SIGWINCH)
        is_resized = 1;
    else
        is_told_to_quit = 1;
}

/* They are blocked, but for where the program waits. */
static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGWINCH);
    for (size_t i = 0; i < sizeof quit_signals / sizeof quit_signals[0]; i++)
        sigaddset(&blocked, quit_signals[i]);
    sigprocmask(SIG_BLOCK, &blocked, &mask_before);
    sigaction(SIGWINCH, &action, NULL);
    for (size_t i = 0; i < sizeof quit_signals / sizeof quit_signals[0]; i++)
        sigaction(quit_signals[i], &action, NULL);
}

static void say(const char *text) { fputs(text, stdout); }

bool terminal_open(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    struct termios now = before;
    take_signals();
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_cc[VSUSP] = _POSIX_VDISABLE; /* it would stop with the other screen shown */
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &now);
    say(BEGIN);
    return true;
}

void terminal_close(void)
{
    say(END);
    fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

static struct winsize size_now(void)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    return size;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

void terminal_show(const char *text)
{
    struct winsize size = size_now();
    size_t lines = count_lines(text);
    size_t room = size.ws_row - 1u;
    size_t shown = lines <= room ? lines : room - (room != 0);
    say(HOME);
    for (size_t i = 0; i < shown; i++) {
        size_t length = strcspn(text, "\n");
        printf("%.*s" LINE_EMPTY "\n", (int)(length < size.ws_col ? length : size.ws_col), text);
        text += length + 1;
    }
    if (shown < lines)
        printf("%.*s" LINE_EMPTY "\n", size.ws_col, "(more than there is room for)");
    printf("%.*s" REST_EMPTY, size.ws_col, "q: quit");
    fflush(stdout);
}

static bool has_quit_key(void)
{
    char keys[64];
    ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
    return memchr(keys, 'q', count > 0 ? (size_t)count : 0) != NULL;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

terminal_event terminal_wait(double seconds)
{
    double end_s = now_s() + seconds;
    for (double left = seconds; left > 0; left = end_s - now_s()) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        struct timespec wait = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        int count = ppoll(&input, 1, &wait, &mask_before);
        if (is_told_to_quit || (input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            return TERMINAL_QUIT;
        if (count > 0 && has_quit_key())
            return TERMINAL_QUIT;
        if (is_resized) {
            is_resized = 0;
            return TERMINAL_RESIZED;
        }
    }
    return TERMINAL_TIME;
}
