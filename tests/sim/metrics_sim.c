/*
 * The metrics isolate in a made world: scrapers on every shard ask it over the made
 * network, some of them rude: they stop in the middle of a request, ask and never
 * read, or stay and say nothing. There are more of them than it has places for.
 *
 * What the checkers demand: each answer is well formed as far as it came, all of its
 * lines in their order, the program's own last; and when all have left for good, no
 * isolate is left of any. What healing demands: that each scraper has a whole answer
 * from a system that nothing disturbs, however many are rude.
 */
#include "draw.h"
#include "referee.h"

#include <stdio.h>
#include <string.h>
#include <tina/sim_main.h>
#include <tina/tina.h>

enum { TYPE_METRICS, TYPE_CLIENT, TYPE_VICTIM, TYPE_COUNT };
enum { SHARDS_HERE_MAX = 4, CLIENTS_PER_SHARD_MAX = 4, PLACES_MAX = 3, LINE_MAX_HERE = 512, PARTS = 3 };
enum { TAG_SETTLED = TINA_TAG_USER, TAG_LEAVE };

#define MILLISECOND_NS 1000000ull
#define SECOND_NS      (1000 * MILLISECOND_NS)
#define PATIENCE_NS    (8 * SECOND_NS)
#define RETRY_NS       (20 * MILLISECOND_NS)
#define OPEN_NS        (14 * SECOND_NS)   /* until when a client begins anew: before everything heals */
#define SETTLE_NS      (1000 * SECOND_NS) /* by then those whom nobody waits for any more are gone, too */

/* What outlives a client. One writer, the client. */
typedef struct proof {
    uint64_t closing_ns;
    bool is_settled, is_served;
    char wrong[LINE_MAX_HERE]; /* "": nothing was */
} proof;

typedef struct metrics_run {
    uint32_t shards, clients_per_shard, is_everywhere;
    tina_address address;
    tina_metrics_args metrics;
    proof proofs[SHARDS_HERE_MAX * CLIENTS_PER_SHARD_MAX];
} metrics_run;

/* ---- The program's own metrics: three parts, the last of which ends the answer ---- */

static bool tell_more(tina_metrics_writer *writer, uint32_t part, void *user)
{
    (void)user;
    static const char *const names[PARTS] = {"0", "1", "2"};
    const tina_metrics_label label = {"part", names[part]};
    if (part == 0)
        tina_metrics_family(writer, "sim_parts", TINA_METRICS_GAUGE, "How far the answer came.");
    tina_metrics_number(writer, &label, 1, part);
    return part + 1 < PARTS;
}

/* ---- An answer, as it comes ---- */

enum { IN_HEAD, IN_SIZE, IN_CHUNK, BEHIND_CHUNK, IN_END, WHOLE };

typedef struct reading {
    uint32_t state, left, line_size, line_count;
    bool is_complete; /* the program's last line was there */
    char line[LINE_MAX_HERE];
} reading;

static const char *take_head_line(reading *me, const char *line)
{
    if (me->line_count == 0 && strcmp(line, "HTTP/1.1 200 OK\r") != 0)
        return line;
    me->line_count++;
    if (strcmp(line, "\r") == 0)
        me->state = IN_SIZE;
    return NULL;
}

static const char *take_size_line(reading *me, const char *line)
{
    unsigned size = 0;
    char rest = 0;
    if (sscanf(line, "%x%c", &size, &rest) != 2 || rest != '\r' || size > 65535)
        return line;
    me->left = size;
    me->state = size != 0 ? IN_CHUNK : IN_END;
    return NULL;
}

static const char *take_text_line(reading *me, const char *line)
{
    bool is_own = strncmp(line, "sim_parts{part=\"", 16) == 0;
    if (me->is_complete || (!is_own && line[0] != '#' && strncmp(line, "tina_", 5) != 0))
        return line;
    me->is_complete = is_own && strcmp(line, "sim_parts{part=\"2\"} 2") == 0;
    return NULL;
}

