/*
 * A bad pointer, handed to each function of <tina/ctx.h> and <tina/io.h> that takes
 * one, costs who handed it over and nobody else: in a handler, in an init and in a
 * spawned child's init. Where NULL has a meaning or a status, it costs nothing.
 */
/* ctest: not under thread */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trap/child.h"
#include "trap/deeds.h"

#define WILD     ((void *)0x10)
#define LEFT     8  /* bytes before a closed page */
#define ENOUGH   64 /* bytes: more than that */
#define A_MINUTE 60000000000u

/* UndefinedBehaviorSanitizer ends the process where the library itself reads through NULL. */
extern void __ubsan_handle_type_mismatch_v1_abort(void *data, void *pointer) __attribute__((weak));
static bool has_ubsan(void) { return __ubsan_handle_type_mismatch_v1_abort != NULL; }

static tina_test_world *world; /* of the row that is tried: a child inherits it */

/* ---- What is done with the pointer ------------------------------------------------------------- */

typedef struct call {
    tina_ctx *ctx;
    void *bad;
    const tina_test_scene *scene;
    tina_handle mute;
    tina_fd fd; /* an open socket of the caller's */
} call;

/* No result is dropped: then no call is. */
static volatile uint64_t kept;
static volatile int kept_status; /* of the call that has one; NO_STATUS: it has none */

#define NO_STATUS (-1)

static void keep(uint64_t word) { kept = word; }
static void keep_effect(tina_effect effect) { kept = effect.argument; }
static void keep_status(tina_status status) { kept_status = (int)status; }

#define TAG TINA_TEST_TAG_LETTER

/* The context. */
static void self_of(const call *c) { keep(tina_self(c->bad).bits); }
static void shard_of(const call *c) { keep(tina_shard(c->bad)); }
static void shard_count_of(const call *c) { keep(tina_shard_count(c->bad)); }
static void now_of(const call *c) { keep(tina_now(c->bad)); }
static void random_of(const call *c) { keep(tina_random(c->bad)); }
static void user_of(const call *c) { keep((uintptr_t)tina_user(c->bad)); }
static void is_shutting_down_of(const call *c) { keep(tina_is_shutting_down(c->bad)); }
static void stop_system_of(const call *c) { tina_stop_system(c->bad); }
static void call_of(const call *c) { keep_effect(tina_call(c->bad, c->mute, TAG, NULL, 0, 0)); }
static void reply_of(const call *c) { keep_effect(tina_reply(c->bad, TAG, NULL, 0)); }
static void send_of(const call *c) { keep_status(tina_send(c->bad, c->mute, TAG, NULL, 0)); }
static void send_commit_of(const call *c) { tina_send_commit(c->bad); }
static void call_start_of(const call *c) { keep_status(tina_call_start(c->bad, c->mute, TAG, NULL, 0, 0, NULL)); }
static void reply_to_of(const call *c) { keep_status(tina_reply_to(c->bad, (tina_caller){c->mute, 1}, TAG, NULL, 0)); }
static void watch_of(const call *c) { keep_status(tina_watch(c->bad, c->mute)); }
static void unwatch_of(const call *c) { tina_unwatch(c->bad, c->mute); }
static void stop_child_of(const call *c) { keep_status(tina_stop_child(c->bad, c->mute, A_MINUTE)); }
static void timer_start_of(const call *c) { keep_status(tina_timer_start(c->bad, A_MINUTE, TAG, NULL)); }
static void timer_repeat_of(const call *c) { keep_status(tina_timer_repeat(c->bad, A_MINUTE, TAG, NULL)); }
static void timer_cancel_of(const call *c) { keep(tina_timer_cancel(c->bad, (tina_timer){1})); }
static void log_of(const call *c) { tina_log(c->bad, TINA_LOG_INFO, "%d", 1); }
static void scratch_of(const call *c) { keep((uintptr_t)tina_scratch(c->bad, 16)); }
static void working_of(const call *c) { keep((uintptr_t)tina_working(c->bad, 0)); }
static void working_reset_of(const call *c) { tina_working_reset(c->bad); }
static void transfer_send_of(const call *c) { keep_status(tina_transfer_send(c->bad, c->mute, c->scene->transfer, 1)); }
static void transfer_free_of(const call *c) { tina_transfer_free(c->bad, c->scene->transfer); }
static void listen_of(const call *c) { keep_status(tina_listen(c->bad, c->fd, 1)); }
static void setsockopt_of(const call *c) { keep_status(tina_setsockopt(c->bad, c->fd, TINA_OPT_NODELAY, 1)); }
static void shutdown_of(const call *c) { keep_status(tina_socket_shutdown(c->bad, c->fd, TINA_BOTH_HALVES)); }
static void os_error_of(const call *c) { keep((uint64_t)tina_os_error(c->bad)); }
static void io_cancel_of(const call *c) { tina_io_cancel(c->bad, c->fd, TINA_BOTH_HALVES); }
static void io_accept_of(const call *c) { keep_effect(tina_io_accept(c->bad, c->fd)); }
static void io_recv_of(const call *c) { keep_effect(tina_io_recv(c->bad, c->fd)); }
static void io_close_of(const call *c) { keep_effect(tina_io_close(c->bad, c->fd)); }

