/*
 * The isolates of examples/kv in a made world, with clients that are isolates, too: shards
 * that are wiped, writes that are lost or torn, handlers that crash, disks that fail.
 *
 * Each client alone writes its keys, in versions, and keeps book of what it tried and of
 * what was acknowledged, which outlives it. What is read, at any time and at the end, is
 * no older than what was acknowledged or read before, no newer than what was tried, and
 * whole. Where an outcome is not known, that key is written no more: what was asked may
 * come to pass later. Every third key is counted up instead, often several times at once: so
 * a write that was done twice, or before one that was asked before it, shows.
 *
 * The server syncs before it acknowledges. Healing demands that all clients come to their
 * end, at which each has read all its keys once more.
 */
#include "server.h"
#include "store.h"

#include <stdio.h>
#include <string.h>
#include <tina/sim_main.h>

enum { TYPE_CLIENT = TYPE_COUNT, TYPE_REFEREE, TYPE_COUNT_HERE };
enum { SHARDS_HERE_MAX = 3, CLIENTS_PER_SHARD_MAX = 3, KEYS_MAX = 40, LIVE_KEYS = 6, ASKED_MAX = 12 };
enum { PARTITION_SIZE = 4 * 1024 * 1024, LARGE_SIZE = 24000, MIDDLE_SIZE = 5000, OUT_MAX = (ASKED_MAX + 1) * LARGE_SIZE };
enum { PORT = 7000 };
enum { TAG_GO_ON = 0x0400 };

#define PATIENCE_NS (60000 * MILLISECOND_NS)
#define RETRY_HERE  (20 * MILLISECOND_NS)
#define OPEN_NS     (10000 * MILLISECOND_NS)  /* until when a client writes: 10,000 rounds, before everything heals */
#define SETTLE_NS   (200000 * MILLISECOND_NS) /* by then what was asked has come to pass, or never will */

/* A key's versions. Every fifth is that it is not there; of one that is counted, none but the first. */
typedef struct client_book {
    uint32_t known, tried; /* the latest that was acknowledged or seen, the latest that was asked for */
    bool is_retired;
} client_book;

/* What outlives a client. */
typedef struct client_diary {
    uint64_t closing_ns, settled_ns;
    uint32_t checked; /* keys that were read at the end */
    bool is_begun, is_done;
    client_book books[KEYS_MAX];
} client_diary;

typedef struct kv_run {
    kv_server server; /* the first: it is what the server's isolates take the user pointer for */
    uint32_t clients_per_shard;
    client_diary diaries[SHARDS_HERE_MAX * CLIENTS_PER_SHARD_MAX];
    char violation[200];
    tina_type types[TYPE_COUNT_HERE];
    tina_child children[4 + CLIENTS_PER_SHARD_MAX + 1];
    uint32_t places[CLIENTS_PER_SHARD_MAX];
    uint8_t memory[SHARDS_HERE_MAX * PARTITION_SIZE] __attribute__((aligned(64)));
} kv_run;

static kv_run *run_of(const tina_ctx *ctx) { return tina_user(ctx); }

/* ---- What is in a value ------------------------------------------------------------ */

static bool is_counted(uint32_t key) { return key % 3 == 2; }

static bool is_absent(uint32_t key, uint32_t version) { return is_counted(key) ? version == 0 : version % 5 == 0; }

static uint32_t size_of_version(uint32_t version)
{
    return version % 7 == 3 ? LARGE_SIZE + version : version % 7 < 2 ? MIDDLE_SIZE + version : 12 + version % 90;
}

static void put_value(char *out, uint32_t version)
{
    uint32_t size = size_of_version(version);
    memset(out, 'a' + (int)(version % 26), size);
    char head[16];
    int used = snprintf(head, sizeof head, "%u:", version);
    memcpy(out, head, (size_t)used);
}

/* ---- A client ------------------------------------------------------------------------ */

typedef struct question {
    uint8_t kind; /* 's'et, 'd'elete, 'i'ncrement, 'g'et */
    uint8_t key;
    uint32_t version; /* that it is then, or that is to be seen */
} question;

