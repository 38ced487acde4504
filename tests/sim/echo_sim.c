/*
 * The isolates of examples/tcp_echo.c in a made world. Beside its own clients there
 * are provers: they send numbered records of random sizes, and have each come back
 * byte for byte before they send the next. Whatever happens to a connection, they
 * begin again with another. Server and provers are in one spec, on one or more shards.
 *
 * What the checkers demand: no byte is wrong, and when all provers have closed their
 * last connection for good, the server has no isolate for any. What healing demands:
 * that each prover has a whole record back from a server that nothing disturbs.
 */
int tcp_echo_main(int argc, char **argv);
#define main tcp_echo_main
#include "../../examples/tcp_echo.c"
#undef main

#include "draw.h"
#include "referee.h"

#include <tina/sim_main.h>

enum { TYPE_PROVER = TYPE_COUNT, TYPE_REFEREE, TYPE_COUNT_HERE };
enum { SHARDS_HERE_MAX = 4, PROVERS_PER_SHARD_MAX = 4, CONNECTIONS_MAX = 64, RECORD_MAX = 20000 };
enum { TAG_SETTLED = TAG_TIME_TO_ASK + 1 };

#define MILLISECOND_NS 1000000ull
#define PATIENCE_NS    (500 * MILLISECOND_NS)
#define OPEN_NS        (14 * SECOND_NS)   /* until when a prover begins records: 14,000 rounds, before everything heals */
#define SETTLE_NS      (1000 * SECOND_NS) /* by then a slow server has accepted, and seen the end of, all who did not wait */

/* What outlives a prover. One writer, the prover. */
typedef struct proof {
    uint64_t closing_ns;
    uint32_t number; /* of the record that is under way */
    uint32_t wrong_at;
    bool is_wrong, is_settled;
    bool is_served; /* a record that it began when it was about to close came back whole */
} proof;

/* The spec's user pointer, to the example's own isolates their settings. */
typedef struct echo_run {
    echo_settings settings;
    uint32_t provers_per_shard, record_max;
    uint64_t pause_ns;
    proof proofs[SHARDS_HERE_MAX * PROVERS_PER_SHARD_MAX];
} echo_run;

/* ---- A prover ------------------------------------------------------------------ */

typedef struct prover {
    tina_fd fd;
    uint32_t index;
    uint32_t size, echoed_size;
    bool is_sending, is_last;
    uint8_t record[RECORD_MAX]; /* sent from here, so unchanged until the send is over */
} prover;

static proof *proof_of(const prover *me, const tina_ctx *ctx)
{
    echo_run *run = tina_user(ctx);
    return &run->proofs[me->index];
}

static bool is_closing(const prover *me, const tina_ctx *ctx) { return tina_now(ctx) >= proof_of(me, ctx)->closing_ns; }

static bool has_more(const prover *me, const tina_ctx *ctx) { return !is_closing(me, ctx) || !proof_of(me, ctx)->is_served; }

static tina_effect prover_wait(uint64_t delay_ns, tina_tag tag, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, delay_ns, tag, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect prover_begin(const prover *me, tina_ctx *ctx)
{
    if (has_more(me, ctx))
        return ask_port(ctx);
    return proof_of(me, ctx)->is_settled ? tina_receive() : prover_wait(SETTLE_NS, TAG_SETTLED, ctx);
}

static tina_effect prover_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    prover *me = self;
    const echo_run *run = tina_user(ctx);
    uint32_t place = 0;
    memcpy(&place, args, args_size);
    me->index = tina_shard(ctx) * run->provers_per_shard + place;
    if (proof_of(me, ctx)->closing_ns == 0)
        proof_of(me, ctx)->closing_ns = tina_now(ctx) + OPEN_NS;
    else
        tina_reached(ctx, "a prover goes on after a restart");
    return prover_begin(me, ctx);
}

