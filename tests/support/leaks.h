/* What the process holds of the kernel, for a look before and a look after. */
#ifndef TINA_TEST_LEAKS_H
#define TINA_TEST_LEAKS_H

#include <stddef.h>

/* Open descriptors. The look itself leaves none. */
size_t tina_test_fd_count(void);

/* Lines of /proc/self/maps. The kernel may merge neighbours that look alike. */
size_t tina_test_mapping_count(void);

#endif