typedef struct client_isolate {
    tina_fd fd;
    uint32_t index;
    uint32_t asked_count, answered;
    uint32_t out_size, in_size;
    question asked[ASKED_MAX];
    char out[OUT_MAX], in[OUT_MAX], expected[LARGE_SIZE * 2];
} client_isolate;

static client_diary *diary_of(const client_isolate *me, const tina_ctx *ctx) { return &run_of(ctx)->diaries[me->index]; }

static void complain(const client_isolate *me, const question *about, const char *what, tina_ctx *ctx)
{
    kv_run *run = run_of(ctx);
    const client_book *book = &diary_of(me, ctx)->books[about->key];
    if (run->violation[0] == '\0')
        snprintf(run->violation, sizeof run->violation, "client %u, key %u, %c of version %u, %u known, %u tried: %s",
                 me->index, about->key, about->kind, about->version, book->known, book->tried, what);
}

static tina_effect wait_for(uint64_t delay_ns, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, delay_ns, TAG_GO_ON, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

/* What was under way may be done or not, now or later: those keys are left alone from here on. */
static void retire(const client_isolate *me, tina_ctx *ctx)
{
    client_diary *diary = diary_of(me, ctx);
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        if (diary->books[i].known != diary->books[i].tried)
            diary->books[i].is_retired = true;
    }
}

/* The n-th of those that are written; KEYS_MAX: there is none. */
static uint32_t live_key(const client_diary *diary, uint32_t n)
{
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        if (!diary->books[i].is_retired && n-- == 0)
            return i;
    }
    return KEYS_MAX;
}

static void put_bytes(client_isolate *me, const void *bytes, size_t size)
{
    memcpy(me->out + me->out_size, bytes, size);
    me->out_size += (uint32_t)size;
}

static void put_argument(client_isolate *me, const void *bytes, size_t size)
{
    char line[24];
    put_bytes(me, line, (size_t)snprintf(line, sizeof line, "$%zu\r\n", size));
    put_bytes(me, bytes, size);
    put_bytes(me, "\r\n", 2);
}

static void put_question(client_isolate *me, const question *what)
{
    char key[32];
    size_t key_size = (size_t)snprintf(key, sizeof key, "client-%u-key-%u", me->index, what->key);
    const char *name = what->kind == 's' ? "SET" : what->kind == 'd' ? "DEL" : what->kind == 'i' ? "INCR" : "GET";
    put_bytes(me, what->kind == 's' ? "*3\r\n" : "*2\r\n", 4);
    put_argument(me, name, strlen(name));
    put_argument(me, key, key_size);
    if (what->kind != 's')
        return;
    put_value(me->expected, what->version);
    put_argument(me, me->expected, size_of_version(what->version));
}

static void ask(client_isolate *me, uint8_t kind, uint32_t key, uint32_t version)
{
    question what = {.kind = kind, .key = (uint8_t)key, .version = version};
    me->asked[me->asked_count++] = what;
    put_question(me, &what);
}

static void ask_to_write(client_isolate *me, client_book *book, uint32_t key)
{
    book->tried++;
    ask(me, is_counted(key) ? 'i' : is_absent(key, book->tried) ? 'd' : 's', key, book->tried);
}

/* Writes and reads of several keys, in one go. Drawn one after the other: it is the seed's order. */
static void draw_questions(client_isolate *me, tina_ctx *ctx)
{
    client_diary *diary = diary_of(me, ctx);
    uint32_t count = 1 + (uint32_t)(tina_random(ctx) % ASKED_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = live_key(diary, (uint32_t)(tina_random(ctx) % LIVE_KEYS));
        bool is_write = tina_random(ctx) % 3 != 0;
        if (key == KEYS_MAX)
            return;
        client_book *book = &diary->books[key];
        /* Two values of one key in one go would not be told apart if one failed. */
        if (is_write && (is_counted(key) || book->tried == book->known))
            ask_to_write(me, book, key);
        else
            ask(me, 'g', key, book->tried);
    }
}

static void ask_at_the_end(client_isolate *me, const client_diary *diary)
{
    for (uint32_t key = diary->checked; key < KEYS_MAX && me->asked_count < ASKED_MAX; key++)
        ask(me, 'g', key, diary->books[key].tried);
}