static const char *take_line(reading *me, const char *line)
{
    switch (me->state) {
    case IN_HEAD: return take_head_line(me, line);
    case IN_SIZE: return take_size_line(me, line);
    case IN_CHUNK: return take_text_line(me, line);
    case BEHIND_CHUNK: me->state = IN_SIZE; return strcmp(line, "\r") == 0 ? NULL : "bytes behind a chunk";
    case IN_END: me->state = WHOLE; return strcmp(line, "\r") == 0 && me->is_complete ? NULL : "an early end";
    default: return "bytes behind the end";
    }
}

/* NULL: it is well formed so far. */
static const char *take_byte(reading *me, char byte)
{
    const char *wrong = NULL;
    bool is_text = me->state == IN_CHUNK;
    if (byte != '\n' && me->line_size + 1 < LINE_MAX_HERE) {
        me->line[me->line_size++] = byte;
    } else {
        me->line[me->line_size] = '\0';
        me->line_size = 0;
        wrong = byte == '\n' ? take_line(me, me->line) : "a line without end";
    }
    if (is_text && --me->left == 0) /* a chunk ends with a line: the text is written in whole ones */
        me->state = BEHIND_CHUNK;
    return wrong == NULL && is_text && me->left == 0 && me->line_size != 0 ? "half a line" : wrong;
}

/* ---- A client ---- */

/* What it will do on a connection. */
typedef enum manner { POLITE, HALF, DEAF, SILENT, MANNERS } manner;

typedef struct client {
    tina_fd fd;
    uint32_t index, asked; /* requests that were sent on this connection and not answered yet */
    uint32_t manner;
    bool is_last; /* what comes now counts as served */
    reading answer;
} client;

static proof *proof_of(const client *me, const tina_ctx *ctx)
{
    metrics_run *run = tina_user(ctx);
    return &run->proofs[me->index];
}

static tina_effect client_wait(uint64_t delay_ns, tina_tag tag, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, delay_ns, tag, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static bool has_more(const client *me, const tina_ctx *ctx)
{
    return tina_now(ctx) < proof_of(me, ctx)->closing_ns || !proof_of(me, ctx)->is_served;
}

static tina_effect client_begin(client *me, tina_ctx *ctx)
{
    const metrics_run *run = tina_user(ctx);
    if (!has_more(me, ctx))
        return proof_of(me, ctx)->is_settled ? tina_receive() : client_wait(SETTLE_NS, TAG_SETTLED, ctx);
    bool is_open = tina_now(ctx) < proof_of(me, ctx)->closing_ns;
    me->manner = is_open ? (uint32_t)(tina_random(ctx) % MANNERS) : POLITE;
    if (tina_socket(ctx, run->address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return client_wait(RETRY_NS, TINA_TAG_TIMER, ctx);
    return tina_io_connect(ctx, me->fd, &run->address, PATIENCE_NS);
}

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    client *me = self;
    const metrics_run *run = tina_user(ctx);
    uint32_t place = 0;
    memcpy(&place, args, args_size);
    me->index = tina_shard(ctx) * run->clients_per_shard + place;
    if (proof_of(me, ctx)->closing_ns == 0)
        proof_of(me, ctx)->closing_ns = tina_now(ctx) + OPEN_NS;
    return client_begin(me, ctx);
}

/* Completions of the closed descriptor that are still to come are told by their fd. */
static tina_effect client_close(client *me, tina_ctx *ctx)
{
    tina_fd fd = me->fd;
    me->fd = (tina_fd){0};
    return tina_io_close(ctx, fd);
}

static tina_effect client_receive(client *me, tina_ctx *ctx)
{
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .timeout_ns = PATIENCE_NS};
    return tina_io(ctx, &receive);
}

/* One request, or two at once. */
static tina_effect client_ask(client *me, tina_ctx *ctx)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: sim\r\n\r\nGET /metrics HTTP/1.1\r\nHost: sim\r\n\r\n";
    size_t one = (sizeof request - 1) / 2;
    memset(&me->answer, 0, sizeof me->answer);
    me->is_last = tina_now(ctx) >= proof_of(me, ctx)->closing_ns;
    me->asked = tina_random(ctx) % 4 == 0 ? 2 : 1;
    tina_op send = {.kind = TINA_IO_SEND,
                    .fd = me->fd,
                    .data = request,
                    .size = me->manner == HALF ? one / 2 : one * me->asked,
                    .timeout_ns = PATIENCE_NS};
    return tina_io(ctx, &send);
}

