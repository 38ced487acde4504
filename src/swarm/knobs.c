#include "swarm/knobs.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One row for each: where it lies. */
typedef struct row {
    const char *name;
    size_t offset; /* in tina_faults, tina_system_spec or tina_sim_config */
    size_t size;
    tina__knob_form form;
} row;

#define RATIO(field)                                                                                                        \
    {                                                                                                                       \
#field, offsetof(tina_faults, field), sizeof(tina_ratio), TINA__FORM_RATIO                                          \
    }
#define RANGE(field)                                                                                                        \
    {                                                                                                                       \
#field, offsetof(tina_faults, field), sizeof(tina_range), TINA__FORM_RANGE                                          \
    }
#define LIMIT(field)                                                                                                        \
    {                                                                                                                       \
#field, offsetof(tina_system_spec, field), sizeof(((tina_system_spec *)0)->field), TINA__FORM_LIMIT                 \
    }
#define SWITCH(field)                                                                                                       \
    {                                                                                                                       \
#field, offsetof(tina_sim_config, field), sizeof(bool), TINA__FORM_SWITCH                                           \
    }

static const row rows[TINA__KNOB_COUNT] = {
    [TINA__KNOB_HANDLER_CRASH] = RATIO(handler_crash),
    [TINA__KNOB_INIT_CRASH] = RATIO(init_crash),
    [TINA__KNOB_MESSAGE_DROP] = RATIO(message_drop),
    [TINA__KNOB_PARTITION] = RATIO(partition),
    [TINA__KNOB_PARTITION_HEAL] = RATIO(partition_heal),
    [TINA__KNOB_MESSAGE_DELAY] = RANGE(message_delay),
    [TINA__KNOB_IO_ERROR] = RATIO(io_error),
    [TINA__KNOB_CONNECTION_RESET] = RATIO(connection_reset),
    [TINA__KNOB_SHORT_IO] = RATIO(short_io),
    [TINA__KNOB_IO_DELAY] = RANGE(io_delay),
    [TINA__KNOB_DISK_ERROR] = RATIO(disk_error),
    [TINA__KNOB_DISK_TORN_WRITE] = RATIO(disk_torn_write),
    [TINA__KNOB_DISK_LOST_WRITE] = RATIO(disk_lost_write),
    [TINA__KNOB_DISK_BIT_ROT] = RATIO(disk_bit_rot),
    [TINA__KNOB_POOL_EMPTY] = RATIO(pool_empty),
    [TINA__KNOB_SHARD_STALL] = RATIO(shard_stall),
    [TINA__KNOB_SHARD_STALL_LENGTH] = RANGE(shard_stall_length),
    [TINA__KNOB_SHARD_FAULT] = RATIO(shard_fault),
    [TINA__KNOB_DATAGRAM_LOSS] = RATIO(datagram_loss),
    [TINA__KNOB_DATAGRAM_DOUBLE] = RATIO(datagram_double),
    [TINA__KNOB_MESSAGE_COUNT] = LIMIT(message_count),
    [TINA__KNOB_CHANNEL_CAPACITY] = LIMIT(channel_capacity),
    [TINA__KNOB_INBOX_CAPACITY] = LIMIT(inbox_capacity),
    [TINA__KNOB_TIMER_COUNT] = LIMIT(timer_count),
    [TINA__KNOB_WATCH_COUNT] = LIMIT(watch_count),
    [TINA__KNOB_FD_COUNT] = LIMIT(fd_count),
    [TINA__KNOB_OP_COUNT] = LIMIT(op_count),
    [TINA__KNOB_BUFFER_COUNT] = LIMIT(buffer_count),
    [TINA__KNOB_BUFFER_SIZE] = LIMIT(buffer_size),
    [TINA__KNOB_TRANSFER_COUNT] = LIMIT(transfer_count),
    [TINA__KNOB_SHARD_RESTART_MAX] = LIMIT(shard_restart_max),
    [TINA__KNOB_TIMER_RESOLUTION_NS] = LIMIT(timer_resolution_ns),
    [TINA__KNOB_KEEP_SHARD_ORDER] = SWITCH(keep_shard_order),
};

TINA_STATIC_ASSERT(sizeof(tina_faults) == (TINA__KNOB_FIRST_LIMIT) * sizeof(tina_ratio), "each fault has its knob");

const char *tina__knob_name(tina__knob knob) { return rows[knob].name; }

