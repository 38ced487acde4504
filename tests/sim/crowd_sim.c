/*
 * A crowd: isolates that do, at random, all that isolates may do: they send, call,
 * answer, watch, spawn, stop each other, keep timers, hand over memory, connect to
 * each other, give descriptors away, crash, and misuse what is not theirs. Other
 * simulations show that what one builds on the library works; this one is there for
 * what nobody would think of building.
 *
 * What a member demands of all that it gets: no message comes twice, unsent, changed
 * or before one that its sender sent earlier; each call, watch, timer and operation
 * has one outcome, and it is that one's; no timer is early, and a repeating one
 * forgets no period; every byte is the one that was sent there. The rest is up to the
 * library's own checkers.
 */
#include "draw.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tina/sim_main.h>

enum { TYPE_COUNT = 3, SHARDS_MAX = 4, SLOTS = 8 };
enum { CHILDREN_MAX = 6, NAMES_MAX = 4, GROUPS_MAX = 3 };
enum { KNOWN_MAX = 96, PORTS_MAX = 8, LETTERS_MAX = 1 << 18 };
enum { CALLS_MAX = 6, KEPT_MAX = 4, WATCHES_MAX = 6, TIMERS_MAX = 4, LINKS_MAX = 4, PENDING_MAX = 10, SENDERS_MAX = 16 };
enum { NONE = 255, PERIOD = 251, SEND_MAX = 6000 };

#define MILLISECOND_NS 1000000ull
#define OPEN_NS        (3000 * MILLISECOND_NS)
#define TIMEOUT_NS     (100 * MILLISECOND_NS)

enum {
    TAG_LETTER = TINA_TAG_USER,
    TAG_BEGUN, /* a letter that was sent in two steps, and so may be older than it looks */
    TAG_REQUEST,
    TAG_ANSWER,
    TAG_PULSE,
    TAG_ONCE,                           /* and the timer's index */
    TAG_REPEAT = TAG_ONCE + TIMERS_MAX, /* and the timer's index */
};

/* ---- What is common to all ------------------------------------------------------ */

enum { UNSENT, SENT, SEEN };

/* The spec's user pointer. One thread turns all shards, so everybody may write here. */
typedef struct crowd {
    uint32_t shard_count;
    uint64_t closing_ns; /* nobody begins anything any more */
    char wrong[160];
    tina_handle known[KNOWN_MAX]; /* the living and the dead */
    tina_fd known_fds[KNOWN_MAX];
    uint16_t ports[PORTS_MAX];
    uint32_t next_letter;
    uint8_t fates[LETTERS_MAX];
} crowd;

static uint8_t pattern[SEND_MAX + PERIOD]; /* of every stream, from any position on */

typedef struct letter {
    uint32_t number, of; /* of: in an answer, the request's number */
} letter;

typedef struct call {
    uint32_t correlation, number;
} call;

/* A timer that was started, and how often a repeating one has come. */
typedef struct alarm {
    tina_timer timer;
    uint64_t start_ns, delay_ns;
    uint64_t count;
    bool is_set, repeats;
} alarm;

enum { FRESH, LISTENING, CONNECTED };

/* A descriptor, or a half of one, and where its streams are. */
typedef struct link {
    tina_fd fd; /* none: there is none in this place */
    uint64_t sent, received;
    uint8_t kind, halves;
} link;

typedef struct pending {
    uint64_t user;
    tina_tag kind;
    uint8_t place; /* of the link; NONE: it was closed meanwhile */
} pending;

typedef struct member {
    call calls[CALLS_MAX];
    uint32_t call_count;
    tina_caller kept[KEPT_MAX];
    uint32_t kept_numbers[KEPT_MAX];
    uint32_t kept_count;
    tina_handle watches[WATCHES_MAX];
    uint32_t watch_count;
    alarm alarms[TIMERS_MAX];
    link links[LINKS_MAX];
    pending pending[PENDING_MAX];
    uint32_t pending_count;
    uint64_t next_user;
    tina_transfer transfer; /* being written */
    struct {
        tina_handle who;
        uint32_t number;
    } senders[SENDERS_MAX];
    tina_tag parked;        /* for what: a kind of operation, TAG_REQUEST or TINA_TAG_RESUME; 0: nothing */
    uint32_t parked_number; /* of the request */
    bool has_pulse;
    bool is_loose; /* was told of a shutdown, which overtakes what one is parked for */
} member;

/* At most one draw in an expression, initializer or call: the order of two would be the compiler's. */
static uint32_t below(uint32_t bound, tina_ctx *ctx) { return (uint32_t)(tina_random(ctx) % bound); }

static bool is_one_in(uint32_t bound, tina_ctx *ctx) { return below(bound, ctx) == 0; }

/* What can't be. The first is the one that counts. */
static void wrong(const char *what, tina_ctx *ctx)
{
    crowd *all = tina_user(ctx);
    if (all->wrong[0] == '\0')
        snprintf(all->wrong, sizeof all->wrong, "to %016" PRIx64 " at %" PRIu64 " ns: %s", tina_self(ctx).bits,
                 tina_now(ctx), what);
}

