/*
 * What kills an isolate: the faults of programs, each as code that no compiler sees
 * through. Include it behind trap/child.h.
 */
#ifndef TESTS_TRAP_DEEDS_H
#define TESTS_TRAP_DEEDS_H

#include "support/victim.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((uintptr_t)4096)

static UNWATCHED void write_at(uintptr_t address) { *(volatile char *)address = 1; }

static UNWATCHED void deed_read_null(const tina_test_scene *scene)
{
    (void)scene;
    (void)*null;
}

static UNWATCHED void deed_write_null(const tina_test_scene *scene)
{
    (void)scene;
    *null = 1;
}

static UNWATCHED void deed_write_unmapped(const tina_test_scene *scene)
{
    (void)scene;
    write_at(0x123456789000);
}

/* No address of the machine's: the signal does not tell it. */
static UNWATCHED void deed_write_nowhere(const tina_test_scene *scene)
{
    (void)scene;
    write_at((uintptr_t)0xDEAD << 48);
}

static inline void deed_write_closed(const tina_test_scene *scene)
{
    write_to((void *)(uintptr_t)closed_page());
    (void)scene;
}

/* The handlers' memory begins with the struct of slot 0 of the first type, and with a guard before it. */
static inline void deed_write_before_structs(const tina_test_scene *scene)
{
    write_at(((uintptr_t)scene->sight->structs[TINA_TEST_FRONT] & ~(PAGE - 1)) - 1);
}

/* It ends with the last transfer, and a guard behind it: of a page, wherever the transfer ends in its own. */
static inline void deed_write_behind_transfers(const tina_test_scene *scene)
{
    uintptr_t end = (uintptr_t)scene->transfer_data + scene->transfer_size;
    write_at((end + PAGE - 1) & ~(PAGE - 1));
}

static UNWATCHED void deed_call_null(const tina_test_scene *scene)
{
    void (*volatile function)(const tina_test_scene *) = NULL;
    function(scene);
}

static UNWATCHED unsigned descend(const volatile char *above)
{
    volatile char frame[512];
    frame[0] = *above;
    if (null != NULL) /* never: but no compiler knows that this has no end */
        return 0;
    return descend(frame) + (unsigned)frame[0];
}

static UNWATCHED void deed_recurse(const tina_test_scene *scene)
{
    volatile char first = 1;
    (void)scene;
    (void)descend(&first);
}

#define LARGE_FRAME ((size_t)4 << 20)

static UNWATCHED void deed_large_frame(const tina_test_scene *scene)
{
    volatile char frame[LARGE_FRAME];
    (void)scene;
    __asm__ volatile("" : : "r"(frame) : "memory"); /* or a compiler makes do with the one byte that is used */
    frame[0] = 1;
}

static UNWATCHED void deed_divide_by_zero(const tina_test_scene *scene)
{
    volatile int zero = 0, result = 1;
    (void)scene;
    result = result / zero;
}

static UNWATCHED void deed_illegal_instruction(const tina_test_scene *scene)
{
    (void)scene;
    __builtin_trap();
}

static UNWATCHED void deed_copy_null(const tina_test_scene *scene)
{
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    char target[64];
    (void)scene;
    copy(target, (const void *)(uintptr_t)null, sizeof target);
}

static inline void deed_raise(const tina_test_scene *scene)
{
    (void)scene;
    raise(SIGSEGV);
}

static inline void deed_abort(const tina_test_scene *scene)
{
    (void)scene;
    abort();
}

#endif