static tina_effect close_and_go_on(client_isolate *me, uint64_t delay_ns, tina_ctx *ctx)
{
    tina_op close = {.kind = TINA_IO_CLOSE, .fd = me->fd};
    if (!tina_fd_is_none(me->fd))
        tina_ignore(tina_io_start(ctx, &close));
    me->fd = (tina_fd){0};
    retire(me, ctx);
    return wait_for(delay_ns, ctx);
}

static tina_effect connect_to_server(client_isolate *me, tina_ctx *ctx)
{
    tina_address address = tina_ipv4(127, 0, 0, 1, PORT);
    if (tina_socket(ctx, address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return wait_for(RETRY_HERE, ctx);
    return tina_io_connect(ctx, me->fd, &address, PATIENCE_NS);
}

static tina_effect go_on(client_isolate *me, tina_ctx *ctx)
{
    client_diary *diary = diary_of(me, ctx);
    uint64_t now = tina_now(ctx);
    bool is_over = now >= diary->closing_ns || live_key(diary, 0) == KEYS_MAX;
    me->asked_count = me->answered = me->out_size = me->in_size = 0;
    if (diary->is_done)
        return tina_receive();
    if (is_over && diary->settled_ns == 0)
        diary->settled_ns = now + SETTLE_NS;
    if (is_over && now < diary->settled_ns)
        return close_and_go_on(me, diary->settled_ns - now, ctx);
    if (tina_fd_is_none(me->fd))
        return connect_to_server(me, ctx);
    if (is_over)
        ask_at_the_end(me, diary);
    else
        draw_questions(me, ctx);
    tina_op send = {.kind = TINA_IO_SEND, .fd = me->fd, .data = me->out, .size = me->out_size, .timeout_ns = PATIENCE_NS};
    return tina_io(ctx, &send);
}

/* ---- Its answers ----------------------------------------------------------------------- */

static uint32_t number_in(const char *text, uint32_t size)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
        number = number * 10 + (uint32_t)(text[i] - '0');
    return number;
}

/* The version that a value says it is; 0: it is not whole. */
static uint32_t version_of(client_isolate *me, uint32_t key, const char *value, uint32_t size)
{
    uint32_t version = number_in(value, size);
    if (is_counted(key))
        return version;
    if (version == 0 || size_of_version(version) != size)
        return 0;
    put_value(me->expected, version);
    return memcmp(me->expected, value, size) == 0 ? version : 0;
}

static void see_value(client_isolate *me, const question *asked, const char *value, uint32_t size, tina_ctx *ctx)
{
    client_book *book = &diary_of(me, ctx)->books[asked->key];
    uint32_t version = version_of(me, asked->key, value, size);
    if (version == 0)
        complain(me, asked, "the value is not whole", ctx);
    else if (version < book->known)
        complain(me, asked, "an acknowledged write is lost", ctx);
    else if (version > book->tried)
        complain(me, asked, "nobody wrote that", ctx);
    else if (!book->is_retired && version != asked->version)
        complain(me, asked, "what was asked before or behind it is seen", ctx);
}

static void see_nothing(client_isolate *me, const question *asked, tina_ctx *ctx)
{
    client_book *book = &diary_of(me, ctx)->books[asked->key];
    uint32_t version = book->known;
    while (version < book->tried && !is_absent(asked->key, version))
        version++;
    if (!is_absent(asked->key, version))
        complain(me, asked, "an acknowledged write is gone", ctx);
    else if (!book->is_retired && version != asked->version)
        complain(me, asked, "nothing is seen, as it was before or is behind it", ctx);
}

/* Where one before it failed, it is one less, or more; but never what it was already, or more than was asked for. */
static void see_count(client_isolate *me, const question *asked, uint32_t count, tina_ctx *ctx)
{
    client_book *book = &diary_of(me, ctx)->books[asked->key];
    if (count <= book->known || count > asked->version || (!book->is_retired && count != asked->version))
        complain(me, asked, "it is counted to another number", ctx);
    book->known = count;
}

/* An error says that it was not done, or that it is not known: the next one is a new version in any case. */
static void take_line(client_isolate *me, const question *asked, const char *line, uint32_t size, tina_ctx *ctx)
{
    client_book *book = &diary_of(me, ctx)->books[asked->key];
    bool is_ok = line[0] == (asked->kind == 's' ? '+' : ':') && asked->kind != 'g';
    if (line[0] == '-') {
        tina_reached(ctx, "a command is refused");
        book->is_retired |= asked->kind != 'g';
    } else if (!is_ok) {
        complain(me, asked, "that is no answer to it", ctx);
    } else if (asked->kind == 'i') {
        see_count(me, asked, number_in(line + 1, size - 1), ctx);
    } else {
        book->known = asked->version;
    }
}

/* One answer, if it is whole. Returns its bytes; 0: it is not. */
static uint32_t take_answer(client_isolate *me, const char *from, uint32_t size, tina_ctx *ctx)
{
    const question *asked = &me->asked[me->answered];
    const char *end = memchr(from, '\n', size);
    if (end == NULL)
        return 0;
    uint32_t line = (uint32_t)(end - from) + 1;
    if (from[0] != '$' || asked->kind != 'g') {
        take_line(me, asked, from, line, ctx);
        return line;
    }
    if (from[1] == '-') {
        see_nothing(me, asked, ctx);
        return line;
    }
    uint32_t value = 0;
    for (uint32_t i = 1; from[i] >= '0' && from[i] <= '9'; i++)
        value = value * 10 + (uint32_t)(from[i] - '0');
    if (value > LARGE_SIZE * 2)
        complain(me, asked, "the value is too long", ctx);
    if (value > LARGE_SIZE * 2 || size < line + value + 2)
        return 0;
    if (value >= LARGE_SIZE)
        tina_reached(ctx, "a large value is read");
    see_value(me, asked, from + line, value, ctx);
    return line + value + 2;
}

static tina_effect receive_more(const client_isolate *me, tina_ctx *ctx)
{
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .size = OUT_MAX - me->in_size, .timeout_ns = PATIENCE_NS};
    return tina_io(ctx, &receive);
}