static void expect(bool is_true, const char *otherwise, tina_ctx *ctx)
{
    if (!is_true)
        wrong(otherwise, ctx);
}

static bool is_closing(tina_ctx *ctx)
{
    const crowd *all = tina_user(ctx);
    return tina_now(ctx) >= all->closing_ns || tina_is_shutting_down(ctx);
}

static tina_handle anybody(tina_ctx *ctx)
{
    const crowd *all = tina_user(ctx);
    if (is_one_in(3, ctx)) {
        uint8_t shard = (uint8_t)below(all->shard_count, ctx);
        return tina_named(shard, (uint16_t)(1 + below(NAMES_MAX + 1, ctx)));
    }
    return all->known[below(KNOWN_MAX, ctx)];
}

/* ---- Letters -------------------------------------------------------------------- */

static size_t letter_size(uint32_t number) { return sizeof(letter) + number % (TINA_PAYLOAD_MAX - sizeof(letter) + 1); }

static void letter_fill(uint8_t *payload, uint32_t number, uint32_t of)
{
    letter head = {.number = number, .of = of};
    memcpy(payload, &head, sizeof head);
    for (size_t i = sizeof head; i < letter_size(number); i++)
        payload[i] = (uint8_t)(number * 7 + i);
}

/* False: there are no numbers left. */
static bool letter_make(uint8_t payload[TINA_PAYLOAD_MAX], uint32_t *number, uint32_t of, tina_ctx *ctx)
{
    crowd *all = tina_user(ctx);
    if (all->next_letter == LETTERS_MAX)
        return false;
    *number = all->next_letter++;
    letter_fill(payload, *number, of);
    return true;
}

static void letter_sent(uint32_t number, tina_status status, tina_ctx *ctx)
{
    crowd *all = tina_user(ctx);
    if (status == TINA_OK)
        all->fates[number] = SENT;
}

static letter letter_seen(const tina_message *message, tina_ctx *ctx)
{
    crowd *all = tina_user(ctx);
    uint8_t expected[TINA_PAYLOAD_MAX];
    letter head = {0};
    memcpy(&head, message->payload, sizeof head);
    expect(head.number < all->next_letter && message->size == letter_size(head.number), "it is nobody's letter", ctx);
    if (head.number >= all->next_letter)
        return head;
    letter_fill(expected, head.number, head.of);
    expect(memcmp(message->payload, expected, letter_size(head.number)) == 0, "a letter was changed on its way", ctx);
    expect(all->fates[head.number] != UNSENT, "a letter came that was never sent", ctx);
    expect(all->fates[head.number] != SEEN, "a letter came twice", ctx);
    all->fates[head.number] = SEEN;
    return head;
}

static void check_order(member *me, const tina_message *message, uint32_t number, tina_ctx *ctx)
{
    uint64_t mixed = message->source.bits * 0x9E3779B97F4A7C15u;
    uint32_t place = (uint32_t)(mixed >> 60) % SENDERS_MAX;
    if (tina_handle_equal(me->senders[place].who, message->source))
        expect(number > me->senders[place].number, "a letter came before one that was sent earlier", ctx);
    me->senders[place].who = message->source;
    me->senders[place].number = number;
}

static void do_send(tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    uint32_t number;
    if (letter_make(payload, &number, 0, ctx))
        letter_sent(number, tina_send(ctx, anybody(ctx), TAG_LETTER, payload, letter_size(number)), ctx);
}

/* Others may be sent before it is committed, if it ever is. */
static void do_begin(tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    uint32_t number;
    void *place;
    if (!letter_make(payload, &number, 0, ctx))
        return;
    tina_status status = tina_send_begin(ctx, anybody(ctx), TAG_BEGUN, letter_size(number), &place);
    if (is_one_in(2, ctx))
        do_send(ctx);
    if (status != TINA_OK || is_one_in(4, ctx))
        return;
    memcpy(place, payload, letter_size(number));
    letter_sent(number, TINA_OK, ctx);
    tina_send_commit(ctx);
}

/* ---- Calls ---------------------------------------------------------------------- */

static void do_call(member *me, tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    call *next = &me->calls[me->call_count];
    if (me->call_count == CALLS_MAX || !letter_make(payload, &next->number, 0, ctx))
        return;
    tina_handle to = anybody(ctx);
    uint64_t timeout_ns = 1 + tina_random(ctx) % TIMEOUT_NS;
    tina_status status =
        tina_call_start(ctx, to, TAG_REQUEST, payload, letter_size(next->number), timeout_ns, &next->correlation);
    letter_sent(next->number, status, ctx);
    me->call_count += status == TINA_OK;
}