static tina_effect client_connected(client *me, tina_ctx *ctx)
{
    if (me->manner != SILENT)
        return client_ask(me, ctx);
    tina_reached(ctx, "a client is connected and says nothing");
    return client_wait(tina_random(ctx) % PATIENCE_NS, TAG_LEAVE, ctx);
}

static tina_effect client_asked(client *me, tina_ctx *ctx)
{
    if (me->manner == POLITE)
        return client_receive(me, ctx);
    tina_reached(ctx, "a client asks and does not read");
    return client_wait(tina_random(ctx) % PATIENCE_NS, TAG_LEAVE, ctx);
}

static tina_effect client_served(client *me, tina_ctx *ctx)
{
    tina_reached(ctx, "a whole answer has come");
    proof_of(me, ctx)->is_served |= me->is_last;
    if (!has_more(me, ctx) || tina_random(ctx) % 3 == 0)
        return client_close(me, ctx);
    tina_reached(ctx, "a connection is asked again");
    return client_ask(me, ctx);
}

static tina_effect client_received(client *me, const tina_message *message, tina_ctx *ctx)
{
    proof *mine = proof_of(me, ctx);
    for (uint64_t i = 0; i < message->io.size && mine->wrong[0] == '\0'; i++) {
        const char *wrong = take_byte(&me->answer, (char)message->io.data[i]);
        if (wrong != NULL)
            snprintf(mine->wrong, sizeof mine->wrong, "%.400s", wrong[0] != '\0' ? wrong : "an empty line");
        if (me->answer.state == WHOLE && me->asked == 2) {
            tina_reached(ctx, "two requests at once are answered in turn");
            memset(&me->answer, 0, sizeof me->answer);
            me->asked = 1;
        }
    }
    return me->answer.state == WHOLE ? client_served(me, ctx) : client_receive(me, ctx);
}

static tina_effect client_io(client *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.fd.bits != me->fd.bits)
        return tina_receive();
    if (message->io.status != TINA_OK) {
        tina_reached(ctx, "a client loses its connection");
        return client_close(me, ctx);
    }
    switch (message->tag) {
    case TINA_IO_CONNECT: return client_connected(me, ctx);
    case TINA_IO_SEND: return client_asked(me, ctx);
    default: return client_received(me, message, ctx);
    }
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    switch (message->tag) {
    case TINA_IO_CONNECT:
    case TINA_IO_SEND:
    case TINA_IO_RECV: return client_io(me, message, ctx);
    case TINA_IO_CLOSE: return client_wait(RETRY_NS, TINA_TAG_TIMER, ctx);
    case TINA_TAG_TIMER: return client_begin(me, ctx);
    case TAG_LEAVE: return tina_fd_is_none(me->fd) ? tina_receive() : client_close(me, ctx);
    case TAG_SETTLED: proof_of(me, ctx)->is_settled = true; return tina_receive();
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The victim: a referee, who is something to count, too ---- */

static bool are_through(const void *user)
{
    const metrics_run *run = user;
    for (uint32_t i = 0; i < run->shards * run->clients_per_shard; i++) {
        if (!run->proofs[i].is_settled)
            return false;
    }
    return true;
}

/* ---- What must hold ---- */

static bool check_answers(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick;
    const metrics_run *run = user;
    for (uint32_t i = 0; i < run->shards * run->clients_per_shard; i++) {
        snprintf(why, why_size, "client %u: %.100s", i, run->proofs[i].wrong);
        if (run->proofs[i].wrong[0] != '\0')
            return false;
    }
    return true;
}

/* One isolate, the listener, where there is one. */
static bool check_connections(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)tick;
    const metrics_run *run = user;
    if (!are_through(run))
        return true;
    for (uint32_t shard = 0; shard < run->shards; shard++) {
        uint32_t count = 0;
        for (uint32_t slot = 0; slot <= PLACES_MAX; slot++)
            count += tina_sim_isolate(sim, (uint8_t)shard, TYPE_METRICS, slot, NULL) != NULL;
        snprintf(why, why_size, "shard %u still has %u isolates for its metrics", shard, count);
        if (count > 1)
            return false;
    }
    return true;
}

