#include "metrics/answer.h"
#include "metrics/isolate.h"

#include <string.h>

#define SECOND_NS  1000000000ull
#define TIMEOUT_NS (10 * SECOND_NS)  /* where the program says nothing else */
#define IDLE_NS    (120 * SECOND_NS) /* between two requests */
#define STILL_NS   SECOND_NS         /* who has not moved for so long makes room for who waits */
#define LINGER_NS  (2 * SECOND_NS)   /* for the peer to see the end before what it still sends resets the connection */
#define DRAIN_NS   (2 * SECOND_NS)   /* for an answer that is under way when the system stops */

enum { CHUNK_HEAD = 6, CHUNK_TAIL = 2, LAST_CHUNK = 5 }; /* bytes: "1a2b\r\n", "\r\n", "0\r\n\r\n" */
TINA_STATIC_ASSERT(TINA__SCRAPER_PIECE_MAX >=
                       TINA__ANSWER_MAX + CHUNK_HEAD + TINA_METRICS_PART_MAX + CHUNK_TAIL + LAST_CHUNK,
                   "a piece has room for a head and a part");
TINA_STATIC_ASSERT(TINA__SCRAPER_PIECE_MAX <= 0xFFFF, "a chunk's size has four digits");

enum {
    READING,   /* a request, or waiting for one */
    ANSWERING, /* it */
    LINGERING, /* until the peer has seen that it was the last answer */
};

static tina_effect next_request(tina__scraper *me, tina_ctx *ctx);

static bool is_idle(const tina__scraper *me) { return me->state == READING && me->request.head_size == 0; }

/* For a request, or its answer. */
static uint64_t due_after(const tina__scraper *me, const tina_ctx *ctx)
{
    uint64_t now_ns = tina_now(ctx), timeout_ns = me->args.timeout_ns != 0 ? me->args.timeout_ns : TIMEOUT_NS;
    return timeout_ns < UINT64_MAX - now_ns ? now_ns + timeout_ns : UINT64_MAX;
}

static uint64_t time_left(const tina__scraper *me, const tina_ctx *ctx)
{
    uint64_t now_ns = tina_now(ctx);
    return me->due_ns > now_ns ? me->due_ns - now_ns : 1;
}

/* What it did not take would otherwise stay in the kernel for as long as it likes. */
static tina_effect cut_off(const tina__scraper *me, tina_ctx *ctx)
{
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_LINGER, 0));
    return tina_done();
}

/* A pool was empty: there are others beside us. */
static tina_effect try_later(tina__scraper *me, tina_ctx *ctx)
{
    bool is_late = tina_now(ctx) >= me->due_ns;
    if (is_late || tina_timer_start(ctx, TINA__METRICS_PAUSE_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return cut_off(me, ctx);
    me->is_paused = true;
    return tina_receive();
}

/* Started, not returned as an effect: it has to hear who asks for room meanwhile. */
static tina_effect start(tina__scraper *me, const tina_op *op, tina_ctx *ctx)
{
    switch (tina_io_start(ctx, op)) {
    case TINA_OK: return tina_receive();
    case TINA_POOL_EXHAUSTED: return try_later(me, ctx);
    default: return tina_done();
    }
}

static tina_effect receive(tina__scraper *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_RECV, .fd = me->fd, .size = TINA__SCRAPER_INPUT_MAX, .timeout_ns = time_left(me, ctx)};
    return start(me, &op, ctx);
}

static tina_effect send_piece(tina__scraper *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_SEND,
                  .fd = me->fd,
                  .data = me->piece + me->piece_start,
                  .size = me->piece_size - me->piece_start,
                  .timeout_ns = time_left(me, ctx)};
    return start(me, &op, ctx);
}

/* The end of our side; the rest of the peer's is read and dropped for a while. */
static tina_effect linger(tina__scraper *me, tina_ctx *ctx)
{
    if (tina_socket_shutdown(ctx, me->fd, TINA_WRITE_HALF) != TINA_OK)
        return tina_done();
    me->state = LINGERING;
    me->due_ns = tina_now(ctx) + LINGER_NS;
    return receive(me, ctx);
}