static tina_effect all_answered(client_isolate *me, tina_ctx *ctx)
{
    client_diary *diary = diary_of(me, ctx);
    if (diary->settled_ns != 0 && tina_now(ctx) >= diary->settled_ns) {
        diary->checked += me->asked_count;
        diary->is_done = diary->checked >= KEYS_MAX;
        if (diary->is_done)
            tina_reached(ctx, "a client has read all its keys again");
    }
    return go_on(me, ctx);
}

static tina_effect received(client_isolate *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK)
        return close_and_go_on(me, RETRY_HERE, ctx);
    memcpy(me->in + me->in_size, message->io.data, message->io.size);
    me->in_size += (uint32_t)message->io.size;
    uint32_t at = 0;
    while (me->answered < me->asked_count) {
        uint32_t used = take_answer(me, me->in + at, me->in_size - at, ctx);
        if (used == 0)
            break;
        at += used;
        bool is_error = me->in[at - used] == '-';
        me->answered++;
        if (is_error && diary_of(me, ctx)->settled_ns != 0)
            return close_and_go_on(me, RETRY_HERE, ctx); /* at the end it has to be read */
    }
    me->in_size -= at;
    memmove(me->in, me->in + at, me->in_size);
    return me->answered == me->asked_count ? all_answered(me, ctx) : receive_more(me, ctx);
}

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    client_isolate *me = self;
    uint32_t place = 0;
    memcpy(&place, args, args_size);
    me->index = tina_shard(ctx) * run_of(ctx)->clients_per_shard + place;
    client_diary *diary = diary_of(me, ctx);
    if (diary->is_begun)
        tina_reached(ctx, "a client goes on after a restart");
    else
        diary->closing_ns = tina_now(ctx) + OPEN_NS;
    diary->is_begun = true;
    retire(me, ctx);
    return wait_for(RETRY_HERE, ctx);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client_isolate *me = self;
    switch (message->tag) {
    case TAG_GO_ON: return go_on(me, ctx);
    case TINA_IO_CONNECT: return message->io.status == TINA_OK ? go_on(me, ctx) : close_and_go_on(me, RETRY_HERE, ctx);
    case TINA_IO_SEND: return message->io.status == TINA_OK ? receive_more(me, ctx) : close_and_go_on(me, RETRY_HERE, ctx);
    case TINA_IO_RECV: return received(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The referee -------------------------------------------------------------------------- */

/* Keeps the system from being quiet as long as a client is not done: it reads what others write, as only a simulation may. */
static tina_effect referee_look(tina_ctx *ctx)
{
    const kv_run *run = run_of(ctx);
    for (uint32_t i = 0; i < run->server.partition_count * run->clients_per_shard; i++) {
        if (!run->diaries[i].is_done)
            return wait_for(SETTLE_NS, ctx);
    }
    return tina_receive();
}

static tina_effect referee_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    return referee_look(ctx);
}

static tina_effect referee_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : referee_look(ctx);
}

