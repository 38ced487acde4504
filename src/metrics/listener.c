#include "metrics/isolate.h"

#include <errno.h>
#include <string.h>

enum { BACKLOG = 128, ADDRESS_TEXT = 128 };
enum { NO_ADDRESS = 1, NO_SOCKET, NO_TIMER }; /* reasons to crash */

static tina_effect try_later(tina__listener *me, tina_ctx *ctx)
{
    if (!me->has_timer && tina_timer_start(ctx, TINA__METRICS_PAUSE_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(NO_TIMER);
    me->has_timer = true;
    return tina_receive();
}

/* Started, not returned as an effect: it has to hear of its timer meanwhile. */
static tina_effect accept_next(tina__listener *me, tina_ctx *ctx)
{
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    if (me->is_ending)
        return tina_done();
    me->is_accepting = tina_io_start(ctx, &accept) == TINA_OK;
    return me->is_accepting ? tina_receive() : try_later(me, ctx);
}

/* ---- Scrapers ---- */

static void forget(tina__listener *me, uint32_t index) { me->scrapers[index] = me->scrapers[--me->scraper_count]; }

/* One after the other, a pause apart: whoever is idle leaves at once, and one place is all that is needed. */
static void ask_for_room(tina__listener *me, tina_ctx *ctx)
{
    while (me->scraper_count != 0) {
        uint32_t index = me->asked++ % me->scraper_count;
        if (tina_send(ctx, me->scrapers[index], TINA__METRICS_MAKE_ROOM, NULL, 0) != TINA_STALE_HANDLE)
            return;
        forget(me, index); /* it could not be watched */
    }
}

static tina_status spawn(tina__listener *me, tina_fd fd, tina_ctx *ctx)
{
    tina__scraper_args args = {.fd = fd, .listener = tina_self(ctx), .args = me->args};
    tina_spawn child = {.type = tina_handle_type(tina_self(ctx)),
                        .group = TINA_GROUP_NONE,
                        .fd = fd,
                        .args = &args,
                        .args_size = sizeof args};
    if (me->scraper_count == TINA_METRICS_SCRAPERS_MAX)
        return TINA_ARENA_FULL;
    tina_handle *scraper = &me->scrapers[me->scraper_count];
    tina_status status = tina_spawn_child(ctx, &child, scraper);
    if (status == TINA_OK) {
        me->scraper_count++;
        tina_ignore(tina_watch(ctx, *scraper)); /* without, its end is noticed when room is needed */
    }
    return status;
}

/* Where all are taken, the newcomer waits until one of the others leaves; those behind it wait in the kernel. */
static tina_effect admit(tina__listener *me, tina_fd fd, tina_ctx *ctx)
{
    tina_op close = {.kind = TINA_IO_CLOSE, .fd = fd};
    switch (spawn(me, fd, ctx)) {
    case TINA_OK: return accept_next(me, ctx);
    case TINA_ARENA_FULL:
        me->waiting = fd;
        ask_for_room(me, ctx);
        return try_later(me, ctx);
    default:
        tina_ignore(tina_io_start(ctx, &close)); /* never refused */
        return accept_next(me, ctx);
    }
}

/* Something has changed for who waits, or for whom nothing could be accepted. */
static tina_effect try_again(tina__listener *me, tina_ctx *ctx)
{
    tina_fd fd = me->waiting;
    me->waiting = (tina_fd){0};
    if (me->is_ending)
        return me->is_accepting ? tina_receive() : tina_done();
    if (!tina_fd_is_none(fd))
        return admit(me, fd, ctx);
    return me->is_accepting ? tina_receive() : accept_next(me, ctx);
}

static tina_effect scraper_ended(tina__listener *me, const tina_message *message, tina_ctx *ctx)
{
    tina_down down;
    memcpy(&down, message->payload, sizeof down);
    for (uint32_t i = me->scraper_count; i-- > 0;) {
        if (tina_handle_equal(me->scrapers[i], down.who))
            forget(me, i);
    }
    return try_again(me, ctx);
}

static tina_effect accepted(tina__listener *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_accepting = false;
    if (me->is_ending)
        return tina_done();
    switch (message->io.status) {
    case TINA_OK: return admit(me, message->io.fd, ctx);
    case TINA_RESET: return accept_next(me, ctx); /* it left before its turn came */
    default: return try_later(me, ctx);
    }
}

/* ---- Its life ---- */

static tina_status open_socket(tina__listener *me, tina_address *address, tina_ctx *ctx)
{
    tina_status status = tina_socket(ctx, address->family, TINA_STREAM, &me->fd);
    if (status == TINA_OK)
        status = tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEADDR, 1);
    if (status == TINA_OK) /* with the same child of other shards */
        status = tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEPORT, 1);
    if (status == TINA_OK)
        status = tina_bind(ctx, me->fd, address);
    if (status == TINA_OK)
        status = tina_listen(ctx, me->fd, BACKLOG);
    if (status == TINA_OK)
        status = tina_local_address(ctx, me->fd, address);
    return status;
}

/* False: it is none, and the log says so. */
static bool read_address(const char *text, tina_address *address, tina_ctx *ctx)
{
    bool is_address = text != NULL && tina_address_parse(text, address) == TINA_OK && address->family != TINA_UNIX;
    if (!is_address)
        tina_log(ctx, TINA_LOG_ERROR, "needs tina_metrics_args with an address such as 127.0.0.1:9464, not \"%s\"",
                 text != NULL ? text : "");
    return is_address;
}

/* While the system comes up, another try would run into the same: that calls the start off. Later it may be over soon. */
static tina_effect give_up(uint8_t reason, tina_ctx *ctx)
{
    tina_stats stats;
    if (tina_stats_of(ctx, tina_shard(ctx), &stats) == TINA_OK && stats.state == TINA_SHARD_INIT)
        tina_stop_system(ctx);
    return tina_crash(reason);
}

tina_effect tina__listener_init(tina__listener *me, const tina_metrics_args *args, tina_ctx *ctx)
{
    tina_address address;
    char text[ADDRESS_TEXT];
    me->part = TINA__METRICS_LISTENER;
    me->args = *args;
    if (!read_address(args->address, &address, ctx))
        return give_up(NO_ADDRESS, ctx);
    tina_status status = open_socket(me, &address, ctx);
    if (status != TINA_OK) {
        int os_error = tina_os_error(ctx);
        tina_log(ctx, TINA_LOG_ERROR, "cannot listen on %s: %s, errno %d%s", args->address, tina_status_name(status),
                 os_error, os_error == EADDRINUSE ? ": the address is in use" : "");
        return give_up(NO_SOCKET, ctx);
    }
    tina_address_format(&address, text, sizeof text);
    tina_log(ctx, TINA_LOG_INFO, "metrics at http://%s/metrics", text);
    return accept_next(me, ctx);
}

/* Who is accepted by now, or waits, is closed with it. */
static tina_effect finish(tina__listener *me, tina_ctx *ctx)
{
    me->is_ending = true;
    if (!me->is_accepting)
        return tina_done();
    tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    return tina_receive();
}

tina_effect tina__listener_handle(tina__listener *me, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TINA_IO_ACCEPT: return accepted(me, message, ctx);
    case TINA_TAG_TIMER: me->has_timer = false; return try_again(me, ctx);
    case TINA_TAG_DOWN: return scraper_ended(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return finish(me, ctx);
    default: return tina_receive();
    }
}