tina__knob_form tina__knob_form_of(tina__knob knob) { return rows[knob].form; }

tina__knob tina__knob_find(const char *name, size_t length)
{
    tina__knob knob = 0;
    while (knob < TINA__KNOB_COUNT && (strlen(rows[knob].name) != length || memcmp(rows[knob].name, name, length) != 0))
        knob++;
    return knob;
}

bool tina__knob_is_on(const tina__knobs *knobs, tina__knob knob)
{
    const tina__setting *setting = &knobs->of[knob];
    return rows[knob].form == TINA__FORM_RANGE ? setting->second != 0 : setting->first != 0;
}

uint64_t tina__knob_most(tina__knob knob)
{
    switch (rows[knob].form) {
    case TINA__FORM_SWITCH: return 1;
    case TINA__FORM_LIMIT: return rows[knob].size == sizeof(uint64_t) ? UINT64_MAX : UINT32_MAX;
    default: return UINT32_MAX;
    }
}

void tina__setting_print(tina__knob knob, tina__setting setting, char text[TINA__SETTING_TEXT])
{
    switch (rows[knob].form) {
    case TINA__FORM_RATIO: snprintf(text, TINA__SETTING_TEXT, "%" PRIu64 "/%" PRIu64, setting.first, setting.second); break;
    case TINA__FORM_RANGE: snprintf(text, TINA__SETTING_TEXT, "%" PRIu64 "..%" PRIu64, setting.first, setting.second); break;
    default: snprintf(text, TINA__SETTING_TEXT, "%" PRIu64, setting.first);
    }
}

static tina__setting take_fault(const row *from, const char *faults)
{
    uint32_t pair[2]; /* a tina_ratio or a tina_range */
    memcpy(pair, faults + from->offset, sizeof pair);
    if (from->form == TINA__FORM_RATIO && pair[0] == 0)
        return (tina__setting){0};
    if (from->form == TINA__FORM_RATIO && pair[1] == 0)
        pair[1] = 1;
    return (tina__setting){pair[0], pair[1]};
}

static void put_fault(const row *to, tina__setting setting, char *faults)
{
    uint32_t pair[2] = {(uint32_t)setting.first, (uint32_t)setting.second};
    memcpy(faults + to->offset, pair, sizeof pair);
}

TINA_STATIC_ASSERT(sizeof(tina_ratio) == 2 * sizeof(uint32_t), "two words");
TINA_STATIC_ASSERT(sizeof(tina_range) == 2 * sizeof(uint32_t), "two words");

void tina__knobs_take(tina__knobs *knobs, const tina_sim_config *config)
{
    *knobs = (tina__knobs){0};
    for (tina__knob knob = 0; knob < TINA__KNOB_FIRST_LIMIT; knob++)
        knobs->of[knob] = take_fault(&rows[knob], (const char *)&config->faults);
    knobs->of[TINA__KNOB_KEEP_SHARD_ORDER].first = config->keep_shard_order;
}

static void put_limit(const row *to, uint64_t value, char *spec)
{
    uint32_t narrow = (uint32_t)value;
    if (to->size == sizeof narrow)
        memcpy(spec + to->offset, &narrow, sizeof narrow);
    else
        memcpy(spec + to->offset, &value, sizeof value);
}

void tina__knobs_put(const tina__knobs *knobs, tina_system_spec *spec, tina_sim_config *config)
{
    for (tina__knob knob = 0; knob < TINA__KNOB_FIRST_LIMIT; knob++)
        put_fault(&rows[knob], knobs->of[knob], (char *)&config->faults);
    for (tina__knob knob = TINA__KNOB_FIRST_LIMIT; knob <= TINA__KNOB_LAST_LIMIT; knob++) {
        if (tina__knob_is_on(knobs, knob))
            put_limit(&rows[knob], knobs->of[knob].first, (char *)spec);
    }
    if (tina__knob_is_on(knobs, TINA__KNOB_KEEP_SHARD_ORDER))
        config->keep_shard_order = true;
}

uint64_t tina__knob_limit_in(tina__knob knob, const tina_system_spec *spec)
{
    uint32_t narrow;
    uint64_t wide;
    tina__assert(tina__knob_is_limit(knob));
    memcpy(&narrow, (const char *)spec + rows[knob].offset, sizeof narrow);
    if (rows[knob].size == sizeof narrow)
        return narrow;
    memcpy(&wide, (const char *)spec + rows[knob].offset, sizeof wide);
    return wide;
}
