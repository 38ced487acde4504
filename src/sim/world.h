/*
 * A simulated system: real shards, made from a spec as boot makes them, turned in
 * rounds on a made clock, with wires between them and a made network below. One
 * thread; everything of a run hangs off its world.
 */
#ifndef TINA__SIM_WORLD_H
#define TINA__SIM_WORLD_H

#include "core/shard.h"
#include "sim/faults.h"
#include "sim/net.h"
#include "sim/record.h"
#include "sim/wire.h"
#include "spec/wipe.h"

/* One shard's place in the world. */
typedef struct tina__world_shard {
    struct tina_sim *world;
    tina__shard *shard;
    tina__backend *backend;
    void *backend_memory;
    tina__budget lives;
    struct tina__budget_entry *lives_entries;
    tina__prng lives_stream;  /* seeds of its next lives */
    tina__prng handler, init; /* crashes */
    uint64_t deadline_ns;     /* when it has to tick again if nothing else happens */
    uint64_t stalled_until;   /* the round from which on it runs again */
    bool is_awake;            /* its last tick did something */
} tina__world_shard;

struct tina_sim {           /* what checkers get */
    tina_system_spec *spec; /* our copy; its handlers may be the world's */
    tina_type *types;       /* the user's own */
    const char **type_names;
    tina_sim_config config; /* no default left open */
    tina__shared shared;
    tina__shard_public *publics;
    tina__plan *plans;
    void **bases;
    tina__world_shard *shards;
    tina__shard **shard_list; /* the same, for the wires */
    uint32_t shard_count;
    uint32_t *order;
    tina__doorbell helper_bell;
    bool has_trap; /* faults are contained */
    bool is_trapped;
    tina__guard guard; /* of the thread, while no shard ticks */

    uint64_t start_ns, now_ns, round_ns;
    uint64_t tick; /* rounds */
    uint64_t next_check, checked;
    tina_sim_end end;
    bool is_booted;
    bool is_healed;
    bool was_quiet; /* once, since it has healed */
    bool is_stopping;
    const char *boot_failure; /* the type whose init failed past the budget while booting, or called the boot off */
    bool is_called_off;

    tina__faults faults;
    tina__prng order_stream, pool_stream, stall_stream, wipe_stream;
    tina__prng *maybe_streams;
    tina__probe probe;
    tina__net *net;
    tina__wires wires;
    tina__record record;
    struct tina__ledger *ledger; /* see sim/ledger.h */
    char violation[256];         /* "": none */
};

typedef struct tina_sim tina__world;

/* Runs it whole. The spec has passed tina__spec_check; the config is the user's, checked. The statuses are tina_simulate's. */
tina_status tina__world_run(const tina_system_spec *spec, const tina_sim_config *config, tina_sim_report *report,
                            tina_error *error);

#endif
