#include "journal.h"

#include <stdio.h>
#include <string.h>

#define SECOND_NS        (1000 * MILLISECOND_NS)
#define TRY_NS           MILLISECOND_NS /* where something of the shard's was exhausted */
#define REWRITE_PAUSE_NS (60 * SECOND_NS)
enum { UNSYNCED_MAX = 8 * 1024 * 1024 }; /* bytes, after which also the patient sync */
enum { SNAPSHOT_BUCKETS = 16384 };       /* that are looked at at once */

static const kv_server *server_of(const tina_ctx *ctx) { return tina_user(ctx); }

static void start(kv_journal *me, journal_work work, tina_ctx *ctx);
static journal_news unlinked(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx);
static journal_news next_work(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx);

/* Where no timer is free, whoever asks for something next makes it try again: see journal_push. */
static void wait_for(kv_journal *me, uint64_t delay_ns, tina_ctx *ctx)
{
    if (!me->is_waiting)
        me->is_waiting = tina_timer_start(ctx, delay_ns, TAG_LOG, NULL) == TINA_OK;
    me->lacks_timer = !me->is_waiting;
}

static void close_file(tina_fd *fd, tina_ctx *ctx)
{
    tina_op close = {.kind = TINA_IO_CLOSE, .fd = *fd};
    if (tina_fd_is_none(*fd))
        return;
    tina_ignore(tina_io_start(ctx, &close)); /* never refused */
    *fd = (tina_fd){0};
}

/* ---- Each work as an operation --------------------------------------------------------- */

static uint32_t put_begin(uint8_t *out, const tina_ctx *ctx)
{
    const log_identity identity = {tina_shard(ctx), (uint8_t)server_of(ctx)->partition_count};
    const uint8_t bytes[] = {identity.partition, identity.partition_count};
    return log_put(out, &(log_record){.kind = LOG_BEGIN, .value = bytes, .value_size = sizeof bytes});
}

static log_buffer *flying(kv_journal *me) { return &me->buffers[1 - me->filling]; }

static tina_op write_to(tina_fd fd, const log_buffer *buffer, uint64_t offset)
{
    return (tina_op){.kind = TINA_IO_WRITE, .fd = fd, .data = buffer->data, .size = buffer->size, .offset = offset};
}

static tina_op operation(kv_journal *me, journal_work work, const tina_ctx *ctx)
{
    const uint32_t both = TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE;
    switch (work) {
    case WORK_OPEN: return (tina_op){.kind = TINA_IO_OPEN, .path = me->path, .flags = both};
    case WORK_READ: return (tina_op){.kind = TINA_IO_READ, .fd = me->file, .offset = me->read_at};
    case WORK_CUT: return (tina_op){.kind = TINA_IO_TRUNCATE, .fd = me->file, .size = me->size};
    case WORK_WRITE_BEGIN: return write_to(me->file, flying(me), 0);
    case WORK_OPEN_DIR: return (tina_op){.kind = TINA_IO_OPEN, .path = server_of(ctx)->dir, .flags = TINA_OPEN_READ};
    case WORK_SYNC_DIR:
    case WORK_SYNC_RENAME: return (tina_op){.kind = TINA_IO_SYNC, .fd = me->dir};
    case WORK_UNLINK: return (tina_op){.kind = TINA_IO_UNLINK, .path = me->new_path};
    case WORK_WRITE: return write_to(me->file, flying(me), me->size);
    case WORK_OPEN_NEW: return (tina_op){.kind = TINA_IO_OPEN, .path = me->new_path, .flags = both | TINA_OPEN_TRUNCATE};
    case WORK_COPY:
    case WORK_SNAPSHOT: return write_to(me->other, flying(me), me->other_size);
    case WORK_SYNC_NEW: return (tina_op){.kind = TINA_IO_SYNC, .fd = me->other};
    case WORK_RENAME: return (tina_op){.kind = TINA_IO_RENAME, .path = me->new_path, .new_path = me->path};
    default: return (tina_op){.kind = TINA_IO_SYNC, .fd = me->file};
    }
}

/* What can't be begun for want of a buffer, or of an operation, is begun a moment later. */
static void start(kv_journal *me, journal_work work, tina_ctx *ctx)
{
    me->work = work;
    tina_op op = operation(me, work, ctx);
    op.user = work;
    me->is_under_way = tina_io_start(ctx, &op) == TINA_OK;
    if (!me->is_under_way)
        wait_for(me, TRY_NS, ctx);
}

