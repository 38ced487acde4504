#include "tally.h"

#include <string.h>

enum { TYPE_TALLY, TYPE_DOOR, TYPE_GUEST, TYPE_COUNT };
enum { NAME_TALLY = 1 };
enum { TAG_ASK = TALLY_TAG_END + 1, TAG_COUNTS };

typedef struct counts {
    uint64_t lines, bytes;
} counts;

/* ---- The tally: lives as long as the program, crashes aside ---------------------- */

typedef struct tally {
    counts counts;
} tally;

static void show(const tally *me, tina_ctx *ctx)
{
    tally_board *board = tina_user(ctx);
    board->lines = me->counts.lines;
    board->bytes = me->counts.bytes;
}

static tina_effect tally_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    show(self, ctx);
    return tina_receive();
}

static tina_effect take_line(tally *me, const tina_message *message, tina_ctx *ctx)
{
    tally_board *board = tina_user(ctx);
    if (message->size == 5 && memcmp(message->payload, "crash", 5) == 0) {
        board->crashes++;
        return tina_crash(1);
    }
    me->counts.lines++;
    me->counts.bytes += message->size;
    show(me, ctx);
    return tina_receive();
}

static tina_effect tally_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    tally *me = self;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TALLY_TAG_LINE: return take_line(me, message, ctx);
    case TALLY_TAG_END: tina_stop_system(ctx); return tina_receive();
    case TAG_ASK: return tina_reply(ctx, TAG_COUNTS, &me->counts, sizeof me->counts);
    default: return tina_receive();
    }
}

/* ---- The door: accepts, and gives each connection a guest -------------------------- */

typedef struct door {
    tina_fd fd;
} door;

static tina_effect door_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    door *me = self;
    tally_board *board = tina_user(ctx);
    tina_address address = tina_ipv4(127, 0, 0, 1, board->port);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK ||
        tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEADDR, 1) != TINA_OK || tina_bind(ctx, me->fd, &address) != TINA_OK ||
        tina_listen(ctx, me->fd, 64) != TINA_OK || tina_local_address(ctx, me->fd, &address) != TINA_OK)
        return tina_crash(2);
    board->port = address.port;
    return tina_io_accept(ctx, me->fd);
}

static tina_effect door_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    door *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_IO_ACCEPT && message->io.status == TINA_OK) {
        tina_fd fd = message->io.fd;
        const tina_spawn spawn = {.type = TYPE_GUEST, .fd = fd, .args = &fd, .args_size = sizeof fd};
        if (tina_spawn_child(ctx, &spawn, NULL) != TINA_OK)
            tina_ignore(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fd}));
    }
    return tina_io_accept(ctx, me->fd);
}

/* ---- A guest: asks, tells, and is done ----------------------------------------------- */

typedef struct guest {
    tina_fd fd;
} guest;

static tina_effect guest_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    guest *me = self;
    memcpy(&me->fd, args, args_size);
    return tina_call(ctx, tina_named(0, NAME_TALLY), TAG_ASK, NULL, 0, 0);
}

static tina_effect guest_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    guest *me = self;
    if (message->tag != TAG_COUNTS)
        return tina_done(); /* it was told, or there is nobody to ask */
    counts now;
    char text[64];
    memcpy(&now, message->payload, sizeof now);
    int size = snprintf(text, sizeof text, "%llu lines of %llu bytes\n", (unsigned long long)now.lines,
                        (unsigned long long)now.bytes);
    return tina_io_send(ctx, me->fd, text, (size_t)size);
}

/* ---- The system ------------------------------------------------------------------------ */

tina_system_spec tally_spec(tally_board *board)
{
    static const tina_type types[TYPE_COUNT] = {
        {.name = "tally", .init = tally_init, .handler = tally_handle, .size = sizeof(tally)},
        {.name = "door", .init = door_init, .handler = door_handle, .size = sizeof(door)},
        {.name = "guest", .init = guest_init, .handler = guest_handle, .size = sizeof(guest), .slot_count = 64},
    };
    static const tina_child children[] = {{.type = TYPE_TALLY, .name = NAME_TALLY}, {.type = TYPE_DOOR}};
    return (tina_system_spec){
        .types = types,
        .type_count = TYPE_COUNT,
        .root = {.children = children, .child_count = sizeof children / sizeof children[0], .restart_max = 100},
        .user = board,
        .external = true,
    };
}

static bool tally_post(tina_system *system, tina_tag tag, const char *line, size_t size)
{
    size_t kept = size < TINA_PAYLOAD_MAX ? size : TINA_PAYLOAD_MAX;
    return tina_post(system, tina_named(0, NAME_TALLY), tag, line, kept) != TINA_CHANNEL_FULL;
}

/* docs: post */
bool tally_post_input(tina_system *system, tally_input *input)
{
    size_t start = 0;
    bool has_room = true;
    for (size_t end = 0; end < input->used && has_room; end++) {
        bool is_last = end + 1 == input->used && (input->is_over || input->used - start == sizeof input->text);
        if (input->text[end] != '\n' && !is_last)
            continue;
        has_room = tally_post(system, TALLY_TAG_LINE, input->text + start, end - start + (input->text[end] != '\n'));
        start = has_room ? end + 1 : start;
    }
    memmove(input->text, input->text + start, input->used - start);
    input->used -= start;
    if (has_room && input->is_over && !input->is_told)
        has_room = input->is_told = tally_post(system, TALLY_TAG_END, NULL, 0);
    return has_room;
}
/* docs: end */
