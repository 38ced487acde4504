/*
 * A bank, under simulation: no money appears and none vanishes, whatever fails.
 *
 * Accounts live on several shards; clients have money moved between them. Messages
 * are lost and late, isolates crash, shards are wiped with all that is in their
 * memory. What must outlive that is on a disk, and three rules make it enough:
 *
 * - An account writes what it promises before anybody hears of it: the debit and the
 *   transfer that is pending for it, in one write. After a restart it goes on from there.
 * - A transfer has a number, so that what comes twice is done once. A client begins
 *   the next one when it knows what became of the last: so each client's last number
 *   is all that an account has to remember.
 * - Whoever waits has a deadline, and tries again: where nothing fails any more, every
 *   order comes to its end.
 *
 *     bank_sim --seeds 1000 --swarm --heal
 *
 * With --heal, --ticks should be 20000, as without it, or more: the bank is open for
 * 14,000 rounds, and has to close and finish before the end.
 */
#include "sim_tripwire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tina/sim_main.h>

enum { TYPE_ACCOUNT, TYPE_CLIENT, TYPE_REFEREE, TYPE_COUNT };
enum {
    TAG_ORDER = TINA_TAG_USER, /* a client's call to the account that pays: an order */
    TAG_DONE,                  /* its answers */
    TAG_REFUSED,               /* there is not enough on the account */
    TAG_BUSY,                  /* ask again: a transfer is pending */
    TAG_CREDIT,                /* that account's call to the one that gets: the order */
    TAG_CREDITED,              /* its answer */
    TAG_TIME_TO_GO_ON,
};

enum { SHARDS_MAX = 4, ACCOUNTS_MAX = 24, CLIENTS_MAX = 24, OPENING_BALANCE = 100, AMOUNT_MAX = 60 };
enum { NO_TIMER = 1, DISK_FAILED = 2 }; /* reasons to crash */

#define MILLISECOND_NS 1000000ull
#define TIMEOUT_NS     (100 * MILLISECOND_NS)
#define RETRY_NS       (10 * MILLISECOND_NS)
#define OPEN_NS        (14000 * MILLISECOND_NS)

/* A client and a number name a transfer for ever. */
typedef struct payment {
    uint32_t client, number; /* from 1 */
    uint32_t from, to;       /* accounts */
    int64_t amount;
} payment;

/* ---- The disk: what survives --------------------------------------------------- */

typedef struct account_record {
    int64_t balance;
    payment pending;                /* debited here, and not known to be credited there; amount 0: none */
    uint32_t decided[CLIENTS_MAX];  /* by client: its last order that was debited or refused here */
    bool is_refused[CLIENTS_MAX];   /* which of the two */
    uint32_t credited[CLIENTS_MAX]; /* by client: its last order that was credited here */
} account_record;

typedef struct client_record {
    payment order; /* the last that it gave */
    bool is_open;
    int64_t moved[ACCOUNTS_MAX]; /* by account: what its orders came to, as it was told */
    uint64_t closing_ns;
} client_record;

/* The spec's user pointer. Each record has one writer, the isolate that it is of. */
typedef struct bank_state {
    uint32_t accounts_per_shard, clients_per_shard;
    uint32_t account_count, client_count; /* in all */
    uint64_t pause_ns;                    /* between two orders of a client, at most */
    account_record accounts[ACCOUNTS_MAX];
    client_record clients[CLIENTS_MAX];
} bank_state;

/*
 * A disk takes a record whole or not at all, and the machine may stop before that as
 * well as after. False: whoever wrote does not know, and begins again with what is there.
 */
static bool disk_write(void *record, const void *next, size_t size, tina_ctx *ctx)
{
    static const tina_ratio rarely = {1, 500};
    if (tina_maybe(ctx, rarely))
        return false;
    memcpy(record, next, size);
    return !tina_maybe(ctx, rarely);
}

static tina_effect go_on_after(uint64_t delay_ns, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, delay_ns, TAG_TIME_TO_GO_ON, NULL) != TINA_OK)
        return tina_crash(NO_TIMER); /* the restart tries again */
    return tina_receive();
}

/* By name, which outlives the account's isolate. */
static tina_handle account_at(uint32_t index, const tina_ctx *ctx)
{
    const bank_state *bank = tina_user(ctx);
    return tina_named((uint8_t)(index / bank->accounts_per_shard), (uint16_t)(1 + index % bank->accounts_per_shard));
}

/* ---- An account ---------------------------------------------------------------- */

typedef struct account {
    account_record *record;
    tina_caller client; /* who waits to hear of the pending transfer; zeroed: nobody */
} account;