/* ---- Reading ------------------------------------------------------------------------------ */

static void load_again(kv_journal *me, const char *what, tina_ctx *ctx)
{
    tina_log(ctx, TINA_LOG_ERROR, "%s: %s; it is tried again", me->path, what);
    close_file(&me->file, ctx);
    close_file(&me->dir, ctx);
    me->work = WORK_NONE;
    wait_for(me, SECOND_NS, ctx);
}

static void load(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    store_clear(&keeper->store);
    me->loaded = 0;
    me->read_at = me->size = 0;
    me->is_damaged = false;
    start(me, WORK_OPEN, ctx);
}

/* Nobody but a person can say what to do now. */
static void give_up(kv_journal *me, const char *what, tina_ctx *ctx)
{
    kv_server *server = tina_user(ctx);
    tina_log(ctx, TINA_LOG_ERROR, "%s: %s", me->path, what);
    me->work = WORK_NONE;
    me->is_over = true;
    kv_give_up(server, ctx);
}

static bool is_ours(const log_record *record, const tina_ctx *ctx)
{
    return record->kind == LOG_BEGIN && record->value_size == 2 && record->value[0] == tina_shard(ctx) &&
           record->value[1] == server_of(ctx)->partition_count;
}

/* False: it can't go on, and that was said. */
static bool take_record(kv_journal *me, kv_keeper *keeper, const log_record *record, tina_ctx *ctx)
{
    if (me->size == 0 && !is_ours(record, ctx)) {
        give_up(me, "it is of another partition, or of another number of shards", ctx);
        return false;
    }
    if (!keeper_apply(keeper, record, kv_now_ms(server_of(ctx), ctx))) {
        give_up(me, "it holds more than --memory has room for", ctx);
        return false;
    }
    return true;
}

static void begin_file(kv_journal *me, tina_ctx *ctx)
{
    me->size = 0;
    flying(me)->size = put_begin(flying(me)->data, ctx);
    start(me, WORK_WRITE_BEGIN, ctx);
}

static void after_cut(kv_journal *me, tina_ctx *ctx)
{
    if (me->size == 0)
        begin_file(me, ctx);
    else
        start(me, WORK_OPEN_DIR, ctx);
}

/* The file ends, or is damaged: what comes behind was never acknowledged, if it was synced as it should be. */
static void end_load(kv_journal *me, uint64_t file_size, tina_ctx *ctx)
{
    char text[120];
    uint64_t rest = file_size - me->size;
    if (rest > JOURNAL_TAIL_MAX) {
        snprintf(text, sizeof text, "it is damaged at byte %llu, with %llu bytes behind: too much to be cut unasked",
                 (unsigned long long)me->size, (unsigned long long)rest);
        give_up(me, text, ctx);
        return;
    }
    if (rest != 0)
        tina_log(ctx, TINA_LOG_WARN, "%s: its last %llu bytes are no whole record and are cut, at byte %llu", me->path,
                 (unsigned long long)rest, (unsigned long long)me->size);
    me->loaded = 0;
    if (rest != 0)
        start(me, WORK_CUT, ctx);
    else
        after_cut(me, ctx);
}

static void keep_rest(kv_journal *me, uint32_t used)
{
    me->loaded -= used;
    memmove(me->bytes[0], me->bytes[0] + used, me->loaded);
}

/* The records that are whole; what is left of the bytes waits for more. False: that is the end. */
static bool take_records(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    uint32_t at = 0, needed;
    log_record record;
    log_status status;
    while ((status = log_get(me->bytes[0] + at, me->loaded - at, &record, &needed)) == LOG_WHOLE) {
        if (!take_record(me, keeper, &record, ctx))
            return false;
        at += needed;
        me->size += needed;
    }
    keep_rest(me, at);
    me->is_damaged = status == LOG_BAD;
    return true;
}

/*
 * Behind what can't be read: a torn write, or damage? Each record says how much was on the
 * disk when it was made. One that was made when this place was there already proves that
 * it was no write that a crash cut short. False: so it is.
 */
