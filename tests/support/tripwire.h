/*
 * Rings when somebody asks for memory: malloc and its kin, mmap, brk and sbrk,
 * called by the program or from inside another shared library (the C library's
 * own strdup and fopen among them). free is allowed.
 *
 * It works by being the malloc of the test program. Sanitizers are that already,
 * so under address and thread sanitizers it is not there and never rings.
 */
#ifndef TINA_TEST_TRIPWIRE_H
#define TINA_TEST_TRIPWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether it is there at all. */
bool tina_test_tripwire_works(void);

/* Forget what was counted and ring for every thread from now on. */
void tina_test_tripwire_arm(void);
/* Forget what was counted and ring for the calling thread only. */
void tina_test_tripwire_arm_thread(void);
/* Ring no more, neither for all nor for the calling thread. The count stays. */
void tina_test_tripwire_disarm(void);

/* Whether the calling thread may ask for memory while all threads are watched: the test's own, say. At first: no. */
void tina_test_tripwire_exempt(bool is_exempt);

/* How often it rang since it was armed. */
uint64_t tina_test_tripwire_hits(void);
/* Who rang it first: "malloc(24) from program+0x1234"; "" for nobody. Writes at most size bytes, always terminated. */
void tina_test_tripwire_first(char *text, size_t size);

#endif
