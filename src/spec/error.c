#include "spec/error.h"

#include <stdarg.h>
#include <stdio.h>

void tina__error_set(tina_error *error, tina_status status, int os_error, const char *path, const char *format, ...)
{
    if (error == NULL)
        return;
    error->status = (uint16_t)status;
    error->os_error = os_error;
    snprintf(error->path, sizeof error->path, "%s", path);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
}