static bool look_behind(kv_journal *me, bool is_end, tina_ctx *ctx)
{
    char text[120];
    uint32_t at = 0, needed;
    log_record record;
    while (at < me->loaded) {
        log_status status = log_get(me->bytes[0] + at, me->loaded - at, &record, &needed);
        if (status == LOG_PART && !is_end)
            break;
        if (status == LOG_WHOLE && record.synced > me->size) {
            snprintf(text, sizeof text, "it is damaged at byte %llu, and there are records behind that",
                     (unsigned long long)me->size);
            give_up(me, text, ctx);
            return false;
        }
        at += status == LOG_WHOLE ? needed : 1;
    }
    keep_rest(me, at);
    return true;
}

/* The begin of a file that was being made when a crash came: a piece of its first record, or zeros. */
static bool may_be_begin(kv_journal *me, const tina_ctx *ctx)
{
    uint8_t begin[LOG_HEAD_SIZE + sizeof(log_identity)];
    uint32_t same = 0, zeros = 0, size = put_begin(begin, ctx);
    if (me->loaded > size)
        return false;
    for (uint32_t i = 0; i < me->loaded; i++) {
        same += me->bytes[0][i] == begin[i];
        zeros += me->bytes[0][i] == 0;
    }
    return same == me->loaded || zeros == me->loaded;
}

static void have_read(kv_journal *me, kv_keeper *keeper, const tina_message *message, tina_ctx *ctx)
{
    bool is_end = message->io.size == 0;
    if (!is_end)
        memcpy(me->bytes[0] + me->loaded, message->io.data, message->io.size);
    me->loaded += (uint32_t)message->io.size;
    me->read_at += message->io.size;
    if (!me->is_damaged && !take_records(me, keeper, ctx))
        return;
    me->is_damaged |= is_end;
    if (me->is_damaged && me->size == 0 && !may_be_begin(me, ctx)) {
        give_up(me, "it is no log, or its begin is damaged", ctx);
        return;
    }
    if (me->is_damaged && !look_behind(me, is_end, ctx))
        return;
    if (is_end)
        end_load(me, me->read_at, ctx);
    else
        start(me, WORK_READ, ctx);
}

static void be_ready(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    uint64_t since_ns = tina_now(ctx) - server_of(ctx)->failed_ns[tina_shard(ctx)];
    me->is_ready = true;
    me->work = WORK_NONE;
    me->synced = me->size;
    me->synced_ns = tina_now(ctx);
    me->buffers[0].size = me->buffers[1].size = 0;
    me->buffers[0].synced = me->buffers[1].synced = me->synced;
    keeper->log = &me->buffers[me->filling];
    keeper->is_loading = false;
    tina_log(ctx, TINA_LOG_INFO, "%s: %llu keys in %llu bytes", me->path, (unsigned long long)keeper->store.count,
             (unsigned long long)me->size);
    if (server_of(ctx)->failed_ns[tina_shard(ctx)] == 0 || since_ns >= SECOND_NS)
        return;
    snprintf(me->refusal, sizeof me->refusal, "-MISCONF Errors writing to the AOF file: it failed a moment ago\r\n");
    keeper->refusal = me->refusal; /* so that it is not tried, and read anew, too often */
    wait_for(me, SECOND_NS - since_ns, ctx);
}

/* ---- Appending ------------------------------------------------------------------------------- */

static void write_next(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    me->in_flight = me->appended + me->buffers[me->filling].size;
    me->appended = me->in_flight;
    me->filling = 1 - me->filling;
    me->buffers[me->filling].size = 0;
    me->buffers[me->filling].synced = me->is_rewriting ? 0 : me->synced; /* of which file it will be is not known */
    keeper->log = &me->buffers[me->filling];
    me->wants_copy = me->owes_snapshot = me->is_rewriting;
    start(me, WORK_WRITE, ctx);
}

static bool wants_sync(const kv_journal *me, const tina_ctx *ctx)
{
    if (me->size == me->synced)
        return false;
    uint64_t unsynced = me->size - me->synced;
    switch (server_of(ctx)->sync) {
    case SYNC_ALWAYS: return true;
    case SYNC_SECOND: return tina_now(ctx) - me->synced_ns >= SECOND_NS || unsynced >= UNSYNCED_MAX || me->is_ending;
    default: return me->is_ending;
    }
}