/* One that was answered before stays now and then, and is answered again. */
static void do_answer(member *me, tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    uint32_t number;
    if (me->kept_count == 0)
        return;
    uint32_t index = below(me->kept_count, ctx);
    tina_caller caller = me->kept[index];
    if (!letter_make(payload, &number, me->kept_numbers[index], ctx))
        return;
    if (!is_one_in(4, ctx)) {
        me->kept_count--;
        me->kept[index] = me->kept[me->kept_count];
        me->kept_numbers[index] = me->kept_numbers[me->kept_count];
    }
    letter_sent(number, tina_reply_to(ctx, caller, TAG_ANSWER, payload, letter_size(number)), ctx);
}

static void keep_caller(member *me, const tina_message *message, uint32_t number)
{
    if (me->kept_count == KEPT_MAX)
        return;
    me->kept_numbers[me->kept_count] = number;
    me->kept[me->kept_count++] = tina_message_caller(message);
}

/* answer: NULL, it has failed. */
static void end_call(member *me, const tina_message *message, const letter *answer, tina_ctx *ctx)
{
    uint32_t index = 0;
    while (index < me->call_count && me->calls[index].correlation != message->correlation)
        index++;
    if (index == me->call_count) {
        expect(me->is_loose, "a call has another outcome", ctx);
        return;
    }
    expect(answer == NULL || answer->of == me->calls[index].number, "an answer is another call's", ctx);
    me->calls[index] = me->calls[--me->call_count];
}

static void end_parked_call(member *me, const letter *answer, tina_ctx *ctx)
{
    expect(answer == NULL || answer->of == me->parked_number, "an answer is not that of the call that one waits for", ctx);
    me->parked = 0;
}

static void take_outcome(member *me, const tina_message *message, const letter *answer, tina_ctx *ctx)
{
    if (me->parked == TAG_REQUEST)
        end_parked_call(me, answer, ctx);
    else
        end_call(me, message, answer, ctx);
}

/* ---- Watches -------------------------------------------------------------------- */

static uint32_t find_watch(const member *me, tina_handle target)
{
    uint32_t index = 0;
    while (index < me->watch_count && !tina_handle_equal(me->watches[index], target))
        index++;
    return index;
}

static void do_watch(member *me, tina_ctx *ctx)
{
    tina_handle target = anybody(ctx);
    uint32_t index = find_watch(me, target);
    if (index == WATCHES_MAX)
        return;
    tina_status status = tina_watch(ctx, target);
    expect(index == me->watch_count || status == TINA_OK, "a watch that is there is refused", ctx);
    if (index == me->watch_count && status == TINA_OK)
        me->watches[me->watch_count++] = target;
}

static void do_unwatch(member *me, tina_ctx *ctx)
{
    if (me->watch_count == 0)
        return;
    uint32_t index = below(me->watch_count, ctx);
    tina_unwatch(ctx, me->watches[index]);
    me->watches[index] = me->watches[--me->watch_count];
}

static void take_notice(member *me, const tina_message *message, tina_ctx *ctx)
{
    tina_down down;
    memcpy(&down, message->payload, sizeof down);
    uint32_t index = find_watch(me, down.who);
    expect(index < me->watch_count, "an end is told twice, or to somebody who does not watch", ctx);
    if (index < me->watch_count)
        me->watches[index] = me->watches[--me->watch_count];
}

/* ---- Timers --------------------------------------------------------------------- */

static void do_timer(member *me, tina_ctx *ctx)
{
    uint32_t index = below(TIMERS_MAX, ctx);
    alarm *at = &me->alarms[index];
    if (at->is_set) {
        bool is_stopped = tina_timer_cancel(ctx, at->timer);
        expect(is_stopped, "a timer that is still to come can't be cancelled", ctx);
        at->is_set = false;
        return;
    }
    *at = (alarm){.start_ns = tina_now(ctx), .repeats = is_one_in(2, ctx)};
    at->delay_ns =
        (at->repeats ? 3 * MILLISECOND_NS : 1) + tina_random(ctx) % (at->repeats ? 20 * MILLISECOND_NS : TIMEOUT_NS);
    tina_tag tag = (tina_tag)((at->repeats ? TAG_REPEAT : TAG_ONCE) + index);
    tina_status status = at->repeats ? tina_timer_repeat(ctx, at->delay_ns, tag, &at->timer)
                                     : tina_timer_start(ctx, at->delay_ns, tag, &at->timer);
    at->is_set = status == TINA_OK;
}

static void take_once(alarm *at, tina_ctx *ctx)
{
    expect(at->is_set && !at->repeats, "a timer comes again, or was cancelled", ctx);
    expect(tina_now(ctx) >= at->start_ns + at->delay_ns, "a timer is early", ctx);
    at->is_set = false;
}

/* It comes once for each period, or says how many it has missed; the last two may lie within one step of the clock. */
static void take_repeat(alarm *at, const tina_message *message, tina_ctx *ctx)
{
    expect(at->is_set && at->repeats, "a repeating timer was cancelled", ctx);
    at->count += 1 + (uint64_t)message->correlation;
    uint64_t passed_ns = tina_now(ctx) - at->start_ns;
    expect(at->count * at->delay_ns <= passed_ns, "a repeating timer is early", ctx);
    expect((at->count + 1) * at->delay_ns + 2 * MILLISECOND_NS > passed_ns, "a repeating timer has forgotten a period", ctx);
    if (is_closing(ctx) && at->is_set)
        at->is_set = !tina_timer_cancel(ctx, at->timer);
}

