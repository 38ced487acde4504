#include "swarm/failure.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- In words --------------------------------------------------------------------------------- */

static const char *signal_name(int number)
{
    switch (number) {
    case SIGABRT: return "SIGABRT";
    case SIGALRM: return "SIGALRM";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    case SIGKILL: return "SIGKILL";
    case SIGSEGV: return "SIGSEGV";
    case SIGTERM: return "SIGTERM";
    case SIGTRAP: return "SIGTRAP";
    default: return "signal";
    }
}

void tina__failure_text(const tina__outcome *outcome, char text[TINA__FAILURE_TEXT])
{
    const char *words = outcome->text;
    switch (outcome->verdict) {
    case TINA__UNREPEATABLE: snprintf(text, TINA__FAILURE_TEXT, "not repeatable: two runs with the same seed differ"); break;
    case TINA__SIGNALLED:
        snprintf(text, TINA__FAILURE_TEXT, "it died of %s (%d)%s%s", signal_name(outcome->number), outcome->number,
                 words[0] != '\0' ? ": " : "", words);
        break;
    case TINA__EXITED:
        snprintf(text, TINA__FAILURE_TEXT, "it exited in the middle of the run, with status %d", outcome->number);
        break;
    case TINA__HANGING: snprintf(text, TINA__FAILURE_TEXT, "it hangs: nothing moved any more"); break;
    default: snprintf(text, TINA__FAILURE_TEXT, "%s", words);
    }
    text[strcspn(text, "\n")] = '\0';
}

/* ---- The same failure --------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static const char *skip_number(const char *text)
{
    while (is_word(*text))
        text++;
    return text;
}

static const char *skip_minus(const char *text) { return text[0] == '-' && is_digit(text[1]) ? text + 1 : text; }

/* A number is what begins with a digit, 0x1F too. */
static bool is_same_text(const char *a, const char *b)
{
    while (true) {
        a = skip_minus(a);
        b = skip_minus(b);
        if (is_digit(*a) && is_digit(*b)) {
            a = skip_number(a);
            b = skip_number(b);
            continue;
        }
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

bool tina__is_same_failure(const tina__outcome *a, const tina__outcome *b)
{
    if (a->verdict != b->verdict || a->number != b->number)
        return false;
    bool has_words = a->verdict == TINA__VIOLATION || a->verdict == TINA__REFUSED || a->verdict == TINA__SIGNALLED;
    return !has_words || is_same_text(a->text, b->text);
}