/* Called, not parked in a call: it takes orders and credits meanwhile, or two accounts could wait for each other. */
static tina_effect account_pay(const account *me, tina_ctx *ctx)
{
    const payment *pending = &me->record->pending;
    tina_handle to = account_at(pending->to, ctx);
    if (tina_call_start(ctx, to, TAG_CREDIT, pending, sizeof *pending, TIMEOUT_NS, NULL) != TINA_OK)
        return go_on_after(RETRY_NS, ctx);
    return tina_receive();
}

static tina_effect account_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    account *me = self;
    bank_state *bank = tina_user(ctx);
    uint32_t place = 0;
    memcpy(&place, args, args_size);
    me->record = &bank->accounts[tina_shard(ctx) * bank->accounts_per_shard + place];
    if (me->record->pending.amount == 0)
        return tina_receive();
    tina_reached(ctx, "a transfer is taken up after a restart");
    return account_pay(me, ctx);
}

/* It may be decided already: then its answer was lost, or was not given yet. */
static tina_effect account_answer_again(account *me, const payment *order, const tina_message *message, tina_ctx *ctx)
{
    const account_record *record = me->record;
    if (order->number < record->decided[order->client])
        return tina_receive(); /* so late that nobody waits for it */
    if (record->pending.client == order->client && record->pending.amount != 0) {
        tina_reached(ctx, "an order comes again while it is pending");
        me->client = tina_message_caller(message);
        return tina_receive();
    }
    tina_reached(ctx, "an order comes again after it was decided");
    return tina_reply(ctx, record->is_refused[order->client] ? TAG_REFUSED : TAG_DONE, NULL, 0);
}

static tina_effect account_take_order(account *me, const tina_message *message, tina_ctx *ctx)
{
    payment order;
    memcpy(&order, message->payload, sizeof order);
    account_record next = *me->record;
    if (order.number <= next.decided[order.client])
        return account_answer_again(me, &order, message, ctx);
    if (next.pending.amount != 0)
        return tina_reply(ctx, TAG_BUSY, NULL, 0);
    next.decided[order.client] = order.number;
    next.is_refused[order.client] = next.balance < order.amount;
    if (!next.is_refused[order.client]) {
        next.balance -= order.amount;
        next.pending = order;
    }
    if (!disk_write(me->record, &next, sizeof next, ctx))
        return tina_crash(DISK_FAILED);
    if (next.is_refused[order.client])
        return tina_reply(ctx, TAG_REFUSED, NULL, 0);
    me->client = tina_message_caller(message);
    return account_pay(me, ctx);
}

static tina_effect account_get(account *me, const tina_message *message, tina_ctx *ctx)
{
    payment order;
    memcpy(&order, message->payload, sizeof order);
    account_record next = *me->record;
    if (order.number <= next.credited[order.client]) {
        tina_reached(ctx, "a credit comes twice");
        return tina_reply(ctx, TAG_CREDITED, NULL, 0);
    }
    next.balance += order.amount;
    next.credited[order.client] = order.number;
    if (!disk_write(me->record, &next, sizeof next, ctx))
        return tina_crash(DISK_FAILED);
    return tina_reply(ctx, TAG_CREDITED, NULL, 0);
}

static tina_effect account_has_paid(account *me, tina_ctx *ctx)
{
    account_record next = *me->record;
    next.pending = (payment){0};
    if (!disk_write(me->record, &next, sizeof next, ctx))
        return tina_crash(DISK_FAILED);
    if (!tina_handle_is_none(me->client.source) && tina_reply_to(ctx, me->client, TAG_DONE, NULL, 0) != TINA_OK)
        tina_reached(ctx, "a transfer is done when its client has given up"); /* it will ask again */
    me->client = (tina_caller){0};
    return tina_receive();
}

static tina_effect account_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TAG_ORDER: return account_take_order(self, message, ctx);
    case TAG_CREDIT: return account_get(self, message, ctx);
    case TAG_CREDITED: return account_has_paid(self, ctx);
    case TAG_TIME_TO_GO_ON: return account_pay(self, ctx);
    case TINA_TAG_CALL_FAILED: return go_on_after(RETRY_NS, ctx); /* which does not say that it was not credited */
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- A client ------------------------------------------------------------------ */

typedef struct client {
    client_record *record;
    uint32_t index;
} client;

static tina_effect client_ask(const client *me, tina_ctx *ctx)
{
    const payment *order = &me->record->order;
    return tina_call(ctx, account_at(order->from, ctx), TAG_ORDER, order, sizeof *order, TIMEOUT_NS);
}