/* ---- Memory that is handed over ----------------------------------------------------- */

static void do_transfer(member *me, tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    uint32_t number;
    void *data;
    if (!letter_make(payload, &number, 0, ctx) || tina_transfer_alloc(ctx, &me->transfer, &data, NULL) != TINA_OK)
        return;
    memcpy(data, payload, letter_size(number));
    if (is_one_in(4, ctx))
        return; /* its end takes it along */
    tina_status status = tina_transfer_send(ctx, anybody(ctx), me->transfer, letter_size(number));
    letter_sent(number, status, ctx);
    if (status != TINA_OK)
        tina_transfer_free(ctx, me->transfer);
}

static void take_transfer(const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    tina_message copy = *message;
    tina_status status = tina_transfer_read(ctx, message, &data, &size);
    expect(status == TINA_OK, "a transfer can't be read", ctx);
    if (status != TINA_OK)
        return;
    memcpy(copy.payload, data, size < sizeof copy.payload ? size : sizeof copy.payload);
    copy.size = (uint16_t)size;
    letter_seen(&copy, ctx);
}

/* ---- Descriptors ---------------------------------------------------------------- */

/* A place for one more, or NONE. */
static uint8_t free_place(const member *me)
{
    uint8_t place = 0;
    while (place < LINKS_MAX && !tina_fd_is_none(me->links[place].fd))
        place++;
    return place == LINKS_MAX ? NONE : place;
}

static void know_fd(tina_fd fd, tina_ctx *ctx)
{
    crowd *all = tina_user(ctx);
    all->known_fds[below(KNOWN_MAX, ctx)] = fd;
}

static bool is_under_way(const member *me, uint8_t place, bool is_write)
{
    for (uint32_t i = 0; i < me->pending_count; i++) {
        bool writes = me->pending[i].kind == TINA_IO_SEND || me->pending[i].kind == TINA_IO_CONNECT;
        if (me->pending[i].place == place && writes == is_write)
            return true;
    }
    return false;
}

static void do_listen(link *at, tina_ctx *ctx)
{
    crowd *all = tina_user(ctx);
    tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    if (tina_bind(ctx, at->fd, &address) != TINA_OK || tina_listen(ctx, at->fd, 4) != TINA_OK ||
        tina_local_address(ctx, at->fd, &address) != TINA_OK)
        return;
    all->ports[below(PORTS_MAX, ctx)] = address.port;
    at->kind = LISTENING;
}

static void do_socket(member *me, tina_ctx *ctx)
{
    uint8_t place = free_place(me);
    tina_fd fd;
    if (place == NONE || tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) != TINA_OK)
        return;
    know_fd(fd, ctx);
    me->links[place] = (link){.fd = fd, .halves = TINA_BOTH_HALVES};
    if (is_one_in(3, ctx))
        do_listen(&me->links[place], ctx);
}

/* What one may do with a link as it is, or 0. */
static tina_tag choose_kind(const member *me, uint8_t place, tina_ctx *ctx)
{
    const link *at = &me->links[place];
    bool may_read = (at->halves & TINA_READ_HALF) != 0 && !is_under_way(me, place, false);
    bool may_write = (at->halves & TINA_WRITE_HALF) != 0 && !is_under_way(me, place, true);
    switch (at->kind) {
    case LISTENING: return may_read ? TINA_IO_ACCEPT : 0;
    case FRESH: return may_write ? TINA_IO_CONNECT : 0;
    default: return may_read && (!may_write || is_one_in(2, ctx)) ? TINA_IO_RECV : may_write ? TINA_IO_SEND : 0;
    }
}

/* What was received goes back as it is, where the stream out is where the stream in was. */
static bool may_echo(const link *at, const tina_message *message)
{
    if (message == NULL || message->tag != TINA_IO_RECV || message->io.data == NULL)
        return false;
    return message->io.fd.bits == at->fd.bits && at->sent % PERIOD == (at->received - message->io.size) % PERIOD;
}

static void choose_data(tina_op *op, const link *at, const tina_message *message, tina_bytes parts[2], tina_ctx *ctx)
{
    if (may_echo(at, message)) {
        op->data = message->io.data;
        op->size = message->io.size;
        return;
    }
    op->data = pattern + at->sent % PERIOD;
    op->size = 1 + below(is_one_in(4, ctx) ? SEND_MAX : 300, ctx);
    if (!is_one_in(3, ctx))
        return;
    size_t first = 1 + below((uint32_t)op->size, ctx);
    parts[0] = (tina_bytes){op->data, first};
    parts[1] = (tina_bytes){(const uint8_t *)op->data + first, op->size - first};
    op->parts = parts;
    op->part_count = op->size == first ? 1 : 2;
}

