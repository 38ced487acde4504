/*
 * What a handler may do and return.
 *
 * Every function here is called by a handler or an init, on its shard's thread,
 * with the ctx of that very call. None of them blocks or allocates.
 */
#ifndef TINA_CTX_H
#define TINA_CTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/types.h>

TINA_BEGIN_DECLS

/* ---- Effects: what an isolate does next ----------------------------------
 *
 * What wakes an isolate:
 *
 *   parked by     its own completion or reply   started operations   mail, timers, down   shutdown
 *   tina_receive  -                             wakes                wakes                wakes
 *   tina_io       wakes                         waits                waits                wakes
 *   tina_call     wakes                         waits                waits                wakes
 *
 * Finished operations come before shutdown, shutdown before mail. An operation
 * or call that shutdown overtook goes on as a started one.
 */

/*
 * End as done. Everything that the isolate holds is taken back. From an init:
 * the spawn fails with TINA_INIT_FAILED.
 */
TINA_API TINA_MUST_USE tina_effect tina_done(void);

/*
 * End as a failure, which the supervisor may answer with a restart. reason, 0 to
 * 255, is the user's own: it is logged, and the crash is counted.
 */
TINA_API TINA_MUST_USE tina_effect tina_crash(uint8_t reason);

/* Run again in the next tick, with TINA_TAG_RESUME; or once, after the shutdown has begun, with TINA_TAG_SHUTDOWN instead. */
TINA_API TINA_MUST_USE tina_effect tina_yield(void);

/* Park until there is mail, a timer, a finished operation that was started, or the shutdown. */
TINA_API TINA_MUST_USE tina_effect tina_receive(void);

/*
 * Send a request of at most TINA_PAYLOAD_MAX bytes and park until its reply, or
 * TINA_TAG_CALL_FAILED with the tina_status in its payload. The payload is copied
 * when the effect is made. A call that cannot be delivered (stale handle, full
 * mailbox or channel, shard down, no free message or timer, a tag or size that is
 * not allowed) fails at once, not after the timeout; so does one whose receiver
 * ends before it replies (TINA_STALE_HANDLE). Past the timeout: TINA_TIMED_OUT.
 * timeout_ns 0: 5 s. A handler call may make 64 effects that carry a message
 * (tina_call, tina_reply); one more is TINA_POOL_EXHAUSTED.
 */
TINA_API TINA_MUST_USE tina_effect tina_call(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size,
                                             uint64_t timeout_ns);

/*
 * Answer the call being handled with at most TINA_PAYLOAD_MAX bytes, then park as
 * tina_receive does. The payload is copied when the effect is made. If the caller has
 * given up, the answer is dropped, and nobody is told. If the message being handled is
 * no call, or the arguments are not allowed, the isolate crashes, and the log says why.
 */
TINA_API TINA_MUST_USE tina_effect tina_reply(tina_ctx *ctx, tina_tag tag, const void *payload, size_t size);

/* ---- Who, where, when ----------------------------------------------------- */

TINA_API tina_handle tina_self(const tina_ctx *ctx);      /* this isolate's handle, valid until it ends */
TINA_API uint8_t tina_shard(const tina_ctx *ctx);         /* this shard's index, from 0 */
TINA_API uint8_t tina_shard_count(const tina_ctx *ctx);   /* of the system, 1 to TINA_SHARDS_MAX */
TINA_API uint64_t tina_now(const tina_ctx *ctx);          /* monotonic ns, the same all through one handler call */
TINA_API uint64_t tina_random(tina_ctx *ctx);             /* 64 random bits, from the shard's own stream; not for keys */
TINA_API void *tina_user(const tina_ctx *ctx);            /* the spec's user pointer */
TINA_API bool tina_is_shutting_down(const tina_ctx *ctx); /* whether the shutdown has reached this shard */

/*
 * Begin the graceful shutdown, as the first SIGTERM would. An init that does so and then
 * fails, while the system comes up, calls the start off: it is not tried again, and
 * tina_boot, tina_start and tina_step say TINA_INIT_FAILED.
 */
TINA_API void tina_stop_system(tina_ctx *ctx);

/* Which shard a key belongs to: the same for a key and a shard count, on every machine. shard_count 0: 0. Any thread. */
TINA_API uint8_t tina_key_shard(uint64_t key, uint8_t shard_count);

/* ---- Messages -------------------------------------------------------------- */

