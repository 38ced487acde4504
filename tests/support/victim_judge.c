/* What a test asks of the world in which isolates die, and what a death may cost there. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "support/victim.h"

#define EXPECT(condition) TINA_TEST_EXPECT(world, condition)
#define AWAIT(condition)  TINA_TEST_AWAIT(world, condition)

/* ---- Looking -------------------------------------------------------------------------------------------- */

static tina_stats stats_of(const tina_test_world *world, uint8_t shard)
{
    tina_stats stats = {0};
    tina_ignore(tina_shard_stats(world->system, shard, &stats));
    return stats;
}

tina_test_moment tina_test_world_now(const tina_test_world *world)
{
    tina_test_moment now = {.lines = {0}};
    for (uint8_t shard = 0; shard < world->spec.shard_count; shard++) {
        const tina_test_sight *sight = &world->seen[shard];
        now.shards[shard].stats = stats_of(world, shard);
        now.shards[shard].armed = tina_test_counted(&sight->armed);
        now.shards[shard].survivors = tina_test_counted(&sight->survivors);
        now.shards[shard].answers = tina_test_counted(&sight->answers);
        for (size_t role = 0; role < TINA_TEST_ROLE_COUNT; role++)
            now.shards[shard].inits[role] = tina_test_counted(&sight->inits[role]);
        for (size_t end = 0; end <= TINA_END_GONE; end++)
            now.shards[shard].downs[end] = tina_test_counted(&sight->downs[end]);
    }
    for (size_t i = 0; i < TINA_TEST_LINE_COUNT; i++)
        now.lines[i] = tina_test_counted(&world->lines[i]);
    return now;
}

static bool is_at_rest(const tina_test_world *world, uint8_t shard)
{
    tina_stats stats = stats_of(world, shard);
    bool has_culprit = !world->is_away[shard];
    uint32_t connections = has_culprit && world->has_connection ? 1 : 0;
    return stats.messages.used == 0 && stats.timers.used == 0 && stats.watches.used == (has_culprit ? 1 : 0) &&
           stats.ops.used == connections && stats.buffers.used == 0 && stats.fds.used == connections + 1 &&
           stats.transfers.used == 0 && stats.isolates == TINA_TEST_CHILD_COUNT - (has_culprit ? 0 : 1);
}

bool tina_test_world_rests(tina_test_world *world, uint8_t shard)
{
    AWAIT(is_at_rest(world, shard));
    return true;
}

bool tina_test_world_tell(tina_test_world *world, uint8_t shard, tina_test_role role, tina_tag tag, uint64_t number)
{
    tina_handle to = tina_named(shard, (uint16_t)(role + 1));
    EXPECT(tina_post(world->system, to, tag, &number, sizeof number) == TINA_OK);
    return true;
}

bool tina_test_world_talks(tina_test_world *world, uint8_t shard)
{
    tina_test_sight *sight = &world->seen[shard];
    uint64_t answers = tina_test_counted(&sight->answers);
    if (!tina_test_world_tell(world, shard, TINA_TEST_ASKER, TINA_TEST_TAG_ASK, 0))
        return false;
    AWAIT(tina_test_counted(&sight->answers) == answers + 1);
    EXPECT(tina_test_counted(&sight->in_vain) == 0);
    return true;
}

bool tina_test_world_is_whole(tina_test_world *world, uint8_t shard)
{
    tina_test_sight *sight = &world->seen[shard];
    uint64_t whole = tina_test_counted(&sight->whole);
    if (!tina_test_world_tell(world, shard, TINA_TEST_FRONT, TINA_TEST_TAG_INSPECT, 0) ||
        !tina_test_world_tell(world, shard, TINA_TEST_BEHIND, TINA_TEST_TAG_INSPECT, 0))
        return false;
    AWAIT(tina_test_counted(&sight->whole) + tina_test_counted(&sight->spoilt) == whole + 2);
    EXPECT(tina_test_counted(&sight->spoilt) == 0);
    return true;
}

/* ---- One deed --------------------------------------------------------------------------------------------- */

static bool make_room(tina_test_world *world, uint8_t shard)
{
    if (world->place != TINA_TEST_IN_SPAWN || world->is_away[shard])
        return true;
    if (!tina_test_world_tell(world, shard, TINA_TEST_CULPRIT, TINA_TEST_TAG_LEAVE, 0))
        return false;
    world->is_away[shard] = true;
    AWAIT(stats_of(world, shard).isolates == TINA_TEST_CHILD_COUNT - 1);
    return true;
}