/* False: there is nothing to do, or no room to remember it. */
static bool choose_op(member *me, const tina_message *message, tina_op *op, tina_bytes parts[2], tina_address *address,
                      tina_ctx *ctx)
{
    const crowd *all = tina_user(ctx);
    uint8_t place = (uint8_t)below(LINKS_MAX, ctx);
    const link *at = &me->links[place];
    if (me->pending_count == PENDING_MAX || tina_fd_is_none(at->fd))
        return false;
    *op = (tina_op){.kind = choose_kind(me, place, ctx), .fd = at->fd, .user = ++me->next_user};
    if (op->kind == 0)
        return false;
    op->timeout_ns = is_one_in(4, ctx) ? 0 : 1 + tina_random(ctx) % TIMEOUT_NS;
    *address = tina_ipv4(127, 0, 0, 1, all->ports[below(PORTS_MAX, ctx)]);
    op->address = address;
    if (op->kind == TINA_IO_SEND)
        choose_data(op, at, message, parts, ctx);
    else if (op->kind == TINA_IO_RECV && is_one_in(2, ctx))
        op->size = 1 + below(300, ctx);
    me->pending[me->pending_count] = (pending){.user = op->user, .kind = op->kind, .place = place};
    return true;
}

static void do_start(member *me, const tina_message *message, tina_ctx *ctx)
{
    tina_bytes parts[2];
    tina_address address;
    tina_op op;
    if (choose_op(me, message, &op, parts, &address, ctx))
        me->pending_count += tina_io_start(ctx, &op) == TINA_OK;
}

static void forget_link(member *me, uint8_t place)
{
    me->links[place] = (link){0};
    for (uint32_t i = 0; i < me->pending_count; i++) {
        if (me->pending[i].place == place)
            me->pending[i].place = NONE;
    }
}

static void do_close(member *me, tina_ctx *ctx)
{
    uint8_t place = (uint8_t)below(LINKS_MAX, ctx);
    if (tina_fd_is_none(me->links[place].fd) || me->pending_count == PENDING_MAX)
        return;
    tina_op op = {.kind = TINA_IO_CLOSE, .fd = me->links[place].fd, .user = ++me->next_user};
    tina_status status = tina_io_start(ctx, &op);
    expect(status == TINA_OK, "a close of one's own descriptor is refused", ctx);
    forget_link(me, place);
    me->pending[me->pending_count] = (pending){.user = op.user, .kind = TINA_IO_CLOSE, .place = NONE};
    me->pending_count += status == TINA_OK;
}

/* Of one's own, mostly; a stream whose half was shut down is at its end. */
static void do_harm(member *me, tina_ctx *ctx)
{
    const crowd *all = tina_user(ctx);
    uint8_t place = (uint8_t)below(LINKS_MAX, ctx);
    tina_fd fd = is_one_in(4, ctx) ? all->known_fds[below(KNOWN_MAX, ctx)] : me->links[place].fd;
    tina_half half = (tina_half)(1 + below(3, ctx));
    if (is_one_in(2, ctx))
        tina_io_cancel(ctx, fd, half);
    else if (is_one_in(4, ctx))
        tina_ignore(tina_socket_shutdown(ctx, fd, half));
}

static void take_accepted(member *me, const tina_message *message, tina_ctx *ctx)
{
    uint8_t place = free_place(me);
    know_fd(message->io.fd, ctx);
    if (place != NONE) {
        me->links[place] = (link){.fd = message->io.fd, .kind = CONNECTED, .halves = TINA_BOTH_HALVES};
        return;
    }
    tina_op op = {.kind = TINA_IO_CLOSE, .fd = message->io.fd, .user = ++me->next_user};
    if (me->pending_count < PENDING_MAX && tina_io_start(ctx, &op) == TINA_OK)
        me->pending[me->pending_count++] = (pending){.user = op.user, .kind = TINA_IO_CLOSE, .place = NONE};
}

static void take_bytes(link *at, const tina_message *message, tina_ctx *ctx)
{
    const uint8_t *expected = pattern + at->received % PERIOD;
    expect(memcmp(message->io.data, expected, message->io.size) == 0, "a byte is not the one that was sent there", ctx);
    at->received += message->io.size;
}

static void take_result(member *me, const pending *what, const tina_message *message, tina_ctx *ctx)
{
    link *at = what->place == NONE ? NULL : &me->links[what->place];
    bool is_ok = message->io.status == TINA_OK;
    expect(message->tag == what->kind, "an operation completes as another", ctx);
    if (what->kind == TINA_IO_ACCEPT && is_ok)
        take_accepted(me, message, ctx);
    else if (what->kind == TINA_IO_CONNECT && is_ok && at != NULL)
        at->kind = CONNECTED;
    else if (what->kind == TINA_IO_SEND && at != NULL)
        at->sent += message->io.size;
    else if (what->kind == TINA_IO_RECV && is_ok && at != NULL)
        take_bytes(at, message, ctx);
}