/*
 * Send a message of at most TINA_PAYLOAD_MAX bytes to an isolate on any shard.
 * The payload is copied; it may be NULL where size is 0. tag is TINA_TAG_USER or
 * above. To another shard, TINA_OK says that the channel has it; what its shard
 * then refuses is counted there.
 *
 * TINA_OK; TINA_INVALID: the tag, the size, or a shard that does not exist;
 * TINA_STALE_HANDLE, TINA_MAILBOX_FULL, TINA_POOL_EXHAUSTED: on this shard;
 * TINA_CHANNEL_FULL, TINA_SHARD_DOWN: on another.
 */
TINA_API TINA_MUST_USE tina_status tina_send(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size);

/*
 * The same without a copy: fill the size bytes at *payload, then commit, which
 * cannot fail. One at a time; what is not committed when the handler returns is
 * never sent. The bytes at *payload are not cleared, and belong to the receiver from
 * the commit on. Statuses as tina_send, and TINA_BUSY: one is open already.
 */
TINA_API TINA_MUST_USE tina_status tina_send_begin(tina_ctx *ctx, tina_handle to, tina_tag tag, size_t size, void **payload);
TINA_API void tina_send_commit(tina_ctx *ctx); /* send the one that is open; with none open: does nothing */

/*
 * Several calls at once, without parking: each answer, or TINA_TAG_CALL_FAILED,
 * comes as mail and carries *call in message->correlation; call may be NULL.
 * timeout_ns 0: 5 s. Statuses as tina_send, and TINA_OK means that exactly one
 * answer or failure will come; TINA_POOL_EXHAUSTED also where no timer is free, on
 * any shard; TINA_CHANNEL_FULL also where the answer would have no room.
 */
TINA_API TINA_MUST_USE tina_status tina_call_start(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload,
                                                   size_t size, uint64_t timeout_ns, uint32_t *call);

/* Who called, for a later answer: may be copied and kept for any time, and is used once, by the isolate that was called. */
typedef struct tina_caller {
    tina_handle source;   /* who waits for the answer */
    uint32_t correlation; /* the runtime's: which of its calls this is */
} tina_caller;

TINA_API bool tina_is_call(const tina_message *message);               /* whether somebody waits for an answer to it */
TINA_API tina_caller tina_message_caller(const tina_message *message); /* who does; only where tina_is_call is true */

/*
 * Answer a call now or later, with at most TINA_PAYLOAD_MAX bytes, which are
 * copied. Never refused for want of room.
 *
 * TINA_OK; TINA_INVALID: the tag or the size; TINA_STALE_HANDLE: it was answered
 * already, has timed out, its caller is gone, or it was another isolate's to
 * answer. Where a caller on another shard has given up and the news is still on
 * its way: TINA_OK, and counted there as arrived_stale and replies_late.
 */
TINA_API TINA_MUST_USE tina_status tina_reply_to(tina_ctx *ctx, tina_caller caller, tina_tag tag, const void *payload,
                                                 size_t size);

/* ---- Watching ----------------------------------------------------------------- */

/* How an isolate ended. */
typedef enum tina_end {
    TINA_END_DONE,    /* it returned tina_done */
    TINA_END_CRASH,   /* it returned tina_crash, or something that is no effect */
    TINA_END_FAULT,   /* its code faulted: a bad pointer, a full stack, a division by zero, an abort */
    TINA_END_KILLED,  /* it ran for too long, and the watchdog ended it */
    TINA_END_STOPPED, /* its supervisor, tina_stop_child or the shutdown ended it, after its time to drain was over */
    TINA_END_SHARD,   /* its whole shard ended */
    TINA_END_GONE,    /* it had ended before it was watched */
} tina_end;

/* The payload of a TINA_TAG_DOWN: a watched isolate has ended. */
typedef struct tina_down {
    tina_handle who; /* as it was passed to tina_watch */
    uint8_t end;     /* tina_end */
    uint8_t reason;  /* of tina_crash */
} tina_down;

/*
 * Be told, exactly once, by a TINA_TAG_DOWN when that isolate ends, whatever the
 * cause: at once if it is already gone. It may be on any shard; a name means whoever
 * has it when the watch arrives. The notice comes after everything that the isolate
 * sent before it ended. To watch twice is to watch once. A watch ends with its watcher.
 * If the isolate ended with all of its shard, TINA_TAG_SHARD_RESTARTED or
 * TINA_TAG_SHARD_QUARANTINED follows, once for all that were watched there.
 *
 * TINA_OK: one TINA_TAG_DOWN will come; TINA_INVALID: a shard that does not exist;
 * TINA_POOL_EXHAUSTED: no watch is free; on another shard TINA_SHARD_DOWN, and
 * TINA_CHANNEL_FULL: no room for it, or for the answer.
 */
