/*
 * Descriptors that go around a ring of shards. Each is a socket with a port of its own,
 * by which it is known again. Keepers on every shard give what they have to the next,
 * there or beside them, and sometimes wait on it for a while first. A mint tries again
 * and again to open those that were not seen for long: while one is open anywhere, its
 * port is taken; so one that was lost with its keeper is made anew, and one that nobody
 * has and nobody closed is found out.
 *
 * What the checkers demand: no two keepers have the same; and when the mint has found
 * that each is somewhere, each is one keeper's who lives. What healing demands: that the
 * mint comes to that end.
 */
#include "draw.h"

#include <stdio.h>
#include <string.h>
#include <tina/sim_main.h>

enum { TYPE_KEEPER, TYPE_MINT, TYPE_COUNT };
enum { SHARDS_MAX = 4, KEEPERS_PER_SHARD = 2, KEEPERS_MAX = SHARDS_MAX * KEEPERS_PER_SHARD, TOKENS = 12 };
enum {
    FEW = 2,
    FDS_MIN = 6
}; /* all keepers of four shards have room for all with few each, and a shard for few each and more */
enum { TAG_ON = TINA_TAG_USER, TAG_LOOK, TAG_SETTLED };
enum { NAME_KEEPER = 1 }; /* and those that follow */

#define MILLISECOND_NS 1000000ull
#define SECOND_NS      (1000 * MILLISECOND_NS)
#define CLOSING_NS     (14 * SECOND_NS) /* until when they go round: 14,000 rounds, before everything heals */
#define SETTLE_NS      (16 * SECOND_NS) /* from when on nobody ends any more, where it has healed */
#define UNSEEN_NS      (100 * MILLISECOND_NS)
#define FIRST_PORT     5000

/* The spec's user pointer. Shards of a simulation share it. */
typedef struct ring {
    uint32_t shards;
    uint64_t pace_ns, begin_ns;
    uint64_t seen_ns[TOKENS]; /* when a keeper last had it in hand */
    uint64_t hops;
    uint32_t births;  /* of keepers, who begin with none */
    bool is_complete; /* each is somewhere, nobody gives any more, and nobody has ended since */
    char wrong[128];
} ring;

static void wrong(const char *what, uint32_t token, const tina_ctx *ctx)
{
    ring *run = tina_user(ctx);
    if (run->wrong[0] == '\0')
        snprintf(run->wrong, sizeof run->wrong, "descriptor %u: %s", token, what);
}

static bool is_closing(const tina_ctx *ctx)
{
    const ring *run = tina_user(ctx);
    return tina_now(ctx) >= run->begin_ns + CLOSING_NS || tina_is_shutting_down(ctx);
}

static uint32_t below(uint32_t bound, tina_ctx *ctx) { return (uint32_t)(tina_random(ctx) % bound); }

/* ---- Keepers ------------------------------------------------------------------------- */

typedef struct keeper {
    uint16_t name;
    tina_fd kept[TOKENS];
    bool is_waiting[TOKENS]; /* an accept is under way on it */
} keeper;

static tina_effect keeper_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    keeper *me = self;
    ring *run = tina_user(ctx);
    memcpy(&me->name, args, args_size);
    run->is_complete = false;
    run->births++;
    return tina_timer_repeat(ctx, run->pace_ns + below(3, ctx) * MILLISECOND_NS, TAG_ON, NULL) == TINA_OK ? tina_receive()
                                                                                                          : tina_crash(1);
}

/* Which it is; TOKENS: none that can be. */
static uint32_t token_of(tina_fd fd, tina_ctx *ctx)
{
    tina_address address = {0};
    if (tina_local_address(ctx, fd, &address) != TINA_OK || address.port < FIRST_PORT || address.port >= FIRST_PORT + TOKENS)
        return TOKENS;
    return address.port - FIRST_PORT;
}

