/* Memory that ends at a page which faults: one byte too far is noticed at once. */
#ifndef TINA_TEST_GUARD_H
#define TINA_TEST_GUARD_H

#include <stddef.h>

typedef struct tina_test_guard {
    void *data; /* size bytes, zeroed; the byte behind them faults */
    size_t size;
    void *base; /* of the mapping */
    size_t mapped;
} tina_test_guard;

/* alignment: of data, a power of two that divides size (1 for any size), so that no gap is left before the guard. */
tina_test_guard tina_test_guard_make(size_t size, size_t alignment);
void tina_test_guard_free(tina_test_guard *guard);

#endif