TINA_API TINA_MUST_USE tina_status tina_watch(tina_ctx *ctx, tina_handle target);

/* Stop watching: no TINA_TAG_DOWN for it will come, even if one was on its way. Does nothing if it was not watched. */
TINA_API void tina_unwatch(tina_ctx *ctx, tina_handle target);

/* ---- Children ---------------------------------------------------------------- */

/* What a supervisor does when a child ends. Zeroed: a static child is permanent, a spawned one temporary. */
typedef enum tina_restart {
    TINA_RESTART_DEFAULT,
    TINA_PERMANENT, /* always restarted */
    TINA_TRANSIENT, /* restarted unless it was done */
    TINA_TEMPORARY, /* never restarted */
} tina_restart;

/* Which halves of a descriptor a child is handed; the spawner keeps the other. */
typedef enum tina_handoff {
    TINA_HANDOFF_FULL,  /* both: the spawner has none of it any more */
    TINA_HANDOFF_READ,  /* the child receives, the spawner sends */
    TINA_HANDOFF_WRITE, /* the child sends, the spawner receives */
} tina_handoff;

#define TINA_GROUP_ROOT ((uint16_t)0)      /* the shard's root */
#define TINA_GROUP_SELF ((uint16_t)0xFFFE) /* the spawner's own */
#define TINA_GROUP_NONE ((uint16_t)0xFFFF) /* unsupervised */

/* What tina_spawn_child is to make. */
typedef struct tina_spawn {
    const void *args; /* copied; at most TINA_ARGS_MAX bytes; NULL where args_size is 0 */
    size_t args_size; /* bytes at args */
    tina_fd fd;       /* given to the child, under the same handle; such a child is temporary */
    uint8_t handoff;  /* tina_handoff */
    uint8_t type;     /* index in the spec's types */
    uint8_t restart;  /* tina_restart */
    uint16_t group;   /* a group's name, or TINA_GROUP_... */
} tina_spawn;

/*
 * Make a child on this shard, at once: its init has run when this returns. A crash or
 * a fault of that init costs the child alone, and is TINA_INIT_FAILED here. Inits may
 * spawn children too, eight deep. On failure the descriptor stays with the spawner, and
 * the spawn is not tried again. child may be NULL.
 *
 * TINA_OK; TINA_INVALID: the type, the arguments, the group, the restart policy
 * (a child that is restarted has a supervisor and no descriptor), the handoff, or
 * the ninth level of inits; TINA_ARENA_FULL: every slot of the type is taken, or
 * kept for a child that is to be restarted; TINA_GROUP_FULL, also where the group
 * is down or not TINA_ONE_FOR_ONE; TINA_INIT_FAILED; for the descriptor:
 * TINA_STALE_HANDLE, TINA_NOT_OWNER, and TINA_BUSY while something is under way
 * on it.
 */
TINA_API TINA_MUST_USE tina_status tina_spawn_child(tina_ctx *ctx, const tina_spawn *spawn, tina_handle *child);

/*
 * Ask a child on this shard to end: it gets TINA_TAG_SHUTDOWN, and is torn down
 * after grace_ns if it has not ended by then (TINA_NONE_NS: never). It is not
 * restarted, and its end ends nobody else.
 *
 * TINA_OK, also where it was asked before: the earlier of the two times counts;
 * TINA_STALE_HANDLE; TINA_INVALID: on another shard; TINA_POOL_EXHAUSTED: no timer
 * is free.
 */
TINA_API TINA_MUST_USE tina_status tina_stop_child(tina_ctx *ctx, tina_handle child, uint64_t grace_ns);

/* ---- Timers -------------------------------------------------------------------- */

/*
 * Get a message with this tag and no payload, no sooner than tina_now() + delay_ns; up
 * to a timer_resolution_ns later, or more where the shard is busy. The timer belongs to
 * this isolate, and ends with it. timer may be NULL. tag is TINA_TAG_TIMER, or
 * TINA_TAG_USER and above.
 *
 * TINA_OK; TINA_INVALID: the tag; TINA_POOL_EXHAUSTED.
 */
TINA_API TINA_MUST_USE tina_status tina_timer_start(tina_ctx *ctx, uint64_t delay_ns, tina_tag tag, tina_timer *timer);