static uint64_t live_size(const kv_keeper *keeper) { return keeper->store.live_bytes + keeper->store.count * LOG_HEAD_SIZE; }

static bool wants_rewrite(const kv_journal *me, const kv_keeper *keeper, const tina_ctx *ctx)
{
    return !me->is_ending && !me->is_rewriting && me->size > server_of(ctx)->rewrite_min &&
           me->size > 2 * live_size(keeper) && tina_now(ctx) >= me->rewrite_after_ns;
}

static void write_snapshot(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx);

/* Nothing is under way: what is most urgent? */
static journal_news next_work(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    me->work = WORK_NONE;
    if (wants_sync(me, ctx))
        start(me, WORK_SYNC, ctx);
    else if (me->wants_copy && me->is_rewriting)
        start(me, WORK_COPY, ctx);
    else if (me->is_rewriting && (me->owes_snapshot || me->buffers[me->filling].size == 0))
        write_snapshot(me, keeper, ctx);
    else if (me->buffers[me->filling].size != 0)
        write_next(me, keeper, ctx);
    else if (wants_rewrite(me, keeper, ctx))
        start(me, WORK_OPEN_NEW, ctx);
    else if (me->size != me->synced && server_of(ctx)->sync == SYNC_SECOND)
        wait_for(me, me->synced_ns + SECOND_NS - tina_now(ctx), ctx);
    return JOURNAL_NO_NEWS;
}

static void has_worked(kv_keeper *keeper) { keeper->refusal = NULL; }

static journal_news written(kv_journal *me, kv_keeper *keeper, const tina_message *message, tina_ctx *ctx)
{
    bool is_safe = server_of(ctx)->sync != SYNC_ALWAYS;
    me->size += message->io.size;
    has_worked(keeper);
    if (is_safe)
        me->safe = me->in_flight;
    next_work(me, keeper, ctx);
    return is_safe ? JOURNAL_SAFE : JOURNAL_NO_NEWS;
}

static journal_news have_synced(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    me->synced = me->size;
    me->synced_ns = tina_now(ctx);
    me->safe = me->in_flight;
    has_worked(keeper);
    next_work(me, keeper, ctx);
    return JOURNAL_SAFE;
}

/* Where answers wait for the disk, memory is ahead of it, and has to be built again from what is there. Where they do
 * not, it is tried again until it works. */
static journal_news write_failed(kv_journal *me, kv_keeper *keeper, const tina_message *message, tina_ctx *ctx)
{
    kv_server *server = tina_user(ctx);
    const char *why =
        message->io.os_error != 0 ? strerror(message->io.os_error) : tina_status_name((tina_status)message->io.status);
    me->failures++;
    snprintf(me->refusal, sizeof me->refusal, "-MISCONF Errors writing to the AOF file: %.100s\r\n", why);
    tina_log(ctx, TINA_LOG_ERROR, "%s: can't be written: %s", me->path, why);
    keeper->refusal = me->refusal;
    if (server->sync == SYNC_ALWAYS) {
        server->failed_ns[tina_shard(ctx)] = tina_now(ctx);
        return JOURNAL_FAILED;
    }
    wait_for(me, SECOND_NS, ctx);
    return JOURNAL_NO_NEWS;
}

/* ---- Writing it anew ---------------------------------------------------------------------------- */

/*
 * The new file gets the keys, bucket by bucket, and in between all that is appended
 * meanwhile. Read in this order it comes to the same as the old one: what was changed
 * behind the snapshot's back comes after it.
 */
static bool put_entry(log_buffer *buffer, kv_entry *entry)
{
    if (log_size_of(entry->key_size, entry->value_size) > buffer->capacity - buffer->size)
        return false;
    buffer->size += log_put(buffer->data + buffer->size, &(log_record){.kind = LOG_SET,
                                                                       .expires_ms = entry->expires_ms,
                                                                       .key = entry_key(entry),
                                                                       .key_size = entry->key_size,
                                                                       .value = entry_value(entry),
                                                                       .value_size = entry->value_size});
    return true;
}

/* False: the buffer is full before the bucket is done. */
static bool put_bucket(log_buffer *buffer, kv_store *store, uint32_t bucket)
{
    for (kv_entry *each = store_next(store, bucket, NULL); each != NULL; each = store_next(store, bucket, each)) {
        if (each->is_marked == store->mark)
            continue; /* it is in the new file already */
        if (!put_entry(buffer, each))
            return false;
        each->is_marked = store->mark;
    }
    return true;
}