static void keep(keeper *me, tina_fd fd, tina_ctx *ctx)
{
    ring *run = tina_user(ctx);
    uint32_t token = token_of(fd, ctx);
    if (token == TOKENS || !tina_fd_is_none(me->kept[token])) {
        wrong("came, and is none, or is here already", token, ctx);
        return;
    }
    me->kept[token] = fd;
    me->is_waiting[token] = false;
    run->seen_ns[token] = tina_now(ctx);
}

static tina_handle next_keeper(const keeper *me, tina_ctx *ctx)
{
    const ring *run = tina_user(ctx);
    uint8_t shard = tina_shard(ctx);
    if (below(4, ctx) == 0) {
        tina_reached(ctx, "a descriptor is given on its shard");
        return tina_named(shard, (uint16_t)(NAME_KEEPER + NAME_KEEPER + KEEPERS_PER_SHARD - 1 - me->name));
    }
    return tina_named((uint8_t)((shard + 1) % run->shards), (uint16_t)(NAME_KEEPER + below(KEEPERS_PER_SHARD, ctx)));
}

static void give(keeper *me, uint32_t token, tina_ctx *ctx)
{
    ring *run = tina_user(ctx);
    tina_status status = tina_fd_give(ctx, next_keeper(me, ctx), me->kept[token]);
    if (me->is_waiting[token] && status != TINA_BUSY)
        wrong("was given while something was under way on it", token, ctx);
    if (status == TINA_STALE_HANDLE && token_of(me->kept[token], ctx) != token)
        wrong("is not his who has it", token, ctx);
    if (status == TINA_OK) {
        me->kept[token].bits = 0;
        run->hops++;
    }
}

static void wait_on(keeper *me, uint32_t token, tina_ctx *ctx)
{
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->kept[token], .timeout_ns = 3 * MILLISECOND_NS, .user = token};
    if (!me->is_waiting[token])
        me->is_waiting[token] = tina_io_start(ctx, &accept) == TINA_OK;
    else if (below(2, ctx) == 0)
        tina_io_cancel(ctx, me->kept[token], TINA_BOTH_HALVES);
}

/* In the end nobody gives, but who has so many that the mint might find no room. */
static bool may_keep_all(const keeper *me, const tina_ctx *ctx)
{
    uint32_t count = 0;
    for (uint32_t token = 0; token < TOKENS; token++)
        count += !tina_fd_is_none(me->kept[token]);
    return is_closing(ctx) && count <= FEW;
}

static tina_effect keeper_go_on(keeper *me, tina_ctx *ctx)
{
    ring *run = tina_user(ctx);
    for (uint32_t token = 0; token < TOKENS; token++) {
        if (tina_fd_is_none(me->kept[token]))
            continue;
        run->seen_ns[token] = tina_now(ctx);
        if (may_keep_all(me, ctx))
            continue;
        switch (below(5, ctx)) {
        case 0: break;
        case 1: wait_on(me, token, ctx); break;
        default: give(me, token, ctx); break;
        }
    }
    return tina_receive();
}

static tina_effect keeper_take(keeper *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status == TINA_SHARD_DOWN) {
        tina_reached(ctx, "a descriptor is lost with the next shard");
        return tina_receive();
    }
    if (message->io.status == TINA_OK)
        tina_reached(ctx, "a descriptor goes on");
    else if (message->io.status == TINA_STALE_HANDLE)
        tina_reached(ctx, "a descriptor comes back, since nobody is there");
    else if (message->io.status == TINA_POOL_EXHAUSTED)
        tina_reached(ctx, "a descriptor comes back, since there is no room for it");
    else
        tina_reached(ctx, "a descriptor comes back, since its message was lost, or the mailbox is full");
    keep(me, message->io.fd, ctx);
    return tina_receive();
}