/* One that was refused at once has no user. */
static void take_completion(member *me, const tina_message *message, tina_ctx *ctx)
{
    uint64_t user = message->io.user;
    uint32_t index = 0;
    if (me->parked != 0) {
        expect(me->parked == message->tag, "who is parked is woken by something else", ctx);
        me->parked = 0;
        if (user == 0)
            user = me->pending_count == 0 ? 0 : me->pending[me->pending_count - 1].user;
    }
    while (index < me->pending_count && me->pending[index].user != user)
        index++;
    if (index == me->pending_count) {
        expect(me->is_loose, "an operation completes twice, or is another's", ctx);
        return;
    }
    pending what = me->pending[index];
    me->pending[index] = me->pending[--me->pending_count];
    take_result(me, &what, message, ctx);
}

/* ---- Others --------------------------------------------------------------------- */

/* What a child is told. */
typedef struct legacy {
    link link;
} legacy;

static void do_spawn(member *me, tina_ctx *ctx)
{
    static const uint16_t groups[] = {TINA_GROUP_NONE, TINA_GROUP_SELF, TINA_GROUP_ROOT, 1, 2};
    legacy left = {0};
    uint8_t place = (uint8_t)below(LINKS_MAX, ctx);
    tina_spawn child = {.args = &left, .args_size = sizeof left};
    child.type = (uint8_t)below(TYPE_COUNT, ctx);
    child.restart = (uint8_t)below(4, ctx);
    child.group = groups[below(sizeof groups / sizeof groups[0], ctx)];
    link *at = &me->links[place];
    bool is_idle = !is_under_way(me, place, false) && !is_under_way(me, place, true); /* its positions are known */
    if (!tina_fd_is_none(at->fd) && at->halves == TINA_BOTH_HALVES && is_idle) {
        child.fd = at->fd;
        child.handoff = (uint8_t)(TINA_HANDOFF_FULL + below(3, ctx));
        left.link = *at;
        left.link.halves = child.handoff == TINA_HANDOFF_READ    ? TINA_READ_HALF
                           : child.handoff == TINA_HANDOFF_WRITE ? TINA_WRITE_HALF
                                                                 : TINA_BOTH_HALVES;
    }
    if (tina_spawn_child(ctx, &child, NULL) != TINA_OK || tina_fd_is_none(child.fd))
        return;
    at->halves = (uint8_t)(at->halves & ~left.link.halves);
    if (at->halves == 0)
        forget_link(me, place);
}

static void do_stop(tina_ctx *ctx)
{
    static const uint64_t graces_ns[] = {1, 5 * MILLISECOND_NS, TINA_NONE_NS};
    if (!is_one_in(4, ctx))
        return;
    tina_handle whom = anybody(ctx);
    tina_ignore(tina_stop_child(ctx, whom, graces_ns[below(3, ctx)]));
}

/* ---- A member ------------------------------------------------------------------- */

static void act(member *me, const tina_message *message, tina_ctx *ctx)
{
    for (uint32_t i = below(4, ctx); i != 0; i--) {
        switch (below(16, ctx)) {
        case 0: do_begin(ctx); break;
        case 1:
        case 2: do_call(me, ctx); break;
        case 3:
        case 4: do_answer(me, ctx); break;
        case 5: do_watch(me, ctx); break;
        case 6: do_unwatch(me, ctx); break;
        case 7: do_timer(me, ctx); break;
        case 8: do_transfer(me, ctx); break;
        case 9: do_socket(me, ctx); break;
        case 10:
        case 11: do_start(me, message, ctx); break;
        case 12:
            if (is_one_in(4, ctx))
                do_close(me, ctx);
            break;
        case 13: do_harm(me, ctx); break;
        case 14:
            if (is_one_in(2, ctx))
                do_spawn(me, ctx);
            else
                do_stop(ctx);
            break;
        default: do_send(ctx); break;
        }
    }
}

static tina_effect call_somebody(member *me, tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    if (!letter_make(payload, &me->parked_number, 0, ctx))
        return tina_receive();
    letter_sent(me->parked_number, TINA_OK, ctx); /* unless it is refused */
    me->parked = TAG_REQUEST;
    tina_handle to = anybody(ctx);
    uint64_t timeout_ns = 1 + tina_random(ctx) % TIMEOUT_NS;
    return tina_call(ctx, to, TAG_REQUEST, payload, letter_size(me->parked_number), timeout_ns);
}

static tina_effect wait_for_io(member *me, const tina_message *message, tina_ctx *ctx)
{
    tina_bytes parts[2];
    tina_address address;
    tina_op op;
    if (!choose_op(me, message, &op, parts, &address, ctx))
        return tina_receive();
    me->pending_count++;
    if (op.timeout_ns == 0)
        op.timeout_ns = TIMEOUT_NS; /* or its timers would go on for ever */
    me->parked = op.kind;
    return tina_io(ctx, &op);
}