static void write_snapshot(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    log_buffer *buffer = flying(me);
    kv_store *store = &keeper->store;
    me->owes_snapshot = false;
    buffer->size = me->other_size == 0 ? put_begin(buffer->data, ctx) : 0;
    for (uint32_t i = 0; i < SNAPSHOT_BUCKETS && me->bucket < store_bucket_count(store); i++) {
        if (!put_bucket(buffer, store, me->bucket))
            break;
        me->bucket++;
    }
    if (buffer->size != 0)
        start(me, WORK_SNAPSHOT, ctx);
    else if (me->bucket == store_bucket_count(store))
        start(me, WORK_SYNC_NEW, ctx);
    else
        wait_for(me, TRY_NS, ctx); /* there was nothing in all those buckets */
}

static void begin_rewrite(kv_journal *me, kv_keeper *keeper, const tina_message *message)
{
    me->other = message->io.fd;
    me->other_size = 0;
    me->bucket = 0;
    me->is_rewriting = true;
    me->wants_copy = false;
    me->owes_snapshot = true; /* which begins the file */
    keeper->store.mark = !keeper->store.mark;
}

/* The old one is still whole. */
static void end_rewrite(kv_journal *me, tina_ctx *ctx)
{
    tina_log(ctx, TINA_LOG_WARN, "%s: can't be written; the old one goes on", me->new_path);
    me->is_rewriting = me->wants_copy = me->owes_snapshot = false;
    me->rewrite_after_ns = tina_now(ctx) + REWRITE_PAUSE_NS;
    close_file(&me->other, ctx);
    start(me, WORK_UNLINK, ctx);
}

static void change_files(kv_journal *me, tina_ctx *ctx)
{
    tina_log(ctx, TINA_LOG_INFO, "%s: written anew, %llu bytes instead of %llu", me->path,
             (unsigned long long)me->other_size, (unsigned long long)me->size);
    close_file(&me->file, ctx);
    me->file = me->other;
    me->other = (tina_fd){0};
    me->size = me->synced = me->other_size;
    me->buffers[0].synced = me->buffers[1].synced = me->synced;
    me->synced_ns = tina_now(ctx);
    me->is_rewriting = me->wants_copy = me->owes_snapshot = false;
    me->rewrites++;
}

/* ---- What comes --------------------------------------------------------------------------------- */

static bool is_load(journal_work work) { return work <= WORK_UNLINK; }

static bool is_rewrite(journal_work work) { return work >= WORK_OPEN_NEW && work <= WORK_RENAME; }

/* How it went wrong decides what becomes of it. */
static journal_news work_failed(kv_journal *me, kv_keeper *keeper, const tina_message *message, tina_ctx *ctx)
{
    journal_work work = (journal_work)message->io.user;
    if (message->io.status == TINA_POOL_EXHAUSTED || message->io.status == TINA_CANCELLED) {
        wait_for(me, TRY_NS, ctx);
        return JOURNAL_NO_NEWS;
    }
    if (work == WORK_UNLINK)
        return unlinked(me, keeper, ctx);
    if (is_load(work)) {
        load_again(me, message->io.os_error != 0 ? strerror(message->io.os_error) : "can't be read", ctx);
        return JOURNAL_NO_NEWS;
    }
    if (is_rewrite(work)) {
        if (me->is_rewriting)
            end_rewrite(me, ctx);
        else
            me->rewrite_after_ns = tina_now(ctx) + REWRITE_PAUSE_NS;
        return me->work == WORK_UNLINK ? JOURNAL_NO_NEWS : next_work(me, keeper, ctx);
    }
    return write_failed(me, keeper, message, ctx);
}

/* Whatever is left of a file that was being written anew is gone. */
static journal_news unlinked(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    if (!me->is_ready) {
        be_ready(me, keeper, ctx);
        return JOURNAL_NO_NEWS;
    }
    return next_work(me, keeper, ctx);
}

