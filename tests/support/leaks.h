/* What the process holds of the kernel, for a look before and a look after. */
#ifndef TINA_TEST_LEAKS_H
#define TINA_TEST_LEAKS_H

#include <stddef.h>

/* Open descriptors. The look itself leaves none. */
size_t tina_test_fd_count(void);

/* Lines of /proc/self/maps. The kernel may merge neighbours that look alike. */
size_t tina_test_mapping_count(void);

/* The same by what they are, with their bytes. */
typedef enum tina_test_mapping_kind {
    TINA_TEST_MAPPED_FILE, /* "/..." */
    TINA_TEST_MAPPED_HEAP,
    TINA_TEST_MAPPED_STACK, /* the first thread's, which grows */
    TINA_TEST_MAPPED_NAMELESS,
    TINA_TEST_MAPPED_OTHERWISE, /* "anon_inode:...", "[vdso]" */
    TINA_TEST_MAPPED_KINDS,
} tina_test_mapping_kind;

typedef struct tina_test_mappings {
    size_t count[TINA_TEST_MAPPED_KINDS];
    size_t bytes[TINA_TEST_MAPPED_KINDS];
} tina_test_mappings;

tina_test_mappings tina_test_look_at_mappings(void);

#endif
