/*
 * A text file that is written from its beginning to its end. The first error is
 * kept, nothing is written after it, and closing tells it. One thread.
 */
#ifndef TINA__SIM_FILE_H
#define TINA__SIM_FILE_H

#include <stdio.h>
#include <tina/status.h>

#define TINA__FILE_BUFFER 65536 /* bytes */

typedef struct tina__file {
    FILE *stream;
    int error; /* errno of the first failure; 0: none */
    char buffer[TINA__FILE_BUFFER];
} tina__file;

/* What was in the file is gone. TINA_NOT_FOUND, TINA_DENIED, TINA_DISK_FULL, TINA_SYSTEM_ERROR: there is nothing to close. */
tina_status tina__file_open(tina__file *file, const char *path, int *os_error);

void tina__file_print(tina__file *file, const char *format, ...) TINA_PRINTF(2, 3);

/* As the inside of a JSON string, whatever its bytes are. */
void tina__file_print_json(tina__file *file, const char *text);

/* TINA_OK: all that was printed is in the file; otherwise as open. */
tina_status tina__file_close(tina__file *file, int *os_error);

#endif