static journal_news work_done(kv_journal *me, kv_keeper *keeper, const tina_message *message, tina_ctx *ctx)
{
    switch ((journal_work)message->io.user) {
    case WORK_OPEN:
        me->file = message->io.fd;
        start(me, WORK_READ, ctx);
        break;
    case WORK_READ: have_read(me, keeper, message, ctx); break;
    case WORK_CUT: start(me, WORK_SYNC_CUT, ctx); break;
    case WORK_SYNC_CUT: after_cut(me, ctx); break;
    case WORK_WRITE_BEGIN:
        me->size = message->io.size;
        start(me, WORK_SYNC_BEGIN, ctx);
        break;
    case WORK_SYNC_BEGIN: start(me, WORK_OPEN_DIR, ctx); break;
    case WORK_OPEN_DIR:
        me->dir = message->io.fd;
        start(me, WORK_SYNC_DIR, ctx);
        break;
    case WORK_SYNC_DIR: start(me, WORK_UNLINK, ctx); break;
    case WORK_UNLINK: return unlinked(me, keeper, ctx);
    case WORK_WRITE: return written(me, keeper, message, ctx);
    case WORK_SYNC: return have_synced(me, keeper, ctx);
    case WORK_OPEN_NEW: begin_rewrite(me, keeper, message); return next_work(me, keeper, ctx);
    case WORK_COPY:
        me->wants_copy = false;
        me->other_size += message->io.size;
        return next_work(me, keeper, ctx);
    case WORK_SNAPSHOT: me->other_size += message->io.size; return next_work(me, keeper, ctx);
    case WORK_SYNC_NEW: start(me, WORK_RENAME, ctx); break;
    case WORK_RENAME: start(me, WORK_SYNC_RENAME, ctx); break;
    case WORK_SYNC_RENAME: change_files(me, ctx); return next_work(me, keeper, ctx);
    default: break;
    }
    return JOURNAL_NO_NEWS;
}

journal_news journal_done(kv_journal *me, kv_keeper *keeper, const tina_message *message, tina_ctx *ctx)
{
    if (!me->is_under_way || message->tag == TINA_IO_CLOSE || message->io.user != me->work)
        return JOURNAL_NO_NEWS;
    me->is_under_way = false;
    if (message->io.status != TINA_OK)
        return work_failed(me, keeper, message, ctx);
    return work_done(me, keeper, message, ctx);
}

journal_news journal_tick(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    me->is_waiting = false;
    if (me->is_under_way || me->is_over)
        return JOURNAL_NO_NEWS;
    if (!me->is_ready && me->work == WORK_NONE) {
        load(me, keeper, ctx);
        return JOURNAL_NO_NEWS;
    }
    if (me->work != WORK_NONE) {
        start(me, me->work, ctx);
        return JOURNAL_NO_NEWS;
    }
    has_worked(keeper);
    return next_work(me, keeper, ctx);
}

uint64_t journal_end(const kv_journal *me, const tina_ctx *ctx)
{
    bool waits = me->is_ready && server_of(ctx)->sync == SYNC_ALWAYS;
    return waits ? me->appended + me->buffers[me->filling].size : 0;
}

void journal_push(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    if (me->lacks_timer)
        wait_for(me, TRY_NS, ctx);
    if (me->is_ready && !me->is_under_way && me->work == WORK_NONE && me->buffers[me->filling].size != 0)
        next_work(me, keeper, ctx);
}

bool journal_finish(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    if (!me->is_used || !me->is_ready || me->is_over)
        return true;
    me->is_ending = true;
    if (!me->is_under_way && me->work == WORK_NONE)
        next_work(me, keeper, ctx);
    return me->work == WORK_NONE && me->size == me->synced && me->buffers[me->filling].size == 0;
}

void journal_begin(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx)
{
    const kv_server *server = server_of(ctx);
    if (server->dir == NULL)
        return;
    me->is_used = keeper->is_loading = true;
    for (int i = 0; i < 2; i++)
        me->buffers[i] = (log_buffer){.data = me->bytes[i], .capacity = JOURNAL_BUFFER_SIZE};
    snprintf(me->path, sizeof me->path, "%s/partition-%u-of-%u.log", server->dir, tina_shard(ctx), server->partition_count);
    snprintf(me->new_path, sizeof me->new_path, "%.400s/partition-%u-of-%u.new", server->dir, tina_shard(ctx),
             server->partition_count);
    load(me, keeper, ctx);
}