/* Drawn one after the other: among initializers the order would be the compiler's. */
static payment client_draw(const client *me, tina_ctx *ctx)
{
    const bank_state *bank = tina_user(ctx);
    payment order = {.client = me->index, .number = me->record->order.number + 1};
    order.from = (uint32_t)(tina_random(ctx) % bank->account_count);
    order.to = (uint32_t)((order.from + 1 + tina_random(ctx) % (bank->account_count - 1)) % bank->account_count);
    order.amount = 1 + (int64_t)(tina_random(ctx) % AMOUNT_MAX);
    return order;
}

/* What it is about to ask goes to the disk first: after a restart it asks for the same again. */
static tina_effect client_go_on(client *me, tina_ctx *ctx)
{
    client_record next = *me->record;
    if (next.is_open)
        return client_ask(me, ctx);
    if (next.closing_ns == 0)
        next.closing_ns = tina_now(ctx) + OPEN_NS;
    if (tina_now(ctx) >= next.closing_ns)
        return tina_receive(); /* for good */
    next.order = client_draw(me, ctx);
    next.is_open = true;
    if (!disk_write(me->record, &next, sizeof next, ctx))
        return tina_crash(DISK_FAILED);
    return client_ask(me, ctx);
}

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    client *me = self;
    bank_state *bank = tina_user(ctx);
    uint32_t place = 0;
    memcpy(&place, args, args_size);
    me->index = tina_shard(ctx) * bank->clients_per_shard + place;
    me->record = &bank->clients[me->index];
    if (me->record->is_open)
        tina_reached(ctx, "a client asks again after a restart");
    return client_go_on(me, ctx);
}

