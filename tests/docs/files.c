/* Saves a file so that nobody ever sees half of it, and sends it on. Ends by itself; docs/ is cut from it. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tina/tina.h>
#include <unistd.h>

enum { TYPE_SAVER, TYPE_SENDER, TYPE_COUNT };
enum { SYNCED_FILE = 1, SYNCED_FOLDER };
enum { PATH_SIZE = 256, TIMEOUT_NS = 2000000000 };

typedef struct settings {
    char folder[PATH_SIZE - 16], path[PATH_SIZE], new_path[PATH_SIZE];
    int socket; /* to whom it is sent */
    bool is_saved, is_sent;
} settings;

static const char text[] = "a page of it\n";

/* ---- Saving ---- */

typedef struct saver {
    tina_fd fd;
} saver;

/* Who sends it on may begin. */
static tina_effect saver_end(tina_ctx *ctx, bool is_saved)
{
    settings *where = tina_user(ctx);
    where->is_saved = is_saved;
    tina_spawn sender = {.type = TYPE_SENDER};
    if (!is_saved || tina_spawn_child(ctx, &sender, NULL) != TINA_OK)
        tina_stop_system(ctx);
    return tina_done();
}

/* docs: save */
/* Write another file, put it on the disk, rename it over the old one, and put that on the disk, too. */
static tina_effect saver_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    const settings *where = tina_user(ctx);
    tina_op open = {
        .kind = TINA_IO_OPEN,
        .path = where->new_path,
        .flags = TINA_OPEN_WRITE | TINA_OPEN_CREATE | TINA_OPEN_TRUNCATE,
    };
    return tina_io(ctx, &open);
}

static tina_effect saver_opened(saver *me, const tina_message *message, tina_ctx *ctx)
{
    me->fd = message->io.fd;
    if (message->io.user == SYNCED_FOLDER) {
        tina_op sync = {.kind = TINA_IO_SYNC, .fd = me->fd, .user = SYNCED_FOLDER};
        return tina_io(ctx, &sync);
    }
    tina_op write = {.kind = TINA_IO_WRITE, .fd = me->fd, .data = text, .size = strlen(text), .offset = 0};
    return tina_io(ctx, &write);
}

static tina_effect saver_renamed(tina_ctx *ctx)
{
    const settings *where = tina_user(ctx);
    tina_op open = {.kind = TINA_IO_OPEN, .path = where->folder, .flags = TINA_OPEN_READ, .user = SYNCED_FOLDER};
    return tina_io(ctx, &open);
}

static tina_effect saver_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    saver *me = self;
    const settings *where = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_receive(); /* what was begun is finished */
    if (message->io.status != TINA_OK)
        return saver_end(ctx, false);
    tina_op sync = {.kind = TINA_IO_SYNC, .fd = me->fd, .user = SYNCED_FILE};
    tina_op rename = {.kind = TINA_IO_RENAME, .path = where->new_path, .new_path = where->path};
    switch (message->tag) {
    case TINA_IO_OPEN: return saver_opened(me, message, ctx);
    case TINA_IO_WRITE: return tina_io(ctx, &sync);
    case TINA_IO_SYNC: return message->io.user == SYNCED_FILE ? tina_io_close(ctx, me->fd) : saver_end(ctx, true);
    case TINA_IO_CLOSE: return tina_io(ctx, &rename);
    case TINA_IO_RENAME: return saver_renamed(ctx);
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- Sending it on ---- */

typedef struct sender {
    tina_fd socket;
} sender;

/* docs: adopt */
static tina_effect sender_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    sender *me = self;
    const settings *where = tina_user(ctx);
    if (tina_fd_adopt(ctx, where->socket, &me->socket) != TINA_OK)
        return tina_crash(1);
    tina_op open = {.kind = TINA_IO_OPEN, .path = where->path, .flags = TINA_OPEN_READ};
    return tina_io(ctx, &open);
}
/* docs: end */

static tina_effect sender_end(tina_ctx *ctx, bool is_sent)
{
    settings *where = tina_user(ctx);
    where->is_sent = is_sent;
    tina_stop_system(ctx);
    return tina_done(); /* which closes both */
}

static tina_effect sender_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const sender *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_receive();
    if (message->io.status != TINA_OK || message->tag == TINA_IO_SENDFILE)
        return sender_end(ctx, message->io.status == TINA_OK && message->io.size == strlen(text));
    /* docs: sendfile */
    /* Of the whole file, whatever its size. */
    tina_op all = {.kind = TINA_IO_SENDFILE, .fd = me->socket, .file = message->io.fd, .timeout_ns = TIMEOUT_NS};
    return tina_io(ctx, &all);
    /* docs: end */
}

/* ---- The program ---- */

static bool run(settings *where)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_SAVER] = {.name = "saver", .init = saver_init, .handler = saver_handle, .size = sizeof(saver)},
        [TYPE_SENDER] = {.name = "sender", .init = sender_init, .handler = sender_handle, .size = sizeof(sender)},
    };
    const tina_child children[] = {{.type = TYPE_SAVER, .restart = TINA_TRANSIENT}};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .user = where,
        .buffer_count = 16,
        .development = true,
        .quiet = true,
    };
    return tina_boot(&spec, NULL) == TINA_OK && where->is_saved && where->is_sent;
}

/* The other end of the socket has all of it, and then the end. */
static bool has_come(int socket)
{
    char got[sizeof text];
    return read(socket, got, sizeof got) == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0 &&
           read(socket, got, sizeof got) == 0;
}

int main(void)
{
    settings where = {.folder = "/tmp/tina-files-XXXXXX"};
    int sockets[2];
    if (mkdtemp(where.folder) == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
        return 1;
    snprintf(where.path, sizeof where.path, "%s/page", where.folder);
    snprintf(where.new_path, sizeof where.new_path, "%s/page.new", where.folder);
    where.socket = sockets[0];
    bool is_right = run(&where) && has_come(sockets[1]) && access(where.new_path, F_OK) != 0;
    unlink(where.path);
    rmdir(where.folder);
    close(sockets[1]);
    return is_right ? 0 : 1;
}
