/* A file of a test's own, for what the library writes to a path. Include it after <cmocka.h>. */
#ifndef TINA_TEST_SCRATCH_H
#define TINA_TEST_SCRATCH_H

/* An empty file that nobody else has. The test removes it. */
void tina_test_scratch_make(char path[64]);

/* Its whole text. For free. */
char *tina_test_scratch_read(const char *path);

/* Fails the test where the text differs, and shows the first line that does. */
void tina_test_text_is(const char *text, const char *expected);

#endif
