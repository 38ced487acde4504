/*
 * Everything that can be turned on a run besides its seed and its length, as one
 * table: rates, ranges, limits. What draws, writes, reads and shrinks them goes
 * through the table and knows none by itself. Values; any thread.
 */
#ifndef TINA__SWARM_KNOBS_H
#define TINA__SWARM_KNOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/sim.h>

typedef enum tina__knob {
    TINA__KNOB_HANDLER_CRASH, /* the fields of tina_faults, in its order */
    TINA__KNOB_INIT_CRASH,
    TINA__KNOB_MESSAGE_DROP,
    TINA__KNOB_PARTITION,
    TINA__KNOB_PARTITION_HEAL,
    TINA__KNOB_MESSAGE_DELAY,
    TINA__KNOB_IO_ERROR,
    TINA__KNOB_CONNECTION_RESET,
    TINA__KNOB_SHORT_IO,
    TINA__KNOB_IO_DELAY,
    TINA__KNOB_DISK_ERROR,
    TINA__KNOB_DISK_TORN_WRITE,
    TINA__KNOB_DISK_LOST_WRITE,
    TINA__KNOB_DISK_BIT_ROT,
    TINA__KNOB_POOL_EMPTY,
    TINA__KNOB_SHARD_STALL,
    TINA__KNOB_SHARD_STALL_LENGTH,
    TINA__KNOB_SHARD_FAULT,
    TINA__KNOB_DATAGRAM_LOSS,
    TINA__KNOB_DATAGRAM_DOUBLE,
    TINA__KNOB_MESSAGE_COUNT, /* fields of tina_system_spec */
    TINA__KNOB_CHANNEL_CAPACITY,
    TINA__KNOB_INBOX_CAPACITY,
    TINA__KNOB_TIMER_COUNT,
    TINA__KNOB_WATCH_COUNT,
    TINA__KNOB_FD_COUNT,
    TINA__KNOB_OP_COUNT,
    TINA__KNOB_BUFFER_COUNT,
    TINA__KNOB_BUFFER_SIZE,
    TINA__KNOB_TRANSFER_COUNT,
    TINA__KNOB_SHARD_RESTART_MAX,
    TINA__KNOB_TIMER_RESOLUTION_NS,
    TINA__KNOB_KEEP_SHARD_ORDER, /* of tina_sim_config */
    TINA__KNOB_COUNT,
    TINA__KNOB_FIRST_LIMIT = TINA__KNOB_MESSAGE_COUNT,
    TINA__KNOB_LAST_LIMIT = TINA__KNOB_TIMER_RESOLUTION_NS,
} tina__knob;

typedef enum tina__knob_form {
    TINA__FORM_RATIO,  /* first in second */
    TINA__FORM_RANGE,  /* first to second */
    TINA__FORM_LIMIT,  /* first; 0: what make has said */
    TINA__FORM_SWITCH, /* first: 1; 0: what make has said */
} tina__knob_form;

/* Zeroed: off. */
typedef struct tina__setting {
    uint64_t first, second;
} tina__setting;

typedef struct tina__knobs {
    tina__setting of[TINA__KNOB_COUNT];
} tina__knobs;

const char *tina__knob_name(tina__knob knob);
tina__knob_form tina__knob_form_of(tina__knob knob);
/* TINA__KNOB_COUNT: there is none of that name. name is not terminated. */
tina__knob tina__knob_find(const char *name, size_t length);
bool tina__knob_is_on(const tina__knobs *knobs, tina__knob knob);
static inline bool tina__knob_is_limit(tina__knob knob)
{
    return knob >= TINA__KNOB_FIRST_LIMIT && knob <= TINA__KNOB_LAST_LIMIT;
}

/* The most that a field can hold. */
uint64_t tina__knob_most(tina__knob knob);

#define TINA__SETTING_TEXT 48
/* "1/1000", "3..10", "17". */
void tina__setting_print(tina__knob knob, tina__setting setting, char text[TINA__SETTING_TEXT]);

/* What make has set: the faults. Its limits are no setting of ours. */
void tina__knobs_take(tina__knobs *knobs, const tina_sim_config *config);
/* The faults instead of the config's, and those limits that are on instead of the spec's. */
void tina__knobs_put(const tina__knobs *knobs, tina_system_spec *spec, tina_sim_config *config);
/* What a limit is in a spec. */
uint64_t tina__knob_limit_in(tina__knob knob, const tina_system_spec *spec);

#endif