/* ---- The simulation ---- */

static void choose(metrics_run *run, uint64_t *state)
{
    memset(run, 0, sizeof *run);
    run->address = tina_ipv4(127, 0, 0, 1, 9464);
    run->shards = draw(state, 1, SHARDS_HERE_MAX);
    run->clients_per_shard = draw(state, 1, CLIENTS_PER_SHARD_MAX);
    run->is_everywhere = draw(state, 0, 1);
    run->metrics =
        (tina_metrics_args){.address = "127.0.0.1:9464", .timeout_ns = draw(state, 1, 4) * SECOND_NS, .extra = tell_more};
}

static void grow(const metrics_run *run, tina_shard_spec *shards, uint64_t *state)
{
    static tina_child children[SHARDS_HERE_MAX][2 + CLIENTS_PER_SHARD_MAX];
    static const uint32_t places[CLIENTS_PER_SHARD_MAX] = {0, 1, 2, 3};
    static const referee rules = {.is_over = are_through, .pause_ns = SETTLE_NS / 100};
    uint32_t restart_max = draw(state, 3, 100);
    for (uint32_t shard = 0; shard < run->shards; shard++) {
        tina_child *next = children[shard];
        if (shard == 0)
            *next++ = (tina_child){.type = TYPE_VICTIM, .args = &rules, .args_size = sizeof rules};
        if (shard == 0 || run->is_everywhere)
            *next++ = (tina_child){.type = TYPE_METRICS, .args = &run->metrics, .args_size = sizeof run->metrics};
        for (uint32_t i = 0; i < run->clients_per_shard; i++)
            *next++ = (tina_child){.type = TYPE_CLIENT, .args = &places[i], .args_size = sizeof places[i]};
        shards[shard].root = (tina_group_spec){.children = children[shard],
                                               .child_count = (size_t)(next - children[shard]),
                                               .restart_max = restart_max,
                                               .backoff_ns = MILLISECOND_NS,
                                               .backoff_max_ns = 100 * MILLISECOND_NS};
    }
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static tina_type types[TYPE_COUNT] = {
        [TYPE_CLIENT] = {.name = "client \"of\" metrics",
                         .init = client_init,
                         .handler = client_handle,
                         .size = sizeof(client),
                         .slot_count = CLIENTS_PER_SHARD_MAX},
        [TYPE_VICTIM] = {.name = "victim", .init = referee_init, .handler = referee_handle, .size = sizeof(referee)},
    };
    static const tina_checker_fn checkers[] = {check_answers, check_connections};
    static tina_shard_spec shards[SHARDS_HERE_MAX];
    static metrics_run run;
    choose(&run, &seed);
    grow(&run, shards, &seed);
    types[TYPE_METRICS] = tina_metrics_type(draw(&seed, 1, PLACES_MAX));
    spec->types = types;
    spec->type_count = TYPE_COUNT;
    spec->shards = shards;
    spec->shard_count = run.shards;
    spec->user = &run;
    spec->shard_restart_max = 1000000; /* no shard is quarantined: the clients want to come to an end */
    spec->timer_resolution_ns = MILLISECOND_NS;
    spec->fd_count = 64;
    spec->op_count = 128;
    spec->buffer_size = draw(&seed, 512, 4096); /* an answer is long, and a round sends a buffer */
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = sizeof checkers / sizeof checkers[0];
    config->checker_user = &run;
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