static void send_begin_of(const call *c)
{
    void *open;
    keep_status(tina_send_begin(c->bad, c->mute, TAG, 8, &open));
}

static void spawn_child_of(const call *c)
{
    const tina_spawn spawn = {.type = TINA_TEST_OTHERS};
    keep_status(tina_spawn_child(c->bad, &spawn, NULL));
}

static void transfer_alloc_of(const call *c)
{
    tina_transfer transfer;
    void *data;
    keep_status(tina_transfer_alloc(c->bad, &transfer, &data, NULL));
}

/* A message that brings the caller's own transfer. */
static tina_message bringing(const call *c)
{
    tina_message message = {.tag = TINA_TAG_TRANSFER, .size = sizeof c->scene->transfer, .payload = {0}};
    memcpy(message.payload, &c->scene->transfer, sizeof c->scene->transfer);
    return message;
}

static void transfer_read_of(const call *c)
{
    const tina_message message = bringing(c);
    const void *data;
    size_t size;
    keep_status(tina_transfer_read(c->bad, &message, &data, &size));
}

static void socket_of(const call *c)
{
    tina_fd fd;
    keep_status(tina_socket(c->bad, TINA_IPV4, TINA_STREAM, &fd));
}

static void bind_of(const call *c)
{
    const tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    keep_status(tina_bind(c->bad, c->fd, &address));
}

static void local_address_of(const call *c)
{
    tina_address address;
    keep_status(tina_local_address(c->bad, c->fd, &address));
}

static void peer_address_of(const call *c)
{
    tina_address address;
    keep_status(tina_peer_address(c->bad, c->fd, &address));
}

static void getsockopt_of(const call *c)
{
    int value;
    keep_status(tina_getsockopt(c->bad, c->fd, TINA_OPT_NODELAY, &value));
}

static void io_of(const call *c)
{
    const tina_op op = {.kind = TINA_IO_RECV, .fd = c->fd};
    keep_effect(tina_io(c->bad, &op));
}

static void io_start_of(const call *c)
{
    const tina_op op = {.kind = TINA_IO_RECV, .fd = c->fd};
    keep_status(tina_io_start(c->bad, &op));
}

static void io_connect_of(const call *c)
{
    const tina_address address = tina_ipv4(127, 0, 0, 1, 1);
    keep_effect(tina_io_connect(c->bad, c->fd, &address, 0));
}

static void io_send_of(const call *c) { keep_effect(tina_io_send(c->bad, c->fd, "x", 1)); }