/* ---- Its answers ---- */

static void add(tina__scraper *me, const char *bytes, uint32_t size)
{
    memcpy(me->piece + me->piece_size, bytes, size);
    me->piece_size += size;
}

/* "1a2b\r\n" */
static void write_chunk_head(char at[CHUNK_HEAD], uint32_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < 4; i++)
        at[i] = digits[size >> (12 - 4 * i) & 15];
    memcpy(at + 4, "\r\n", 2);
}

/* As much as has room: as a chunk, or for a client of HTTP/1.0 as it is, until the end of the connection. */
static void add_metrics(tina__scraper *me, tina_ctx *ctx)
{
    bool is_chunked = me->request.minor_version != 0;
    uint32_t head = is_chunked ? CHUNK_HEAD : 0, around = is_chunked ? CHUNK_HEAD + CHUNK_TAIL + LAST_CHUNK : 0;
    char *at = me->piece + me->piece_size;
    uint32_t size = TINA__SCRAPER_PIECE_MAX - me->piece_size - around;
    me->has_more = tina__report_write(&me->report, &me->args, at + head, &size, ctx);
    if (!is_chunked) {
        me->piece_size += size;
        return;
    }
    if (size != 0) { /* an empty chunk would be the last */
        write_chunk_head(at, size);
        me->piece_size += CHUNK_HEAD + size;
        add(me, "\r\n", CHUNK_TAIL);
    }
    if (!me->has_more)
        add(me, "0\r\n\r\n", LAST_CHUNK);
}

static tina_effect begin_answer(tina__scraper *me, tina_ctx *ctx)
{
    me->state = ANSWERING;
    me->due_ns = due_after(me, ctx);
    me->moved_ns = tina_now(ctx);
    return send_piece(me, ctx);
}

static tina_effect refuse(tina__scraper *me, uint16_t status, tina_ctx *ctx)
{
    me->piece_start = 0;
    me->piece_size = tina__answer_refusal(&me->request, status, me->is_last, me->piece);
    me->has_more = false;
    return begin_answer(me, ctx);
}

static tina_effect tell(tina__scraper *me, tina_ctx *ctx)
{
    if (me->request.minor_version == 0 && !me->request.is_head)
        me->is_last = true; /* its end is the connection's */
    me->piece_start = 0;
    me->piece_size = tina__answer_metrics(&me->request, me->is_last, me->piece);
    me->has_more = false;
    if (!me->request.is_head) {
        tina__report_begin(&me->report, ctx);
        add_metrics(me, ctx);
    }
    return begin_answer(me, ctx);
}

static tina_effect answer(tina__scraper *me, tina_ctx *ctx)
{
    me->is_last = me->is_last || !me->request.keeps_alive;
    if (me->request.status != 200)
        return refuse(me, me->request.status, ctx);
    return tina__request_is_for(&me->request, "/metrics") ? tell(me, ctx) : refuse(me, 404, ctx);
}

static tina_effect next_piece(tina__scraper *me, tina_ctx *ctx)
{
    me->piece_start = me->piece_size = 0;
    if (me->has_more)
        add_metrics(me, ctx);
    if (me->piece_size != 0)
        return send_piece(me, ctx);
    return me->is_last ? linger(me, ctx) : next_request(me, ctx);
}

static tina_effect sent(tina__scraper *me, const tina_message *message, tina_ctx *ctx)
{
    me->piece_start += (uint32_t)message->io.size;
    if (message->io.size != 0)
        me->moved_ns = tina_now(ctx);
    if (message->io.status == TINA_POOL_EXHAUSTED)
        return try_later(me, ctx); /* it would have had to wait, with one of the last buffers */
    return message->io.status == TINA_OK ? next_piece(me, ctx) : cut_off(me, ctx);
}

/* ---- Its requests ---- */