static tina_effect client_hear(client *me, bool is_done, tina_ctx *ctx)
{
    const bank_state *bank = tina_user(ctx);
    client_record next = *me->record;
    next.is_open = false;
    if (is_done) {
        next.moved[next.order.from] -= next.order.amount;
        next.moved[next.order.to] += next.order.amount;
    }
    if (!disk_write(me->record, &next, sizeof next, ctx))
        return tina_crash(DISK_FAILED);
    return go_on_after(tina_random(ctx) % (bank->pause_ns + 1), ctx);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TAG_DONE: return client_hear(self, true, ctx);
    case TAG_REFUSED: return client_hear(self, false, ctx);
    case TAG_BUSY: tina_reached(ctx, "an account is busy"); return go_on_after(RETRY_NS, ctx);
    case TINA_TAG_CALL_FAILED: return go_on_after(RETRY_NS, ctx);
    case TAG_TIME_TO_GO_ON: return client_go_on(self, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The referee --------------------------------------------------------------- */

/*
 * Keeps the system from being quiet as long as a client has not closed: so who waits for
 * an answer that will never come is found by --heal. It reads what others write, which
 * is only for a simulation.
 */
static tina_effect referee_look(tina_ctx *ctx)
{
    const bank_state *bank = tina_user(ctx);
    for (uint32_t i = 0; i < bank->client_count; i++) {
        const client_record *of = &bank->clients[i];
        if (of->is_open || of->closing_ns == 0 || tina_now(ctx) < of->closing_ns)
            return go_on_after(10 * TIMEOUT_NS, ctx);
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

/* ---- The auditor --------------------------------------------------------------- */

static bool is_debited(const bank_state *bank, const payment *order)
{
    const account_record *from = &bank->accounts[order->from];
    return from->decided[order->client] == order->number && !from->is_refused[order->client];
}

static bool is_credited(const bank_state *bank, const payment *order)
{
    return bank->accounts[order->to].credited[order->client] == order->number;
}

/* All that is on accounts, or has left one and not reached the other, is what there was at first. */
static bool check_money(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick;
    const bank_state *bank = user;
    int64_t total = 0, total_at_first = (int64_t)bank->account_count * OPENING_BALANCE;
    for (uint32_t i = 0; i < bank->account_count; i++) {
        const payment *pending = &bank->accounts[i].pending;
        total += bank->accounts[i].balance;
        if (pending->amount != 0 && !is_credited(bank, pending))
            total += pending->amount;
    }
    snprintf(why, why_size, "there were %" PRId64 ", and now there are %" PRId64, total_at_first, total);
    return total == total_at_first;
}

/* What is on each account is what its clients were told, and as far as their open orders are done, those; and no debt. */
static bool check_books(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick;
    const bank_state *bank = user;
    for (uint32_t i = 0; i < bank->account_count; i++) {
        const account_record *record = &bank->accounts[i];
        int64_t told = OPENING_BALANCE;
        for (uint32_t k = 0; k < bank->client_count; k++) {
            const client_record *of = &bank->clients[k];
            told += of->moved[i];
            if (of->is_open && of->order.from == i && is_debited(bank, &of->order))
                told -= of->order.amount;
            if (of->is_open && of->order.to == i && is_credited(bank, &of->order))
                told += of->order.amount;
        }
        snprintf(why, why_size, "account %u has %" PRId64 ", and its clients were told %" PRId64, i, record->balance, told);
        if (record->balance != told || told < 0)
            return false;
    }
    return true;
}

/* ---- The simulation ------------------------------------------------------------ */

/* From min to max. By splitmix64: what make draws must be the same everywhere, too. */
static uint32_t draw(uint64_t *state, uint32_t min, uint32_t max)
{
    uint64_t word = *state += 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return min + (uint32_t)((word ^ (word >> 31)) % (max - min + 1));
}

/* Nothing is left of the run before. */
static void open_bank(bank_state *bank, uint32_t shards, uint64_t *state)
{
    memset(bank, 0, sizeof *bank);
    bank->accounts_per_shard = draw(state, 2, ACCOUNTS_MAX / SHARDS_MAX);
    bank->clients_per_shard = draw(state, 1, CLIENTS_MAX / SHARDS_MAX);
    bank->account_count = shards * bank->accounts_per_shard;
    bank->client_count = shards * bank->clients_per_shard;
    bank->pause_ns = draw(state, 0, 20) * MILLISECOND_NS;
    for (uint32_t i = 0; i < bank->account_count; i++)
        bank->accounts[i].balance = OPENING_BALANCE;
}

/* The same on every shard: accounts, which have names, clients, and a referee. */
static void plant(const bank_state *bank, tina_group_spec *root, uint64_t *state)
{
    static tina_child children[ACCOUNTS_MAX + CLIENTS_MAX + 1];
    static uint32_t places[ACCOUNTS_MAX + CLIENTS_MAX];
    root->children = children;
    root->child_count = bank->accounts_per_shard + bank->clients_per_shard;
    for (uint32_t i = 0; i < root->child_count; i++) {
        bool is_account = i < bank->accounts_per_shard;
        places[i] = is_account ? i : i - bank->accounts_per_shard;
        children[i] = (tina_child){.args = &places[i], .args_size = sizeof places[i]};
        children[i].type = is_account ? TYPE_ACCOUNT : TYPE_CLIENT;
        children[i].name = is_account ? (uint16_t)(1 + i) : 0;
    }
    children[root->child_count++] = (tina_child){.type = TYPE_REFEREE};
    root->strategy = (uint8_t)draw(state, TINA_ONE_FOR_ONE, TINA_REST_FOR_ONE);
    root->restart_max = draw(state, 10, 100);
    root->backoff_ns = draw(state, 1, 5) * MILLISECOND_NS;
    root->backoff_max_ns = 100 * MILLISECOND_NS;
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static tina_type types[TYPE_COUNT] = {
        [TYPE_ACCOUNT] = {.name = "account", .init = account_init, .handler = account_handle, .size = sizeof(account)},
        [TYPE_CLIENT] = {.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(client)},
        [TYPE_REFEREE] = {.name = "referee", .init = referee_init, .handler = referee_handle, .size = 1},
    };
    static const tina_checker_fn checkers[] = {tripwire_check, check_money, check_books};
    static bank_state bank;
    spec->shard_count = draw(&seed, 1, SHARDS_MAX);
    open_bank(&bank, (uint32_t)spec->shard_count, &seed);
    plant(&bank, &spec->root, &seed);
    types[TYPE_ACCOUNT].slot_count = bank.accounts_per_shard;
    types[TYPE_CLIENT].slot_count = bank.clients_per_shard;
    spec->types = types;
    spec->type_count = TYPE_COUNT;
    spec->user = &bank;
    spec->fd_count = TINA_NONE; /* no I/O */
    /* One each, and one more: a timer that is being handled is still there when the next is started. */
    spec->timer_count = (uint32_t)spec->root.child_count + 1;
    spec->timer_resolution_ns = MILLISECOND_NS; /* a round, which OPEN_NS is reckoned in */
    spec->shard_restart_max = 1000000;          /* no shard is quarantined: its clients would wait until all is healed */
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = sizeof checkers / sizeof checkers[0];
    config->checker_user = &bank;
    tripwire_set(spec);
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