static tina_effect prover_connect(prover *me, uint16_t port, tina_ctx *ctx)
{
    const echo_run *run = tina_user(ctx);
    tina_address address = run->settings.address;
    address.port = port;
    if (tina_socket(ctx, address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return prover_wait(RETRY_NS, TAG_TIME_TO_ASK, ctx);
    return tina_io_connect(ctx, me->fd, &address, PATIENCE_NS);
}

/* Completions of the closed descriptor that are still to come are told by their fd. */
static tina_effect prover_close(prover *me, tina_ctx *ctx)
{
    tina_fd fd = me->fd;
    me->fd = (tina_fd){0};
    return tina_io_close(ctx, fd);
}

static tina_effect prover_receive(prover *me, tina_ctx *ctx)
{
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .timeout_ns = PATIENCE_NS};
    receive.size = me->size - me->echoed_size;
    return tina_io_start(ctx, &receive) == TINA_OK ? tina_receive() : prover_close(me, ctx);
}

/* Both ways at once: a record may be more than fits on the way, and the server sends back before it reads on. */
static tina_effect prover_send(prover *me, tina_ctx *ctx)
{
    const echo_run *run = tina_user(ctx);
    uint32_t number = proof_of(me, ctx)->number;
    me->size = 1 + (uint32_t)(tina_random(ctx) % run->record_max);
    me->echoed_size = 0;
    me->is_last = is_closing(me, ctx);
    for (uint32_t i = 0; i < me->size; i++)
        me->record[i] = (uint8_t)((number * 31 + me->index * 7 + i) * 2654435761u >> 24);
    tina_op send = {.kind = TINA_IO_SEND, .fd = me->fd, .data = me->record, .size = me->size, .timeout_ns = PATIENCE_NS};
    me->is_sending = tina_io_start(ctx, &send) == TINA_OK;
    return me->is_sending ? prover_receive(me, ctx) : prover_close(me, ctx);
}

/* The record is proven when it is all here and the send is over, too. */
static tina_effect prover_next(prover *me, tina_ctx *ctx)
{
    const echo_run *run = tina_user(ctx);
    if (me->is_sending || me->echoed_size < me->size)
        return tina_receive();
    proof_of(me, ctx)->number++;
    proof_of(me, ctx)->is_served |= me->is_last;
    tina_reached(ctx, "a record is proven");
    if (!has_more(me, ctx))
        return prover_close(me, ctx);
    return prover_wait(tina_random(ctx) % (run->pause_ns + 1), TINA_TAG_TIMER, ctx);
}

static tina_effect prover_echoed(prover *me, const tina_message *message, tina_ctx *ctx)
{
    proof *mine = proof_of(me, ctx);
    for (uint32_t i = 0; i < message->io.size; i++) {
        if (message->io.data[i] != me->record[me->echoed_size + i] && !mine->is_wrong) {
            mine->is_wrong = true;
            mine->wrong_at = me->echoed_size + i;
        }
    }
    me->echoed_size += (uint32_t)message->io.size;
    return me->echoed_size < me->size ? prover_receive(me, ctx) : prover_next(me, ctx);
}

static tina_effect prover_io(prover *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.fd.bits != me->fd.bits)
        return tina_receive();
    if (message->io.status != TINA_OK) {
        tina_reached(ctx, "a prover loses its connection");
        return prover_close(me, ctx);
    }
    switch (message->tag) {
    case TINA_IO_CONNECT: return prover_send(me, ctx);
    case TINA_IO_SEND: me->is_sending = false; return prover_next(me, ctx);
    default: return prover_echoed(me, message, ctx);
    }
}

static tina_effect prover_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    prover *me = self;
    switch (message->tag) {
    case TAG_PORT: return prover_connect(me, port_of(message), ctx);
    case TINA_TAG_CALL_FAILED: return prover_wait(RETRY_NS, TAG_TIME_TO_ASK, ctx);
    case TINA_IO_CONNECT:
    case TINA_IO_SEND:
    case TINA_IO_RECV: return prover_io(me, message, ctx);
    case TINA_IO_CLOSE: return prover_wait(RETRY_NS, TAG_TIME_TO_ASK, ctx);
    case TAG_TIME_TO_ASK: return prover_begin(me, ctx);
    case TINA_TAG_TIMER: return tina_fd_is_none(me->fd) ? tina_receive() : prover_send(me, ctx);
    case TAG_SETTLED: proof_of(me, ctx)->is_settled = true; return tina_receive();
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- What the referee waits for ------------------------------------------------- */

static bool are_through(const void *user)
{
    const echo_run *run = user;
    for (uint32_t i = 0; i < run->settings.shards * run->provers_per_shard; i++) {
        if (!run->proofs[i].is_settled)
            return false;
    }
    return true;
}

/* ---- What must hold ------------------------------------------------------------ */

static bool check_bytes(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick;
    const echo_run *run = user;
    for (uint32_t i = 0; i < run->settings.shards * run->provers_per_shard; i++) {
        const proof *of = &run->proofs[i];
        snprintf(why, why_size, "prover %u: byte %u of record %u came back as another", i, of->wrong_at, of->number);
        if (of->is_wrong)
            return false;
    }
    return true;
}

static bool check_connections(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)tick;
    const echo_run *run = user;
    bool has_clients = run->settings.crash_after != 0; /* who never close for good */
    if (has_clients || !are_through(run))
        return true;
    for (uint32_t i = 0; i < run->settings.shards * CONNECTIONS_MAX; i++) {
        uint8_t shard = (uint8_t)(i / CONNECTIONS_MAX);
        uint32_t slot = i % CONNECTIONS_MAX;
        snprintf(why, why_size, "shard %u has forgotten connection %u", shard, slot);
        if (tina_sim_isolate(sim, shard, TYPE_CONNECTION, slot, NULL) != NULL)
            return false;
    }
    return true;
}

/* ---- The simulation ------------------------------------------------------------ */