static tina_effect keeper_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    keeper *me = self;
    switch (message->tag) {
    case TAG_ON: return keeper_go_on(me, ctx);
    case TINA_TAG_FD: return keeper_take(me, message, ctx);
    case TINA_IO_ACCEPT: me->is_waiting[message->io.user] = false; return tina_receive();
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The mint ------------------------------------------------------------------------- */

typedef struct mint {
    uint32_t next;  /* token to look at */
    uint32_t found; /* one behind the other that were there */
    uint32_t births;
    tina_fd fresh; /* made, and nobody has taken it yet */
} mint;

/* While it waits for something else than a repeating timer, the system is not quiet. */
static tina_effect mint_wait(uint64_t delay_ns, tina_tag tag, tina_ctx *ctx)
{
    return tina_timer_start(ctx, delay_ns, tag, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect mint_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    ring *run = tina_user(ctx);
    if (run->begin_ns == 0)
        run->begin_ns = tina_now(ctx);
    return mint_wait(MILLISECOND_NS, TAG_LOOK, ctx);
}

static tina_effect mint_spend(mint *me, tina_ctx *ctx)
{
    const ring *run = tina_user(ctx);
    uint8_t shard = (uint8_t)below(run->shards, ctx);
    tina_handle to = tina_named(shard, (uint16_t)(NAME_KEEPER + below(KEEPERS_PER_SHARD, ctx)));
    me->found = 0;
    if (tina_fd_give(ctx, to, me->fresh) == TINA_OK)
        me->fresh.bits = 0;
    return mint_wait(MILLISECOND_NS, TAG_LOOK, ctx);
}

static bool was_seen(uint32_t token, const tina_ctx *ctx)
{
    const ring *run = tina_user(ctx);
    return run->seen_ns[token] != 0 && tina_now(ctx) < run->seen_ns[token] + UNSEEN_NS;
}

/* It is somewhere: so are all, when each was found once without any that was not, and no keeper has ended. */
static tina_effect mint_found(mint *me, tina_ctx *ctx)
{
    const ring *run = tina_user(ctx);
    me->next = (me->next + 1) % TOKENS;
    me->found = me->births == run->births ? me->found + 1 : 0;
    me->births = run->births;
    if (tina_now(ctx) >= run->begin_ns + SETTLE_NS && me->found > TOKENS)
        return mint_wait(SECOND_NS, TAG_SETTLED, ctx);
    return mint_wait(MILLISECOND_NS, TAG_LOOK, ctx);
}

static tina_effect mint_settle(const mint *me, tina_ctx *ctx)
{
    ring *run = tina_user(ctx);
    if (me->births != run->births || !tina_fd_is_none(me->fresh))
        return mint_wait(MILLISECOND_NS, TAG_LOOK, ctx);
    run->is_complete = true;
    return tina_receive();
}

static tina_effect mint_look(mint *me, tina_ctx *ctx)
{
    tina_address address = tina_ipv4(127, 0, 0, 1, (uint16_t)(FIRST_PORT + me->next));
    if (!tina_fd_is_none(me->fresh))
        return mint_spend(me, ctx);
    if (was_seen(me->next, ctx))
        return mint_found(me, ctx);
    tina_fd fd;
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) != TINA_OK)
        return mint_wait(MILLISECOND_NS, TAG_LOOK, ctx);
    if (tina_bind(ctx, fd, &address) != TINA_OK) {
        tina_ignore(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fd}));
        return mint_found(me, ctx);
    }
    if (tina_listen(ctx, fd, 1) != TINA_OK)
        return tina_crash(2);
    tina_reached(ctx, "a descriptor is made anew");
    me->fresh = fd;
    return mint_spend(me, ctx);
}

/* It came back; where another was made meanwhile, it is closed, and made anew. */
static tina_effect mint_take_back(mint *me, const tina_message *message, tina_ctx *ctx)
{
    me->found = 0;
    if (message->io.status == TINA_SHARD_DOWN)
        return tina_receive();
    if (!tina_fd_is_none(me->fresh))
        return tina_io_close(ctx, message->io.fd);
    me->fresh = message->io.fd;
    return tina_receive();
}

