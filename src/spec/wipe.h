/*
 * A wipe: all that a shard holds ends at once, and its memory is built anew, by
 * the thread that runs it, between two ticks.
 *
 * It trusts of the old memory as little as it can: where things lie, the plan
 * says; that a descriptor is open, its two words that must agree; what the kernel
 * has, the backend asks the kernel. What the next life inherits is what others may
 * hold: the channels and the inbox with the messages in them, log, flight
 * recorder, counters, and the generations, so that no old handle means anything
 * new.
 */
#ifndef TINA__SPEC_WIPE_H
#define TINA__SPEC_WIPE_H

#include "spec/build.h"

/* How often a shard may begin anew. entries: tina__budget_entry_count(spec->shard_restart_max) of them, the caller's. */
void tina__lives_init(tina__budget *lives, struct tina__budget_entry *entries, const tina_system_spec *spec);

/*
 * What becomes of a shard that is to be wiped, now in that state: it spends a life, or
 * is quarantined; while it drains, neither. One that was revived has its whole budget
 * again.
 */
tina_shard_state tina__lives_spend(tina__budget *lives, const tina__shard *shard, tina_shard_state now, uint64_t now_ns);

typedef struct tina__wipe_order {
    const tina__build *build;
    tina__shard *shard;
    const tina__backend_api *api;
    tina__backend *backend;
    tina_shard_state next; /* that the shard has from then on */
    bool
        has_let_go; /* out. False: the kernel keeps some of the shard's I/O, whose memory is left as it is: nothing was built */
} tina__wipe_order;

/* Not in the shard's tick. The shard is as it was built, and the others are told; in the states that run, its tree begins. */
void tina__wipe_shard(tina__wipe_order *order);

#endif