static void choose(echo_run *run, uint64_t *state)
{
    memset(run, 0, sizeof *run);
    run->settings.address = tina_ipv4(127, 0, 0, 1, 0);
    run->settings.shards = draw(state, 1, SHARDS_HERE_MAX);
    run->settings.is_server = draw(state, 0, 1) == 1; /* a listener on every shard */
    run->settings.is_quiet = true;
    run->settings.connections = draw(state, 4, CONNECTIONS_MAX);
    run->settings.fault = draw(state, FAULT_CRASH, FAULT_SEGV);
    run->settings.crash_after = draw(state, 0, 1);
    run->settings.crash_after *= draw(state, 1, 10); /* not in one expression: their order would be the compiler's */
    run->provers_per_shard = draw(state, 1, PROVERS_PER_SHARD_MAX);
    run->record_max = draw(state, 1, 4) == 1 ? RECORD_MAX : 200;
    run->pause_ns = draw(state, 0, 50) * MILLISECOND_NS;
}

/* As in the example, the provers, and the referee. */
static void grow(const echo_run *run, tina_shard_spec *shards, uint64_t *state)
{
    static tina_child children[SHARDS_HERE_MAX][2 + CLIENTS_PER_SHARD + 1 + PROVERS_PER_SHARD_MAX];
    static const uint32_t places[PROVERS_PER_SHARD_MAX] = {0, 1, 2, 3};
    static const referee rules = {.is_over = are_through, .pause_ns = SETTLE_NS / 100};
    uint32_t restart_max = draw(state, 3, 100);
    for (uint32_t shard = 0; shard < run->settings.shards; shard++) {
        tina_child *next = children[shard];
        if (shard == 0)
            *next++ = (tina_child){.type = TYPE_REFEREE, .args = &rules, .args_size = sizeof rules};
        if (run->settings.is_server || shard == 0)
            *next++ = (tina_child){.type = TYPE_LISTENER, .name = NAME_LISTENER};
        for (uint32_t i = 0; i < CLIENTS_PER_SHARD && run->settings.crash_after != 0; i++)
            *next++ = (tina_child){.type = TYPE_CLIENT};
        if (run->settings.crash_after != 0)
            *next++ = (tina_child){.type = TYPE_CHAOS};
        for (uint32_t i = 0; i < run->provers_per_shard; i++)
            *next++ = (tina_child){.type = TYPE_PROVER, .args = &places[i], .args_size = sizeof places[i]};
        shards[shard].root = (tina_group_spec){.children = children[shard],
                                               .child_count = (size_t)(next - children[shard]),
                                               .restart_max = restart_max,
                                               .backoff_ns = MILLISECOND_NS,
                                               .backoff_max_ns = 100 * MILLISECOND_NS};
    }
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static tina_type types[TYPE_COUNT_HERE] = {
        [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
        [TYPE_CONNECTION] = {.name = "connection",
                             .init = connection_init,
                             .handler = connection_handle,
                             .size = sizeof(connection),
                             .mailbox_capacity = 1},
        [TYPE_CLIENT] = {.name = "client",
                         .init = client_init,
                         .handler = client_handle,
                         .size = sizeof(client),
                         .slot_count = CLIENTS_PER_SHARD},
        [TYPE_CHAOS] = {.name = "chaos client", .init = client_init, .handler = client_handle, .size = sizeof(client)},
        [TYPE_METRICS] = TINA_METRICS_TYPE(1), /* the example's, which nobody starts here */
        [TYPE_PROVER] = {.name = "prover",
                         .init = prover_init,
                         .handler = prover_handle,
                         .size = sizeof(prover),
                         .slot_count = PROVERS_PER_SHARD_MAX},
        [TYPE_REFEREE] = {.name = "referee", .init = referee_init, .handler = referee_handle, .size = sizeof(referee)},
    };
    static const tina_checker_fn checkers[] = {check_bytes, check_connections};
    static tina_shard_spec shards[SHARDS_HERE_MAX];
    static echo_run run;
    choose(&run, &seed);
    grow(&run, shards, &seed);
    types[TYPE_CONNECTION].slot_count = run.settings.connections;
    spec->types = types;
    spec->type_count = TYPE_COUNT_HERE;
    spec->shards = shards;
    spec->shard_count = run.settings.shards;
    spec->user = &run;
    spec->shard_restart_max = 1000000; /* no shard is quarantined: the provers want to come to an end */
    spec->timer_resolution_ns = MILLISECOND_NS;
    spec->fd_count = 4 * CONNECTIONS_MAX; /* enough for everybody, and for what is just being closed */
    spec->op_count = 8 * CONNECTIONS_MAX;
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = sizeof checkers / sizeof checkers[0];
    config->checker_user = &run;
    if (run.settings.crash_after != 0) /* the example's own clients never come to one by themselves */
        config->stop_at_tick = draw(&seed, 1, 16000);
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
