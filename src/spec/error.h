/* What was wrong, for the caller. Any thread. */
#ifndef TINA__SPEC_ERROR_H
#define TINA__SPEC_ERROR_H

#include <tina/spec.h>

/* Texts that are too long are cut. error may be NULL. */
void tina__error_set(tina_error *error, tina_status status, int os_error, const char *path, const char *format, ...)
    TINA_PRINTF(5, 6);

#endif