static tina_effect close_something(member *me, tina_ctx *ctx)
{
    uint8_t place = (uint8_t)below(LINKS_MAX, ctx);
    tina_fd fd = me->links[place].fd;
    if (tina_fd_is_none(fd) || me->pending_count == PENDING_MAX)
        return tina_receive();
    forget_link(me, place);
    me->pending[me->pending_count++] = (pending){.kind = TINA_IO_CLOSE, .place = NONE};
    me->parked = TINA_IO_CLOSE;
    return tina_io_close(ctx, fd);
}

static tina_effect answer_at_once(const tina_message *message, tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    letter request;
    uint32_t number;
    memcpy(&request, message->payload, sizeof request);
    if (!letter_make(payload, &number, request.number, ctx))
        return tina_receive();
    letter_sent(number, TINA_OK, ctx); /* unless the caller has given up */
    return tina_reply(ctx, TAG_ANSWER, payload, letter_size(number));
}

/* An effect that nobody returns. */
static void change_ones_mind(member *me, const tina_message *message, tina_ctx *ctx)
{
    uint8_t payload[TINA_PAYLOAD_MAX];
    tina_bytes parts[2];
    tina_address address;
    uint32_t number;
    tina_op op;
    if (letter_make(payload, &number, 0, ctx)) {
        tina_effect dropped = tina_call(ctx, anybody(ctx), TAG_REQUEST, payload, letter_size(number), TIMEOUT_NS);
        (void)dropped;
    }
    if (choose_op(me, message, &op, parts, &address, ctx)) {
        tina_effect dropped = tina_io(ctx, &op);
        (void)dropped;
    }
}

static tina_effect choose_effect(member *me, const tina_message *message, tina_ctx *ctx)
{
    uint32_t dice = below(400, ctx);
    if (message != NULL && message->tag == TAG_REQUEST && is_one_in(3, ctx))
        return answer_at_once(message, ctx);
    if (dice < 20)
        change_ones_mind(me, message, ctx);
    if (dice < 2)
        return tina_crash(1);
    if (dice < 3)
        return tina_done();
    if (dice < 60)
        return call_somebody(me, ctx);
    if (dice < 140)
        return wait_for_io(me, message, ctx);
    if (dice < 150)
        return close_something(me, ctx);
    if (dice >= 170)
        return tina_receive();
    me->parked = TINA_TAG_RESUME;
    return tina_yield();
}

static void set_pulse(member *me, tina_ctx *ctx)
{
    if (!me->has_pulse)
        me->has_pulse = tina_timer_start(ctx, 1 + tina_random(ctx) % (40 * MILLISECOND_NS), TAG_PULSE, NULL) == TINA_OK;
}

static tina_effect member_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    member *me = self;
    crowd *all = tina_user(ctx);
    if (all->closing_ns == 0)
        all->closing_ns = tina_now(ctx) + OPEN_NS;
    if (args_size == sizeof(legacy)) {
        legacy left;
        memcpy(&left, args, sizeof left);
        me->links[0] = left.link;
    }
    all->known[below(KNOWN_MAX, ctx)] = tina_self(ctx);
    if (is_closing(ctx))
        return tina_receive();
    set_pulse(me, ctx);
    if (tina_fd_is_none(me->links[0].fd))
        act(me, NULL, ctx);
    if (is_one_in(40, ctx))
        return tina_crash(2);
    return is_one_in(4, ctx) && tina_fd_is_none(me->links[0].fd) ? choose_effect(me, NULL, ctx) : tina_receive();
}

static void take_mail(member *me, const tina_message *message, tina_ctx *ctx)
{
    letter head;
    switch (message->tag) {
    case TAG_LETTER:
        head = letter_seen(message, ctx);
        check_order(me, message, head.number, ctx);
        break;
    case TAG_BEGUN: letter_seen(message, ctx); break;
    case TAG_REQUEST:
        head = letter_seen(message, ctx);
        check_order(me, message, head.number, ctx);
        keep_caller(me, message, head.number);
        break;
    case TAG_ANSWER:
        head = letter_seen(message, ctx);
        take_outcome(me, message, &head, ctx);
        break;
    case TINA_TAG_CALL_FAILED: take_outcome(me, message, NULL, ctx); break;
    case TINA_TAG_DOWN: take_notice(me, message, ctx); break;
    case TINA_TAG_TRANSFER: take_transfer(message, ctx); break;
    default: break;
    }
}

static void take_time(member *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TAG_PULSE)
        me->has_pulse = false;
    else if (message->tag >= TAG_REPEAT)
        take_repeat(&me->alarms[message->tag - TAG_REPEAT], message, ctx);
    else
        take_once(&me->alarms[message->tag - TAG_ONCE], ctx);
}

static bool is_io(tina_tag tag) { return tag >= TINA_IO_ACCEPT && tag <= TINA_IO_CLOSE; }