static tina_effect mint_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    mint *me = self;
    switch (message->tag) {
    case TAG_LOOK: return mint_look(me, ctx);
    case TAG_SETTLED: return mint_settle(me, ctx);
    case TINA_TAG_FD: return mint_take_back(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- What must hold --------------------------------------------------------------------- */

/* Returns how many keepers live; count: how many of them have each. */
static uint32_t count_kept(const tina_sim *sim, const ring *run, uint32_t *count)
{
    uint32_t living = 0;
    for (uint32_t i = 0; i < run->shards * KEEPERS_PER_SHARD; i++) {
        const keeper *at = tina_sim_isolate(sim, (uint8_t)(i / KEEPERS_PER_SHARD), TYPE_KEEPER, i % KEEPERS_PER_SHARD, NULL);
        living += at != NULL;
        for (uint32_t token = 0; token < TOKENS && at != NULL; token++)
            count[token] += !tina_fd_is_none(at->kept[token]);
    }
    return living;
}

static bool check(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)tick;
    const ring *run = user;
    uint32_t count[TOKENS] = {0};
    uint32_t living = count_kept(sim, run, count);
    snprintf(why, why_size, "%s", run->wrong);
    if (run->wrong[0] != '\0')
        return false;
    for (uint32_t token = 0; token < TOKENS; token++) {
        snprintf(why, why_size, "descriptor %u is %u keepers'", token, count[token]);
        if (count[token] > 1)
            return false;
        if (run->is_complete && living == run->shards * KEEPERS_PER_SHARD && count[token] != 1)
            return false;
    }
    return true;
}

/* ---- The simulation ---------------------------------------------------------------------- */

static void grow(tina_shard_spec *shards, uint32_t count)
{
    static const uint16_t names[KEEPERS_PER_SHARD] = {NAME_KEEPER, NAME_KEEPER + 1};
    static tina_child children[KEEPERS_PER_SHARD + 1];
    for (uint32_t i = 0; i < KEEPERS_PER_SHARD; i++)
        children[i] = (tina_child){.type = TYPE_KEEPER, .name = names[i], .args = &names[i], .args_size = sizeof names[i]};
    children[KEEPERS_PER_SHARD] = (tina_child){.type = TYPE_MINT};
    for (uint32_t shard = 0; shard < count; shard++) {
        shards[shard].root = (tina_group_spec){.children = children,
                                               .child_count = shard == 0 ? KEEPERS_PER_SHARD + 1 : KEEPERS_PER_SHARD,
                                               .restart_max = 1000,
                                               .backoff_ns = MILLISECOND_NS,
                                               .backoff_max_ns = 20 * MILLISECOND_NS};
    }
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static const tina_type types[TYPE_COUNT] = {
        [TYPE_KEEPER] = {"keeper", keeper_init, keeper_handle, sizeof(keeper), .slot_count = KEEPERS_PER_SHARD},
        [TYPE_MINT] = {"mint", mint_init, mint_handle, sizeof(mint), .slot_count = 1},
    };
    static const tina_checker_fn checkers[] = {check};
    static tina_shard_spec shards[SHARDS_MAX];
    static ring run;
    memset(&run, 0, sizeof run);
    run.shards = SHARDS_MAX;
    run.pace_ns = draw(&seed, 1, 4) * MILLISECOND_NS;
    grow(shards, run.shards);
    spec->types = types;
    spec->type_count = TYPE_COUNT;
    spec->shards = shards;
    spec->shard_count = run.shards;
    spec->user = &run;
    spec->shard_restart_max = 1000000; /* no shard is quarantined: the mint wants to come to an end */
    spec->timer_resolution_ns = MILLISECOND_NS;
    spec->timer_count = 16;
    spec->fd_count = draw(&seed, 0, 1) == 0 ? FDS_MIN : 2 * TOKENS;
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = sizeof checkers / sizeof checkers[0];
    config->checker_user = &run;
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
