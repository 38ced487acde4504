/*
 * A partition's append-only file in operation: it is read when the partition begins, then
 * records are appended, synced as the policy says, and the file is written anew when most
 * of it is out of date. Part of the partition's isolate, which hands it the completions.
 *
 * One operation is under way at a time. Meanwhile records gather in the other of two
 * buffers, so that one sync serves all who came during the one before.
 */
#ifndef KV_JOURNAL_H
#define KV_JOURNAL_H

#include "keeper.h"
#include "server.h"

enum {
    JOURNAL_BUFFER_SIZE = 2 * LOG_RECORD_MAX,
    JOURNAL_PATH_MAX = 512,
    JOURNAL_TAIL_MAX = 16 * 1024 * 1024, /* bytes behind a damaged record that are cut without being asked */
};

typedef enum journal_work {
    WORK_NONE,
    WORK_OPEN,
    WORK_READ,
    WORK_CUT,
    WORK_SYNC_CUT,
    WORK_WRITE_BEGIN,
    WORK_SYNC_BEGIN,
    WORK_OPEN_DIR,
    WORK_SYNC_DIR,
    WORK_UNLINK,
    WORK_WRITE,
    WORK_SYNC,
    WORK_OPEN_NEW,
    WORK_COPY,
    WORK_SNAPSHOT,
    WORK_SYNC_NEW,
    WORK_RENAME,
    WORK_SYNC_RENAME,
} journal_work;

typedef struct kv_journal {
    bool is_used, is_ready; /* is_ready: all was read, and records are taken */
    bool is_waiting;        /* for a timer, before the work is tried again */
    bool lacks_timer;       /* there was none to wait for */
    bool is_under_way;      /* the work's operation */
    bool is_damaged;        /* while it is read: behind size nothing is taken any more, only looked at */
    bool is_rewriting, is_ending, is_over;
    bool wants_copy;          /* what was written to the file has to go to the new one, too */
    bool owes_snapshot;       /* a piece of it, before more is appended */
    journal_work work;        /* that is under way, or waits to be tried again */
    tina_fd file, other, dir; /* other: the new one */
    uint64_t size, synced;    /* of the file, in bytes */
    uint64_t other_size;
    uint64_t appended, safe; /* bytes of all records, ever: those that were made, and those that are on the disk */
    uint64_t in_flight;      /* appended, as of what is being written */
    uint64_t synced_ns, rewrite_after_ns;
    uint64_t rewrites, failures;
    uint32_t bucket;  /* the next of the snapshot */
    uint32_t loaded;  /* bytes in the first buffer that were read and not taken yet */
    uint64_t read_at; /* behind them, in the file */
    uint32_t filling;
    log_buffer buffers[2];
    char refusal[160], path[JOURNAL_PATH_MAX], new_path[JOURNAL_PATH_MAX];
    uint8_t bytes[2][JOURNAL_BUFFER_SIZE];
} kv_journal;

/* What came of it. */
typedef enum journal_news {
    JOURNAL_NO_NEWS,
    JOURNAL_SAFE,   /* more is on the disk than before */
    JOURNAL_FAILED, /* what was answered is not what is on the disk: the partition has to begin anew */
} journal_news;

/* Where the server has no folder, it is not used, and ready. The keeper logs to it from when it is ready. */
void journal_begin(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx);

/* A completion of a file's operation. */
journal_news journal_done(kv_journal *me, kv_keeper *keeper, const tina_message *message, tina_ctx *ctx);

/* TAG_LOG: it is time to try again, or to sync. */
journal_news journal_tick(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx);

/* How much of the log has to be safe before what is known now may be told; 0 where nobody waits for the disk. */
uint64_t journal_end(const kv_journal *me, const tina_ctx *ctx);

/* Records may have been added. */
void journal_push(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx);

/* The end is near: all is written and synced. True: there is nothing left to do. */
bool journal_finish(kv_journal *me, kv_keeper *keeper, tina_ctx *ctx);

#endif