static void take(member *me, const tina_message *message, tina_ctx *ctx)
{
    bool is_outcome = message->tag == TAG_ANSWER || message->tag == TINA_TAG_CALL_FAILED;
    if (message->tag == TINA_TAG_SHUTDOWN) {
        me->is_loose = true;
        me->parked = 0;
        return;
    }
    if (me->parked == TAG_REQUEST)
        expect(is_outcome, "who is parked for an answer gets something else", ctx);
    else if (me->parked != 0 && !is_io(message->tag))
        expect(me->parked == message->tag, "who is parked gets something else", ctx);
    if (message->tag == TINA_TAG_RESUME)
        me->parked = 0;
    if (is_io(message->tag))
        take_completion(me, message, ctx);
    else if (message->tag >= TAG_PULSE)
        take_time(me, message, ctx);
    else
        take_mail(me, message, ctx);
}

static tina_effect member_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    member *me = self;
    take(me, message, ctx);
    if (message->tag == TINA_TAG_SHUTDOWN && (is_closing(ctx) || is_one_in(2, ctx)))
        return tina_done();
    if (is_closing(ctx)) {
        me->kept_count = 0;
        return tina_receive();
    }
    set_pulse(me, ctx);
    act(me, message, ctx);
    return choose_effect(me, message, ctx);
}

/* ---- What must hold ------------------------------------------------------------ */

static bool check_members(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick;
    const crowd *all = user;
    snprintf(why, why_size, "%s", all->wrong);
    return all->wrong[0] == '\0';
}

/* ---- The simulation ------------------------------------------------------------ */

/* Groups in one another, each the last child of the one around it but one. */
typedef struct tree {
    tina_group_spec groups[GROUPS_MAX];
    tina_child children[GROUPS_MAX][CHILDREN_MAX];
} tree;

static void grow_group(tree *of, uint32_t index, uint32_t depth, uint16_t *name, uint64_t *state)
{
    tina_group_spec *group = &of->groups[index];
    tina_child *children = of->children[index];
    uint32_t count = draw(state, 1, CHILDREN_MAX - 1);
    uint32_t inner = index + 1 < depth ? draw(state, 0, count) : count + 1; /* where the next group stands */
    *group = (tina_group_spec){
        .children = children,
        .child_count = count + (index + 1 < depth),
        .name = (uint16_t)index,
        .backoff_max_ns = 50 * MILLISECOND_NS,
    };
    group->strategy = (uint8_t)draw(state, TINA_ONE_FOR_ONE, TINA_REST_FOR_ONE);
    group->restart_max = draw(state, 3, 200);
    group->backoff_ns = draw(state, 0, 5) * MILLISECOND_NS;
    for (uint32_t i = 0; i < group->child_count; i++) {
        static const uint8_t policies[] = {TINA_PERMANENT, TINA_PERMANENT, TINA_PERMANENT, TINA_TRANSIENT, TINA_TEMPORARY};
        bool is_named = i != inner && *name < NAMES_MAX;
        children[i] = (tina_child){
            .group = i == inner ? &of->groups[index + 1] : NULL,
            .name = is_named ? ++*name : 0,
        };
        children[i].type = (uint8_t)draw(state, 0, TYPE_COUNT - 1);
        children[i].restart = policies[draw(state, 0, 4)];
    }
}

static void grow(tree *trees, tina_shard_spec *shards, uint32_t shard_count, uint64_t *state)
{
    for (uint32_t i = 0; i < shard_count; i++) {
        uint32_t depth = draw(state, 1, GROUPS_MAX);
        uint16_t name = 0;
        for (uint32_t group = 0; group < depth; group++)
            grow_group(&trees[i], group, depth, &name, state);
        shards[i].root = trees[i].groups[0];
    }
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static tina_type types[TYPE_COUNT];
    static const char *const names[TYPE_COUNT] = {"few", "some", "many"};
    static const tina_checker_fn checkers[] = {check_members};
    static tina_shard_spec shards[SHARDS_MAX];
    static tree trees[SHARDS_MAX];
    static crowd all;
    memset(&all, 0, sizeof all);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)((i % PERIOD) * 41 + 7);
    all.shard_count = draw(&seed, 1, SHARDS_MAX);
    grow(trees, shards, all.shard_count, &seed);
    for (uint32_t i = 0; i < TYPE_COUNT; i++)
        types[i] = (tina_type){.name = names[i],
                               .init = member_init,
                               .handler = member_handle,
                               .size = sizeof(member),
                               .slot_count = GROUPS_MAX * CHILDREN_MAX + draw(&seed, 0, SLOTS),
                               .mailbox_capacity = 1 + i * 4};
    spec->types = types;
    spec->type_count = TYPE_COUNT;
    spec->shards = shards;
    spec->shard_count = all.shard_count;
    spec->user = &all;
    spec->shard_restart_max = 1000000;
    spec->timer_resolution_ns = MILLISECOND_NS;
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = sizeof checkers / sizeof checkers[0];
    config->checker_user = &all;
    config->check_every = draw(&seed, 10, 100);
    if (draw(&seed, 0, 1) == 1)
        config->stop_at_tick = draw(&seed, 1, 14000);
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