/* What is read. */
static void call_from(const call *c) { keep_effect(tina_call(c->ctx, c->mute, TAG, c->bad, ENOUGH, 0)); }
static void reply_from(const call *c) { keep_effect(tina_reply(c->ctx, TAG, c->bad, ENOUGH)); }
static void send_from(const call *c) { keep_status(tina_send(c->ctx, c->mute, TAG, c->bad, ENOUGH)); }
static void call_start_from(const call *c) { keep_status(tina_call_start(c->ctx, c->mute, TAG, c->bad, ENOUGH, 0, NULL)); }
static void reply_to_from(const call *c)
{
    keep_status(tina_reply_to(c->ctx, (tina_caller){c->mute, 1}, TAG, c->bad, ENOUGH));
}
static void is_call_from(const call *c) { keep(tina_is_call(c->bad)); }
static void caller_from(const call *c) { keep(tina_message_caller(c->bad).correlation); }
static void spawn_from(const call *c) { keep_status(tina_spawn_child(c->ctx, c->bad, NULL)); }
static void log_format(const call *c) { tina_log(c->ctx, TINA_LOG_INFO, c->bad, 1); }
static void log_argument(const call *c) { tina_log(c->ctx, TINA_LOG_INFO, "%s", (const char *)c->bad); }
static void ipv6_from(const call *c) { keep(tina_ipv6(c->bad, 1).ipv6[15]); }
static void bind_from(const call *c) { keep_status(tina_bind(c->ctx, c->fd, c->bad)); }
static void io_from(const call *c) { keep_effect(tina_io(c->ctx, c->bad)); }
static void io_start_from(const call *c) { keep_status(tina_io_start(c->ctx, c->bad)); }
static void io_connect_from(const call *c) { keep_effect(tina_io_connect(c->ctx, c->fd, c->bad, 0)); }
static void io_send_from(const call *c) { keep_effect(tina_io_send(c->ctx, c->fd, c->bad, ENOUGH)); }

static void spawn_args(const call *c)
{
    const tina_spawn spawn = {.type = TINA_TEST_OTHERS, .args = c->bad, .args_size = TINA_ARGS_MAX};
    keep_status(tina_spawn_child(c->ctx, &spawn, NULL));
}

static void transfer_read_from(const call *c)
{
    const void *data;
    size_t size;
    keep_status(tina_transfer_read(c->ctx, c->bad, &data, &size));
}

static void parse_from(const call *c)
{
    tina_address address;
    keep_status(tina_address_parse(c->bad, &address));
}

static void format_from(const call *c)
{
    char text[ENOUGH];
    keep(tina_address_format(c->bad, text, sizeof text));
}

static tina_op op_of(const call *c, tina_tag kind) { return (tina_op){.kind = kind, .fd = c->fd}; }

static void io_data(const call *c)
{
    tina_op op = op_of(c, TINA_IO_SEND);
    op.data = c->bad;
    op.size = ENOUGH;
    keep_effect(tina_io(c->ctx, &op));
}

static void io_start_data(const call *c)
{
    tina_op op = op_of(c, TINA_IO_SEND);
    op.data = c->bad;
    op.size = ENOUGH;
    keep_status(tina_io_start(c->ctx, &op));
}

/* More than a buffer holds: the rest would be read later. */
static void io_start_much_data(const call *c)
{
    tina_op op = op_of(c, TINA_IO_SEND);
    op.data = c->bad;
    op.size = 1 << 20;
    keep_status(tina_io_start(c->ctx, &op));
}

static void io_parts(const call *c)
{
    tina_op op = op_of(c, TINA_IO_SEND);
    op.parts = c->bad;
    op.part_count = TINA_PARTS_MAX;
    keep_effect(tina_io(c->ctx, &op));
}

static void io_start_parts(const call *c)
{
    tina_op op = op_of(c, TINA_IO_SEND);
    op.parts = c->bad;
    op.part_count = TINA_PARTS_MAX;
    keep_status(tina_io_start(c->ctx, &op));
}

static void io_start_part(const call *c)
{
    const tina_bytes parts[] = {{"whole", 5}, {c->bad, ENOUGH}};
    tina_op op = op_of(c, TINA_IO_SEND);
    op.parts = parts;
    op.part_count = LENGTH(parts);
    keep_status(tina_io_start(c->ctx, &op));
}

static void io_address(const call *c)
{
    tina_op op = op_of(c, TINA_IO_CONNECT);
    op.address = c->bad;
    keep_effect(tina_io(c->ctx, &op));
}

static void io_start_address(const call *c)
{
    tina_op op = op_of(c, TINA_IO_CONNECT);
    op.address = c->bad;
    keep_status(tina_io_start(c->ctx, &op));
}