bool tina_test_world_readies(tina_test_world *world, uint8_t shard)
{
    return make_room(world, shard) && tina_test_world_talks(world, shard) && tina_test_world_rests(world, shard);
}

bool tina_test_world_begins(tina_test_world *world, uint8_t shard)
{
    switch (world->place) {
    case TINA_TEST_IN_HANDLER: return tina_test_world_tell(world, shard, TINA_TEST_CULPRIT, TINA_TEST_TAG_DIE, 0);
    case TINA_TEST_IN_INIT:
        atomic_store(&world->seen[shard].dooms, 1);
        return tina_test_world_tell(world, shard, TINA_TEST_CULPRIT, TINA_TEST_TAG_CRASH, 0);
    default: return tina_test_world_tell(world, shard, TINA_TEST_PARENT, TINA_TEST_TAG_SPAWN, 1);
    }
}

/* Who began since: the one that it hit, and nobody else. */
static bool only_the_culprit_began(tina_test_world *world, uint8_t shard, const tina_test_moment *before)
{
    static const uint64_t lives[] = {[TINA_TEST_IN_HANDLER] = 1, [TINA_TEST_IN_INIT] = 2, [TINA_TEST_IN_SPAWN] = 1};
    size_t culprit = world->place == TINA_TEST_IN_SPAWN ? TINA_TEST_DOOMED : TINA_TEST_CULPRIT;
    for (size_t i = 0; i < world->spec.shard_count; i++) {
        for (size_t role = 0; role < TINA_TEST_ROLE_COUNT; role++) {
            uint64_t more = i == shard && role == culprit ? lives[world->place] : 0;
            EXPECT(tina_test_counted(&world->seen[i].inits[role]) == before->shards[i].inits[role] + more);
        }
    }
    return true;
}

static bool counters_agree(tina_test_world *world, const tina_stats *before, const tina_stats *now, tina_test_fate fate)
{
    static const uint64_t restarts[] = {[TINA_TEST_IN_HANDLER] = 1, [TINA_TEST_IN_INIT] = 2, [TINA_TEST_IN_SPAWN] = 0};
    uint64_t crashes = (uint64_t)(world->place == TINA_TEST_IN_INIT) + (fate == TINA_TEST_LIVES);
    EXPECT(now->faults - before->faults == (fate != TINA_TEST_LIVES));
    EXPECT(now->watchdog_kills - before->watchdog_kills == (fate == TINA_TEST_IS_KILLED));
    EXPECT(now->crashes - before->crashes == crashes);
    EXPECT(now->restarts - before->restarts == restarts[world->place]);
    EXPECT(now->shard_restarts == before->shard_restarts);
    EXPECT(now->escalations == before->escalations);
    EXPECT(now->state == TINA_SHARD_RUNNING);
    return true;
}

static bool watcher_was_told(tina_test_world *world, uint8_t shard, const tina_test_moment *before, tina_test_fate fate)
{
    static const tina_end ends[] = {TINA_END_CRASH, TINA_END_FAULT, TINA_END_KILLED};
    tina_end end = world->place == TINA_TEST_IN_HANDLER ? ends[fate] : TINA_END_CRASH;
    for (size_t i = 0; i < TINA_END_GONE && world->place != TINA_TEST_IN_SPAWN; i++)
        EXPECT(tina_test_counted(&world->seen[shard].downs[i]) == before->shards[shard].downs[i] + (i == end));
    return true;
}

static bool nothing_is_strange(tina_test_world *world, uint8_t shard)
{
    const tina_test_sight *sight = &world->seen[shard];
    EXPECT(world->mishap == NULL);
    EXPECT(tina_test_counted(&sight->ghosts) == 0);
    EXPECT(tina_test_counted(&sight->letters) == tina_test_counted(&sight->spawned));
    return true;
}

static bool log_says(tina_test_world *world, const tina_test_moment *before, tina_test_fate fate)
{
    const tina_test_count *lines = &world->lines[TINA_TEST_LINE_FAULT];
    uint64_t expected = before->lines[TINA_TEST_LINE_FAULT] + (fate != TINA_TEST_LIVES);
    AWAIT(tina_test_counted(lines) >= expected);
    EXPECT(tina_test_counted(lines) == expected);
    return true;
}

