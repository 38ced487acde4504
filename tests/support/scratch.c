#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tina_test_scratch_make(char path[64])
{
    strcpy(path, "/tmp/tina-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

char *tina_test_scratch_read(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    text[size] = '\0';
    fclose(file);
    return text;
}

void tina_test_text_is(const char *text, const char *expected)
{
    if (strcmp(text, expected) == 0)
        return;
    size_t line = 0;
    for (size_t i = 0; text[i] == expected[i]; i++) {
        if (text[i] == '\n')
            line = i + 1;
    }
    /* Not by cmocka's own message, which is cut. */
    fprintf(stderr, "the text is\n%s>>> it differs here:\n%.*s\n>>> and should go on\n%.*s\n", text,
            (int)strcspn(text + line, "\n"), text + line, (int)strcspn(expected + line, "\n"), expected + line);
    fail();
}
