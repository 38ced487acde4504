#include "sim/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Errors --------------------------------------------------------------------------- */

static tina_status status_of(int error)
{
    switch (error) {
    case 0: return TINA_OK;
    case ENOENT: return TINA_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return TINA_DENIED;
    case ENOSPC: return TINA_DISK_FULL;
    default: return TINA_SYSTEM_ERROR;
    }
}

static void keep_error(tina__file *file, bool is_well)
{
    if (!is_well && file->error == 0)
        file->error = errno != 0 ? errno : EIO;
}

/* ---- From beginning to end -------------------------------------------------------------- */

tina_status tina__file_open(tina__file *file, const char *path, int *os_error)
{
    *os_error = 0;
    file->error = 0;
    file->stream = fopen(path, "w");
    if (file->stream == NULL) {
        *os_error = errno;
        return status_of(errno);
    }
    setvbuf(file->stream, file->buffer, _IOFBF, sizeof file->buffer);
    return TINA_OK;
}

void tina__file_print(tina__file *file, const char *format, ...)
{
    if (file->error != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    keep_error(file, vfprintf(file->stream, format, arguments) >= 0);
    va_end(arguments);
}

tina_status tina__file_close(tina__file *file, int *os_error)
{
    errno = 0;
    keep_error(file, fclose(file->stream) == 0);
    file->stream = NULL;
    *os_error = file->error;
    return status_of(file->error);
}

/* ---- JSON --------------------------------------------------------------------------------- */

/* How many bytes the character beyond ASCII takes that begins there; 0: these bytes are none. */
static size_t sequence_length(const unsigned char *text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length: what is below it is written shorter */
    if (text[0] < 0xC2 || text[0] > 0xF4)
        return 0;
    size_t length = text[0] < 0xE0 ? 2 : text[0] < 0xF0 ? 3 : 4;
    uint32_t point = text[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80) /* the final zero, too */
            return 0;
        point = point << 6 | (text[i] & 0x3Fu);
    }
    bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < least[length] || point > 0x10FFFF || is_surrogate ? 0 : length;
}

/* What a JSON string can't hold as it is. */
static bool is_escaped(unsigned char byte) { return byte < ' ' || byte == '"' || byte == '\\' || byte == 0x7F; }

void tina__file_print_json(tina__file *file, const char *text)
{
    const char *from = text; /* what is to be printed as it is */
    while (*text != '\0') {
        unsigned char byte = (unsigned char)*text;
        size_t length = byte < 0x80 ? 1 : sequence_length((const unsigned char *)text);
        if (length != 0 && !is_escaped(byte)) {
            text += length;
            continue;
        }
        tina__file_print(file, "%.*s", (int)(text - from), from);
        if (length != 0)
            tina__file_print(file, "\\u%04x", byte);
        else
            tina__file_print(file, "\xEF\xBF\xBD"); /* U+FFFD: what is no character */
        from = ++text;
    }
    tina__file_print(file, "%s", from);
}
