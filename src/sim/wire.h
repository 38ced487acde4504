/*
 * The wires between shards: each takes messages from the ring that its source
 * writes and puts them, late or never, into the ring that its destination reads.
 * Both are production's rings of the same size. One thread.
 *
 * Order is kept. Only users' messages are lost or draw a delay, and they are
 * neither answers nor notices; what the runtime says to itself passes, behind what
 * was sent before it. What a life of the source's has published arrives before
 * others see its end, as in production: then nothing is delayed any more.
 *
 * A request that is lost is to its caller a callee that never answers: when it
 * withdraws the request, the wire gives the answer that the callee's shard would
 * have given. A request that waits for ever is never lost to chance, and waits
 * before a cut until it heals. A descriptor that is lost comes back to its giver at
 * once, as from a receiver that is full, and a transfer to its sender's shard; where
 * nobody there waits for it any more, a descriptor is not lost.
 *
 * Invariant: the two rings of a wire together never hold more than production's
 * one would, so that nothing is refused or finds room but where it would be there.
 *
 *   shard: source            wire                             shard: destination
 *   writes, publishes   -->  out: head <= read <= seen <= tail
 *                            due? lost? otherwise copied  -->  in: reads, releases
 *   sees head           <--  head := read - what `in` holds
 */
#ifndef TINA__SIM_WIRE_H
#define TINA__SIM_WIRE_H

#include "core/shard.h"
#include "sim/faults.h"

typedef struct tina__wire {
    uint8_t source, destination;
    bool is_cut;      /* by a partition */
    bool is_listed;   /* among the busy */
    uint32_t seen;    /* position in out up to which due is known; from out->read on they wait */
    uint32_t given;   /* position in `in` up to which slots of out have been given back */
    tina__spsc *out;  /* the source's; the wire is its consumer */
    uint64_t *due_ns; /* by slot of out: when the message may pass, if it is the first */
    bool *is_lost;    /* by the source's place: its request never arrived */
    uint32_t lost_count;
    tina__prng drops, delays;
    uint64_t dropped, cut_off; /* users' messages that were lost: to chance; to a partition */
    tina__spsc in;             /* the destination's; the wire is its producer */
} tina__wire;

typedef struct tina__wires {
    tina__wire *wires; /* by source x shard_count + destination */
    uint32_t shard_count;
    tina__shard *const *shards;
    tina__shard_public *publics;
    tina__faults *faults;
    uint64_t round_ns, now_ns;
    tina__wire **busy; /* those that are cut, or hold something back; and some that no longer do */
    uint32_t busy_count;
    uint32_t cut_count; /* wires that are cut */
    bool is_healed;     /* nothing goes wrong any more */
    tina__prng partitions;
    void *memory;
} tina__wires;

/*
 * The shards are built, in their first life, and none is in a tick; from here on they read from the
 * wires. shards and faults outlive them. TINA_POOL_EXHAUSTED: no memory.
 */
tina_status tina__wires_make(tina__wires *wires, tina__shard *const *shards, uint32_t shard_count, tina__faults *faults,
                             uint64_t seed, uint64_t round_ns);
void tina__wires_destroy(tina__wires *wires);

/* A round begins: cuts end and begin; what is due by now passes. */
void tina__wires_advance(tina__wires *wires, uint64_t now_ns);

/*
 * After each tick of a shard, before anybody else's: what it has published is on
 * its way, or passes at once; what it has taken makes room for the others. With
 * the first shard that has ended, the wires heal: the end of the system counts on
 * whole channels.
 */
void tina__wires_send(tina__wires *wires, uint32_t shard, uint64_t now_ns);

/* After each wipe of a shard, before anybody's tick; in a tick that ended in one, before or after the send. */
void tina__wires_rebuilt(tina__wires *wires, uint32_t shard);

/* Everything passes at once, from here on; nothing is cut. */
void tina__wires_heal(tina__wires *wires);

/*
 * When something is due; TINA_NONE_NS: never. What a cut holds up may pass in each
 * round, where cuts heal by themselves.
 */
uint64_t tina__wires_next_ns(const tina__wires *wires);

/*
 * Users' messages that senders count as sent and receivers do not count as
 * received: between two ticks, sent_remote = received_remote + the three.
 * on_their_way: written, published or not, and not taken by the destination.
 */
typedef struct tina__wires_ledger {
    uint64_t on_their_way;
    uint64_t dropped; /* lost to chance: what counts.message_drop says */
    uint64_t cut_off; /* lost to a partition */
} tina__wires_ledger;
void tina__wires_read_ledger(const tina__wires *wires, tina__wires_ledger *ledger);

#endif