/* What is written. */
static void call_start_to(const call *c) { keep_status(tina_call_start(c->ctx, c->mute, TAG, NULL, 0, 0, c->bad)); }
static void timer_start_to(const call *c) { keep_status(tina_timer_start(c->ctx, A_MINUTE, TAG, c->bad)); }
static void timer_repeat_to(const call *c) { keep_status(tina_timer_repeat(c->ctx, A_MINUTE, TAG, c->bad)); }
static void socket_to(const call *c) { keep_status(tina_socket(c->ctx, TINA_IPV4, TINA_STREAM, c->bad)); }
static void local_address_to(const call *c) { keep_status(tina_local_address(c->ctx, c->fd, c->bad)); }
static void peer_address_to(const call *c) { keep_status(tina_peer_address(c->ctx, c->fd, c->bad)); }
static void getsockopt_to(const call *c) { keep_status(tina_getsockopt(c->ctx, c->fd, TINA_OPT_NODELAY, c->bad)); }
static void parse_to(const call *c) { keep_status(tina_address_parse("127.0.0.1:80", c->bad)); }

/* The one that is open would be told first. */
static void send_begin_to(const call *c)
{
    *c->scene->letter = 0;
    tina_send_commit(c->ctx);
    keep_status(tina_send_begin(c->ctx, c->mute, TAG, 8, c->bad));
}

static void spawn_to(const call *c)
{
    const tina_spawn spawn = {.type = TINA_TEST_OTHERS};
    keep_status(tina_spawn_child(c->ctx, &spawn, c->bad));
}

static void transfer_alloc_to(const call *c)
{
    void *data;
    tina_transfer_free(c->ctx, c->scene->transfer);
    keep_status(tina_transfer_alloc(c->ctx, c->bad, &data, NULL));
}

static void transfer_alloc_data(const call *c)
{
    tina_transfer transfer;
    tina_transfer_free(c->ctx, c->scene->transfer);
    keep_status(tina_transfer_alloc(c->ctx, &transfer, c->bad, NULL));
}

static void transfer_alloc_capacity(const call *c)
{
    tina_transfer transfer;
    void *data;
    tina_transfer_free(c->ctx, c->scene->transfer);
    keep_status(tina_transfer_alloc(c->ctx, &transfer, &data, c->bad));
}

static void transfer_read_data(const call *c)
{
    const tina_message message = bringing(c);
    size_t size;
    keep_status(tina_transfer_read(c->ctx, &message, c->bad, &size));
}

static void transfer_read_size(const call *c)
{
    const tina_message message = bringing(c);
    const void *data;
    keep_status(tina_transfer_read(c->ctx, &message, &data, c->bad));
}

static void format_to(const call *c)
{
    const tina_address address = tina_ipv4(127, 0, 0, 1, 80);
    keep(tina_address_format(&address, c->bad, ENOUGH));
}

/* ---- The table ------------------------------------------------------------------------------------ */

typedef enum null_fate { NULL_FAULTS, NULL_IS_REFUSED, NULL_IS_FINE, NULL_IS_THE_C_LIBRARYS } null_fate;
typedef enum use { IS_CONTEXT, IS_READ, IS_READ_IN_PLACES, IS_WRITTEN } use; /* in places: not all of ENOUGH */

typedef struct row {
    const char *name;
    void (*make)(const call *c);
    use use;
    null_fate null;
} row;