static bool check_answers(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick;
    const kv_run *run = user;
    snprintf(why, why_size, "%s", run->violation);
    return run->violation[0] == '\0';
}

/* ---- A run ---------------------------------------------------------------------------------- */

static uint32_t draw(uint64_t *state, uint32_t min, uint32_t max)
{
    uint64_t word = *state += 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return min + (uint32_t)((word ^ (word >> 31)) % (max - min + 1));
}

/* The server's children, then the clients and a referee; the listener is the first shard's alone, and the last. */
static void plant(kv_run *run, tina_shard_spec *shards)
{
    uint32_t count = 3;
    memcpy(run->children, run->server.children, count * sizeof run->children[0]);
    for (uint32_t i = 0; i < run->clients_per_shard; i++) {
        run->places[i] = i;
        run->children[count++] =
            (tina_child){.type = TYPE_CLIENT, .args = &run->places[i], .args_size = sizeof run->places[i]};
    }
    run->children[count++] = (tina_child){.type = TYPE_REFEREE};
    run->children[count] = run->server.children[3];
    for (uint32_t i = 0; i < run->server.partition_count; i++) {
        shards[i].root.children = run->children;
        shards[i].root.child_count = i == 0 ? count + 1 : count;
        shards[i].root.restart_max = 1000000;
    }
}

static void prepare_server(kv_run *run, uint64_t *state)
{
    run->server.address = tina_ipv4(127, 0, 0, 1, 0);
    run->server.port = PORT;
    run->server.partition_count = draw(state, 1, SHARDS_HERE_MAX);
    run->server.connections = 16;
    run->server.sync = SYNC_ALWAYS;
    run->server.memory = run->memory;
    run->server.memory_size = PARTITION_SIZE;
    run->server.secret = (hash_key){1, 2};
    run->server.epoch_ms = 1000000;
    run->server.dir = "kv";
    run->server.rewrite_min = draw(state, 1, 64) * 1024;
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static kv_run run;
    static const tina_checker_fn checkers[] = {check_answers};
    memset(&run, 0, offsetof(kv_run, memory));
    prepare_server(&run, &seed);
    run.clients_per_shard = draw(&seed, 1, CLIENTS_PER_SHARD_MAX);
    kv_server_spec(&run.server, spec);
    memcpy(run.types, run.server.types, sizeof run.server.types);
    run.types[TYPE_CLIENT] =
        (tina_type){.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(client_isolate)};
    run.types[TYPE_CLIENT].slot_count = run.clients_per_shard;
    run.types[TYPE_REFEREE] = (tina_type){.name = "referee", .init = referee_init, .handler = referee_handle, .size = 1};
    plant(&run, run.server.shards);
    spec->types = run.types;
    spec->type_count = TYPE_COUNT_HERE;
    spec->channel_capacity = draw(&seed, 4, 64);
    spec->timer_resolution_ns = MILLISECOND_NS; /* a round, which OPEN_NS is reckoned in */
    spec->shard_restart_max = 1000000;          /* no shard is quarantined: its clients would wait until all is healed */
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = 1;
    config->checker_user = &run;
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
