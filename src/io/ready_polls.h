/*
 * Who is polled (see io/ready.h): slots, in a line for each time that they have been
 * tried in vain. Each line is tried after twice the pause of the one before it; in
 * the last one it stays the same. An attempt in vain is an event, too, with Unix
 * datagrams: so trying has to follow the clock alone, and to become rare.
 *
 * A line takes PORTION attempts at a time, and goes on after the first pause. So
 * thousands who are stuck cost a bounded part of a processor; one that is not stuck
 * any more is tried within about a tenth of a second, as long as it is one of at
 * most a thousand.
 *
 * Links and counts of attempts are in the descriptors. Who joins is put in front of
 * those that come with the next round, so nobody is tried twice in one.
 */
#ifndef TINA__IO_READY_POLLS_H
#define TINA__IO_READY_POLLS_H

#include "base/bits.h"

#define TINA__READY_PAUSE_NS 1000000ull /* before the first attempt; 64 times as much before the later ones */

enum {
    TINA__READY_POLL_LINES = 7,
    TINA__READY_POLL_PORTION = 32,
    TINA__READY_POLL_MAX = TINA__READY_POLL_LINES * TINA__READY_POLL_PORTION
};

typedef struct tina__ready_polls {
    struct {
        uint32_t now, later; /* lists of slots: of this round, and of the next; NONE: empty */
        uint64_t due_ns;     /* when the line is tried; 0: nobody has looked at the clock yet */
        uint64_t next_ns;    /* when the next round may begin: a pause after this one began */
    } lines[TINA__READY_POLL_LINES];
    uint32_t count;
} tina__ready_polls;

struct tina__ready;

tina__ready_polls tina__ready_polls_make(void);
/* In the line of its descriptor's poll_line. It is in none. */
void tina__ready_polls_add(struct tina__ready *ready, uint32_t slot);
/* How many are to be tried now: they have left their lines, and would join the next. slots: TINA__READY_POLL_MAX of them. */
uint32_t tina__ready_polls_take(struct tina__ready *ready, uint64_t now_ns, uint32_t *slots);
/* How long until there is somebody to be tried; TINA_NONE_NS: nobody. */
uint64_t tina__ready_polls_wait(struct tina__ready *ready, uint64_t now_ns);

#endif
