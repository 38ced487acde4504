/*
 * Memory of the user's, tried before anything is changed: if the pointer is bad,
 * the fault comes here, while there is nothing to be undone.
 */
#ifndef TINA__BASE_TOUCH_H
#define TINA__BASE_TOUCH_H

#include <stddef.h>
#include <stdint.h>

#define TINA__PAGE_MIN 4096 /* no machine has smaller pages */

/* Reads a byte of each page. */
static inline void tina__touch(const void *memory, size_t size)
{
    const volatile uint8_t *bytes = memory;
    if (size == 0)
        return;
    for (size_t i = 0; i < size; i += TINA__PAGE_MIN)
        (void)bytes[i];
    (void)bytes[size - 1];
}

/* The same for what is at most a page, such as a payload. */
static inline void tina__touch_small(const void *memory, size_t size)
{
    const volatile uint8_t *bytes = memory;
    if (size == 0)
        return;
    (void)bytes[0];
    (void)bytes[size - 1];
}

/* The same where a result will be written: at most a page. memory may be NULL: then there is none. */
static inline void tina__touch_result(void *memory, size_t size)
{
    volatile uint8_t *bytes = memory;
    if (memory == NULL)
        return;
    bytes[0] = bytes[0];
    bytes[size - 1] = bytes[size - 1];
}

#endif