static tina_effect take_input(tina__scraper *me, tina_ctx *ctx)
{
    tina__request *request = &me->request;
    bool is_new = request->head_size == 0;
    me->input_start +=
        (uint16_t)tina__request_feed(request, me->input + me->input_start, (size_t)(me->input_size - me->input_start));
    if (is_new && request->head_size != 0) { /* it was idle until now */
        me->due_ns = due_after(me, ctx);
        me->moved_ns = tina_now(ctx);
    }
    return request->status != 0 ? answer(me, ctx) : receive(me, ctx);
}

static tina_effect next_request(tina__scraper *me, tina_ctx *ctx)
{
    tina__request_begin(&me->request);
    me->state = READING;
    me->due_ns = tina_now(ctx) + IDLE_NS;
    return take_input(me, ctx);
}

/* The peer's end; or its time is over, of which it is told where it had begun. */
static tina_effect received_nothing(tina__scraper *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status == TINA_POOL_EXHAUSTED)
        return try_later(me, ctx);
    if (message->io.status != TINA_TIMED_OUT || me->state != READING || is_idle(me))
        return tina_done();
    me->is_last = true;
    return refuse(me, 408, ctx);
}

static tina_effect received(tina__scraper *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK)
        return received_nothing(me, message, ctx);
    if (me->state == LINGERING)
        return receive(me, ctx);
    memcpy(me->input, message->io.data, message->io.size);
    me->input_start = 0;
    me->input_size = (uint16_t)message->io.size;
    return take_input(me, ctx);
}

static tina_effect try_again(tina__scraper *me, tina_ctx *ctx)
{
    me->is_paused = false;
    if (me->state != ANSWERING)
        return receive(me, ctx);
    return me->piece_start < me->piece_size ? send_piece(me, ctx) : next_piece(me, ctx);
}

/* ---- Its life ---- */

tina_effect tina__scraper_init(tina__scraper *me, const tina__scraper_args *args, tina_ctx *ctx)
{
    me->part = TINA__METRICS_SCRAPER;
    me->args = args->args;
    me->fd = args->fd;
    me->listener = args->listener;
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_NODELAY, 1)); /* without, it is slower */
    tina_ignore(tina_watch(ctx, me->listener)); /* without, it stays a little longer when its listener ends */
    return next_request(me, ctx);
}

/* Nobody is kept waiting by one who does nothing. */
static tina_effect make_room(tina__scraper *me, tina_ctx *ctx)
{
    bool is_still = tina_now(ctx) - me->moved_ns >= STILL_NS;
    if (is_idle(me) || me->state == LINGERING)
        return tina_done();
    if (is_still)
        return cut_off(me, ctx);
    me->is_last = true;
    return tina_receive();
}

/* Its listener has ended: it is the last answer. */
static tina_effect follow(tina__scraper *me)
{
    me->is_last = true;
    return me->state == ANSWERING ? tina_receive() : tina_done();
}

static tina_effect finish(tina__scraper *me, tina_ctx *ctx)
{
    uint64_t end_ns = tina_now(ctx) + DRAIN_NS;
    me->is_last = me->is_draining = true;
    if (me->state != ANSWERING || tina_timer_start(ctx, DRAIN_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_done();
    me->due_ns = me->due_ns < end_ns ? me->due_ns : end_ns;
    return tina_receive();
}

/* The end of a pause, or of the time that the shutdown has for an answer. */
static tina_effect timer_fired(tina__scraper *me, tina_ctx *ctx)
{
    if (me->is_draining && tina_now(ctx) >= me->due_ns)
        return cut_off(me, ctx);
    return me->is_paused ? try_again(me, ctx) : tina_receive();
}

tina_effect tina__scraper_handle(tina__scraper *me, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TINA_IO_RECV: return received(me, message, ctx);
    case TINA_IO_SEND: return sent(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return finish(me, ctx);
    case TINA_TAG_DOWN: return follow(me);
    case TINA_TAG_TIMER: return timer_fired(me, ctx);
    case TINA__METRICS_MAKE_ROOM:
        return tina_handle_equal(message->source, me->listener) ? make_room(me, ctx) : tina_receive();
    default: return tina_receive();
    }
}