static const row rows[] = {
    {"tina_self: ctx", self_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_shard: ctx", shard_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_shard_count: ctx", shard_count_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_now: ctx", now_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_random: ctx", random_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_user: ctx", user_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_is_shutting_down: ctx", is_shutting_down_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_stop_system: ctx", stop_system_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_call: ctx", call_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_reply: ctx", reply_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_send: ctx", send_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_send_begin: ctx", send_begin_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_send_commit: ctx", send_commit_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_call_start: ctx", call_start_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_reply_to: ctx", reply_to_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_watch: ctx", watch_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_unwatch: ctx", unwatch_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_spawn_child: ctx", spawn_child_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_stop_child: ctx", stop_child_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_timer_start: ctx", timer_start_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_timer_repeat: ctx", timer_repeat_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_timer_cancel: ctx", timer_cancel_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_log: ctx", log_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_scratch: ctx", scratch_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_working: ctx", working_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_working_reset: ctx", working_reset_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_transfer_alloc: ctx", transfer_alloc_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_transfer_send: ctx", transfer_send_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_transfer_read: ctx", transfer_read_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_transfer_free: ctx", transfer_free_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_socket: ctx", socket_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_bind: ctx", bind_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_listen: ctx", listen_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_local_address: ctx", local_address_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_peer_address: ctx", peer_address_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_setsockopt: ctx", setsockopt_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_getsockopt: ctx", getsockopt_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_socket_shutdown: ctx", shutdown_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_os_error: ctx", os_error_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io: ctx", io_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io_start: ctx", io_start_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io_cancel: ctx", io_cancel_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io_accept: ctx", io_accept_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io_connect: ctx", io_connect_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io_recv: ctx", io_recv_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io_send: ctx", io_send_of, IS_CONTEXT, NULL_FAULTS},
    {"tina_io_close: ctx", io_close_of, IS_CONTEXT, NULL_FAULTS},

    {"tina_call: payload", call_from, IS_READ, NULL_IS_REFUSED},
    {"tina_reply: payload", reply_from, IS_READ, NULL_IS_REFUSED},
    {"tina_send: payload", send_from, IS_READ, NULL_IS_REFUSED},
    {"tina_call_start: payload", call_start_from, IS_READ, NULL_IS_REFUSED},
    {"tina_reply_to: payload", reply_to_from, IS_READ, NULL_IS_REFUSED},
    {"tina_is_call: message", is_call_from, IS_READ, NULL_FAULTS},
    {"tina_message_caller: message", caller_from, IS_READ_IN_PLACES, NULL_FAULTS},
    {"tina_spawn_child: spawn", spawn_from, IS_READ, NULL_FAULTS},
    {"tina_spawn_child: args", spawn_args, IS_READ, NULL_IS_REFUSED},
    {"tina_log: format", log_format, IS_READ_IN_PLACES, NULL_IS_THE_C_LIBRARYS},
    {"tina_log: an argument", log_argument, IS_READ_IN_PLACES, NULL_IS_THE_C_LIBRARYS},
    {"tina_transfer_read: message", transfer_read_from, IS_READ, NULL_FAULTS},
    {"tina_ipv6: address", ipv6_from, IS_READ, NULL_FAULTS},
    {"tina_address_parse: text", parse_from, IS_READ_IN_PLACES, NULL_IS_REFUSED},
    {"tina_address_format: address", format_from, IS_READ_IN_PLACES, NULL_IS_FINE},
    {"tina_bind: address", bind_from, IS_READ, NULL_IS_REFUSED},
    {"tina_io: op", io_from, IS_READ, NULL_FAULTS},
    {"tina_io_start: op", io_start_from, IS_READ, NULL_FAULTS},
    {"tina_io: data", io_data, IS_READ, NULL_IS_REFUSED},
    {"tina_io_start: data", io_start_data, IS_READ, NULL_IS_REFUSED},
    {"tina_io_start: much data", io_start_much_data, IS_READ, NULL_IS_REFUSED},
    {"tina_io: parts", io_parts, IS_READ, NULL_IS_REFUSED},
    {"tina_io_start: parts", io_start_parts, IS_READ, NULL_IS_REFUSED},
    {"tina_io_start: a part's data", io_start_part, IS_READ, NULL_IS_REFUSED},
    {"tina_io: address", io_address, IS_READ, NULL_IS_REFUSED},
    {"tina_io_start: address", io_start_address, IS_READ, NULL_IS_REFUSED},
    {"tina_io_connect: address", io_connect_from, IS_READ, NULL_IS_REFUSED},
    {"tina_io_send: data", io_send_from, IS_READ, NULL_IS_REFUSED},

    {"tina_send_begin: payload", send_begin_to, IS_WRITTEN, NULL_IS_REFUSED},
    {"tina_call_start: call", call_start_to, IS_WRITTEN, NULL_IS_FINE},
    {"tina_spawn_child: child", spawn_to, IS_WRITTEN, NULL_IS_FINE},
    {"tina_timer_start: timer", timer_start_to, IS_WRITTEN, NULL_IS_FINE},
    {"tina_timer_repeat: timer", timer_repeat_to, IS_WRITTEN, NULL_IS_FINE},
    {"tina_transfer_alloc: transfer", transfer_alloc_to, IS_WRITTEN, NULL_FAULTS},
    {"tina_transfer_alloc: data", transfer_alloc_data, IS_WRITTEN, NULL_FAULTS},
    {"tina_transfer_alloc: capacity", transfer_alloc_capacity, IS_WRITTEN, NULL_IS_FINE},
    {"tina_transfer_read: data", transfer_read_data, IS_WRITTEN, NULL_FAULTS},
    {"tina_transfer_read: size", transfer_read_size, IS_WRITTEN, NULL_FAULTS},
    {"tina_socket: fd", socket_to, IS_WRITTEN, NULL_IS_REFUSED},
    {"tina_local_address: address", local_address_to, IS_WRITTEN, NULL_IS_REFUSED},
    {"tina_peer_address: address", peer_address_to, IS_WRITTEN, NULL_IS_REFUSED},
    {"tina_getsockopt: value", getsockopt_to, IS_WRITTEN, NULL_IS_REFUSED},
    {"tina_address_parse: address", parse_to, IS_WRITTEN, NULL_IS_REFUSED},
    {"tina_address_format: text", format_to, IS_WRITTEN, NULL_FAULTS},
};

/* ---- Trying ------------------------------------------------------------------------------------------- */

typedef enum kind { IS_NULL, IS_WILD, IS_CUT_OFF, IS_READ_ONLY, KIND_COUNT } kind;

static const char *const kind_names[] = {"NULL", "0x10", "ends at a closed page", "can't be written to"};

static const row *tried;
static kind tried_kind;
static void *pointers[KIND_COUNT];

static void make_pointers(void)
{
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 'x', PAGE);
    mprotect(pages + PAGE, PAGE, PROT_NONE);
    pointers[IS_WILD] = WILD;
    pointers[IS_CUT_OFF] = pages + PAGE - LEFT;
    pointers[IS_READ_ONLY] = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool is_tried(const row *of, kind with)
{
    switch (with) {
    case IS_NULL: return of->null != NULL_IS_THE_C_LIBRARYS && (of->null != NULL_FAULTS || !has_ubsan());
    case IS_CUT_OFF: return of->use == IS_READ;
    case IS_READ_ONLY: return of->use == IS_WRITTEN;
    default: return true;
    }
}

static void hand_over(const tina_test_scene *scene)
{
    call c = {.ctx = scene->ctx, .bad = pointers[tried_kind], .scene = scene};
    c.mute = tina_named(tina_shard(scene->ctx), TINA_TEST_MUTE + 1);
    const char *mishap = NULL;
    if (tina_socket(scene->ctx, TINA_IPV4, TINA_STREAM, &c.fd) != TINA_OK)
        mishap = "a socket";
    kept_status = NO_STATUS;
    tried->make(&c);
    if (tried->null == NULL_IS_REFUSED && kept_status != NO_STATUS && kept_status != TINA_INVALID)
        mishap = "TINA_INVALID";
    if (mishap != NULL)
        atomic_store(&scene->world->mishap, mishap);
}

static int goes_through_it(void)
{
    char name[128];
    world->name = name;
    make_pointers();
    CHECK(tina_test_world_start(world));
    for (tried_kind = 0; tried_kind < KIND_COUNT; tried_kind++) {
        if (!is_tried(tried, tried_kind))
            continue;
        snprintf(name, sizeof name, "%s %s", tried->name, kind_names[tried_kind]);
        bool is_fault = tried_kind != IS_NULL || tried->null == NULL_FAULTS;
        CHECK(tina_test_world_round(world, 0, is_fault ? TINA_TEST_FAULTS : TINA_TEST_LIVES));
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

static unsigned try_row(const row *of, tina_test_place place)
{
    world = tina_test_world_make(1);
    world->place = place;
    world->deed = hand_over;
    tried = of;
    int status = end_of(start_child(goes_through_it));
    if (status != 0)
        print_error("%s, in place %d: %s %d\n", of->name, place, WIFSIGNALED(status) ? "died of signal" : "exit status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    tina_test_world_free(world);
    return status != 0;
}

static void try_all(tina_test_place place)
{
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(rows); i++)
        failed += try_row(&rows[i], place);
    assert_int_equal(failed, 0);
}

static void bad_pointer_in_a_handler_costs_its_isolate(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_HANDLER);
}

static void bad_pointer_in_an_init_costs_that_life(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_INIT);
}

static void bad_pointer_in_a_spawned_childs_init_costs_that_spawn(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_SPAWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_pointer_in_a_handler_costs_its_isolate),
        cmocka_unit_test(bad_pointer_in_an_init_costs_that_life),
        cmocka_unit_test(bad_pointer_in_a_spawned_childs_init_costs_that_spawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
