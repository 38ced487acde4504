/*
 * What the kernel can do beyond Linux 5.19, without which there is no io_uring
 * here: found when a ring is opened. Each has an older way to the same end.
 */
#ifndef TINA__IO_URING_TIER_H
#define TINA__IO_URING_TIER_H

#include <stdint.h>

struct io_uring;

/* Bits of a tier. */
enum {
    TINA__URING_DEFER = 1,     /* completions are worked on in our own enters alone (6.1) */
    TINA__URING_COOP = 2,      /* at least they interrupt nobody (5.19) */
    TINA__URING_FTRUNCATE = 4, /* truncate is an operation (6.9) */
    TINA__URING_SEND_ADDR = 8, /* a send may name an address (6.1) */
    TINA__URING_WAIT_ALL = 16, /* the kernel goes on with a send that it took a part of (5.19) */
    TINA__URING_SPLICE = 32,   /* a file goes to a socket through a pipe */
};

/*
 * All but what TINA_URING_WITHOUT names: an environment variable for tests, words
 * with commas between them: defer, coop, ftruncate, sendaddr, waitall, splice. Each
 * forces the older way. Words that it does not know are none of its business.
 */
uint32_t tina__uring_tier_allowed(void);

/* What of the allowed the ring's kernel has. DEFER and COOP are the opening's to find out, and stay as they are. */
uint32_t tina__uring_tier_find(struct io_uring *ring, uint32_t allowed);

#endif
