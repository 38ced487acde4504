#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

/* Initial-exec: the library is loaded at start, and the lookup must not allocate. */
static _Thread_local __attribute__((tls_model("initial-exec"))) tina__broken_fn broken_fn;
static _Thread_local __attribute__((tls_model("initial-exec"))) void *broken_user;

void tina__broken_set(tina__broken_fn fn, void *user)
{
    broken_fn = fn;
    broken_user = user;
}

_Noreturn void tina__broken(const char *what, const char *file, int line)
{
    char text[256];
    snprintf(text, sizeof text, "libtina: broken invariant: %s (%s:%d)", what, file, line);
    if (broken_fn != NULL)
        broken_fn(broken_user, text);
    abort();
}