/* The deed is over, and a question was there when it was done. */
static bool is_over(tina_test_world *world, uint8_t shard, const tina_test_moment *before, tina_test_fate fate)
{
    const tina_test_sight *sight = &world->seen[shard];
    uint64_t survivors = before->shards[shard].survivors, armed = before->shards[shard].armed;
    AWAIT(stats_of(world, shard).faults + tina_test_counted(&sight->survivors) >
          before->shards[shard].stats.faults + survivors);
    AWAIT(tina_test_counted(&sight->answers) == before->shards[shard].answers + 1);
    AWAIT(world->place == TINA_TEST_IN_SPAWN || tina_test_counted(&sight->armed) > armed);
    EXPECT(tina_test_counted(&sight->survivors) == survivors + (fate == TINA_TEST_LIVES));
    return true;
}

static bool cost_is(tina_test_world *world, uint8_t shard, const tina_test_moment *before, tina_test_fate fate)
{
    if (!tina_test_world_talks(world, shard) || !tina_test_world_is_whole(world, shard) ||
        !tina_test_world_rests(world, shard))
        return false;
    tina_stats now = stats_of(world, shard);
    return log_says(world, before, fate) && counters_agree(world, &before->shards[shard].stats, &now, fate) &&
           only_the_culprit_began(world, shard, before) && watcher_was_told(world, shard, before, fate) &&
           nothing_is_strange(world, shard);
}

bool tina_test_world_round(tina_test_world *world, uint8_t shard, tina_test_fate fate)
{
    tina_test_sight *sight = &world->seen[shard];
    if (!tina_test_world_readies(world, shard))
        return false;
    tina_test_moment before = tina_test_world_now(world);
    atomic_store(&sight->loop_ns, 0);
    atomic_store(&sight->answered_ns, 0);
    return tina_test_world_begins(world, shard) &&
           tina_test_world_tell(world, shard, TINA_TEST_ASKER, TINA_TEST_TAG_ASK, 0) &&
           is_over(world, shard, &before, fate) && cost_is(world, shard, &before, fate);
}

/* ---- A wipe ----------------------------------------------------------------------------------------------- */

static bool all_began_anew(tina_test_world *world, uint8_t shard, const tina_test_moment *before)
{
    for (size_t role = 0; role < TINA_TEST_CHILD_COUNT; role++)
        AWAIT(tina_test_counted(&world->seen[shard].inits[role]) > before->shards[shard].inits[role]);
    AWAIT(tina_test_counted(&world->seen[shard].armed) > before->shards[shard].armed);
    EXPECT(stats_of(world, shard).state == TINA_SHARD_RUNNING);
    return true;
}

static bool nobody_noticed(tina_test_world *world, uint8_t shard, const tina_test_moment *before)
{
    tina_stats now = stats_of(world, shard);
    const tina_stats *then = &before->shards[shard].stats;
    for (size_t role = 0; role < TINA_TEST_ROLE_COUNT; role++)
        EXPECT(tina_test_counted(&world->seen[shard].inits[role]) == before->shards[shard].inits[role]);
    EXPECT(now.shard_restarts == then->shard_restarts);
    EXPECT(now.faults == then->faults);
    EXPECT(now.state == TINA_SHARD_RUNNING);
    return tina_test_world_talks(world, shard) && tina_test_world_is_whole(world, shard);
}

bool tina_test_world_was_wiped(tina_test_world *world, uint8_t shard, const tina_test_moment *before)
{
    uint64_t restarts = before->shards[shard].stats.shard_restarts;
    AWAIT(stats_of(world, shard).shard_restarts > restarts);
    EXPECT(stats_of(world, shard).shard_restarts == restarts + 1);
    world->is_away[shard] = false;
    if (!all_began_anew(world, shard, before))
        return false;
    for (uint8_t i = 0; i < world->spec.shard_count; i++) {
        if (i != shard && !nobody_noticed(world, i, before))
            return false;
    }
    return tina_test_world_talks(world, shard) && tina_test_world_is_whole(world, shard) &&
           tina_test_world_rests(world, shard);
}