/*
 * The same, every period_ns (not 0). At most one is undelivered at a time; those
 * that came due meanwhile are counted in its message->correlation. Statuses as
 * tina_timer_start; TINA_INVALID also for a period of 0.
 */
TINA_API TINA_MUST_USE tina_status tina_timer_repeat(tina_ctx *ctx, uint64_t period_ns, tina_tag tag, tina_timer *timer);

/*
 * Cancel a timer. True: it was this isolate's, and will not be delivered, even if it had
 * expired already. False: it is over, or belongs to another isolate; nothing has changed.
 */
TINA_API bool tina_timer_cancel(tina_ctx *ctx, tina_timer timer);

/* ---- Logs ------------------------------------------------------------------------ */

/* How much a line of the log matters. */
typedef enum tina_level {
    TINA_LOG_ERROR, /* something is broken */
    TINA_LOG_WARN,  /* something is odd, and somebody should look */
    TINA_LOG_INFO,  /* what an operator may want to know */
    TINA_LOG_DEBUG, /* what whoever writes the program may want to know */
} tina_level;

#define TINA_LOG_LINE_MAX 512 /* bytes; the rest of a longer line is cut */

/*
 * Write a line, as printf would, into the shard's log, behind the isolate's type
 * and slot; the spec's sink gets it from another thread. Where the log is full or
 * nobody reads it, the line is dropped, and counted in log_dropped.
 */
TINA_API void tina_log(tina_ctx *ctx, tina_level level, const char *format, ...) TINA_PRINTF(3, 4);

/* ---- Memory ---------------------------------------------------------------------- */

/*
 * Memory for this handler call: size bytes, 16-byte aligned, not cleared; gone when
 * the handler returns. NULL: that would be more than the type's scratch_max in all.
 */
TINA_API void *tina_scratch(tina_ctx *ctx, size_t size);

/*
 * Memory for this isolate's life: size bytes, 16-byte aligned, zeroed; gone when the
 * isolate ends, or at the reset. NULL: that would be more than the type's working_size
 * in all.
 */
TINA_API void *tina_working(tina_ctx *ctx, size_t size);
TINA_API void tina_working_reset(tina_ctx *ctx); /* give back all that tina_working gave this isolate */

/*
 * A transfer carries a payload of over 96 bytes, by reference to an isolate on this
 * shard, by one copy to one on another: take one, fill *data (*capacity bytes, not
 * cleared; capacity may be NULL), and send it. The receiver gets TINA_TAG_TRANSFER and
 * reads it during that handler call. Whoever ends, it is taken back. One that was sent
 * to another shard counts against this shard's transfer_count until it has been copied
 * there, or refused on arrival, which is counted there (arrived_exhausted where no
 * transfer was free).
 *
 * This takes one: *transfer is this isolate's. TINA_OK; TINA_POOL_EXHAUSTED: none is free.
 */
TINA_API TINA_MUST_USE tina_status tina_transfer_alloc(tina_ctx *ctx, tina_transfer *transfer, void **data,
                                                       size_t *capacity);

/*
 * Send the first size bytes of a transfer of this isolate's to an isolate on any shard.
 *
 * TINA_OK: it is the receiver's; anything else: it is still the sender's.
 * TINA_STALE_HANDLE: the receiver or the transfer; TINA_NOT_OWNER; TINA_INVALID: size
 * over the capacity, or a shard that does not exist; TINA_MAILBOX_FULL,
 * TINA_POOL_EXHAUSTED (no message is free): on this shard; TINA_CHANNEL_FULL,
 * TINA_SHARD_DOWN: on another.
 */
TINA_API TINA_MUST_USE tina_status tina_transfer_send(tina_ctx *ctx, tina_handle to, tina_transfer transfer, size_t size);

/*
 * What came with the TINA_TAG_TRANSFER that is being handled: *size bytes at *data, which
 * are the runtime's and valid during this handler call.
 *
 * TINA_OK; TINA_INVALID: the message is no transfer; TINA_STALE_HANDLE: it was handled
 * before.
 */
TINA_API TINA_MUST_USE tina_status tina_transfer_read(tina_ctx *ctx, const tina_message *message, const void **data,
                                                      size_t *size);

/* Give back a transfer of this isolate's that was not sent. Anything else is ignored. */
TINA_API void tina_transfer_free(tina_ctx *ctx, tina_transfer transfer);

TINA_END_DECLS
#endif
