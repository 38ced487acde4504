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
 *   parked by     its own completion or reply   started operations   mail, timers   shutdown
 *   tina_receive  -                             wakes                wakes          wakes
 *   tina_io       wakes                         waits                waits          wakes
 *   tina_call     wakes                         waits                waits          wakes
 *
 * Finished operations come before shutdown, shutdown before mail. An operation
 * or call that shutdown overtook goes on as a started one.
 */

/* End. Everything that the isolate holds is taken back. */
TINA_API TINA_MUST_USE tina_effect tina_done(void);

/* End as a failure, which the supervisor may answer with a restart. reason is the user's own: logged and counted. */
TINA_API TINA_MUST_USE tina_effect tina_crash(uint8_t reason);

/* Come back in the next tick, with TINA_TAG_RESUME. */
TINA_API TINA_MUST_USE tina_effect tina_yield(void);

/* Park until there is mail, a timer, a finished operation or the shutdown. */
TINA_API TINA_MUST_USE tina_effect tina_receive(void);

/*
 * Send a request and park until its reply, or TINA_TAG_CALL_FAILED with the
 * tina_status in its payload. A call that cannot be delivered (stale handle,
 * full mailbox or channel, shard down, no free message or timer, a tag or size
 * that is not allowed) fails at once, not after the timeout; so does one whose
 * receiver ends before it replies (TINA_STALE_HANDLE). timeout_ns 0: 5 s.
 */
TINA_API TINA_MUST_USE tina_effect tina_call(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size,
                                             uint64_t timeout_ns);

/*
 * Answer the call being handled, then park as tina_receive. Where a plain
 * message is being handled, or the arguments are not allowed, the isolate
 * crashes: its reason is logged.
 */
TINA_API TINA_MUST_USE tina_effect tina_reply(tina_ctx *ctx, tina_tag tag, const void *payload, size_t size);

/* ---- Who, where, when ----------------------------------------------------- */

TINA_API tina_handle tina_self(const tina_ctx *ctx);
TINA_API uint8_t tina_shard(const tina_ctx *ctx);
TINA_API uint8_t tina_shard_count(const tina_ctx *ctx);
TINA_API uint64_t tina_now(const tina_ctx *ctx); /* monotonic ns, the same all through one handler call */
TINA_API uint64_t tina_random(tina_ctx *ctx);    /* 64 random bits, from the shard's own stream */
TINA_API void *tina_user(const tina_ctx *ctx);   /* the spec's user pointer */
TINA_API bool tina_is_shutting_down(const tina_ctx *ctx);
TINA_API void tina_stop_system(tina_ctx *ctx); /* as SIGTERM would */

/* Which shard a key belongs to: the same for a key and a shard count, on every machine. shard_count 0: 0. Any thread. */
TINA_API uint8_t tina_key_shard(uint64_t key, uint8_t shard_count);

/* ---- Messages -------------------------------------------------------------- */

/*
 * Send a message of at most TINA_PAYLOAD_MAX bytes to an isolate on any shard.
 * The payload is copied. tag is TINA_TAG_USER or above. To another shard, TINA_OK
 * says that the channel has it; what its shard then refuses is counted there.
 *
 * TINA_OK; TINA_INVALID: the tag, the size, or a shard that does not exist;
 * TINA_STALE_HANDLE, TINA_MAILBOX_FULL, TINA_POOL_EXHAUSTED: on this shard;
 * TINA_CHANNEL_FULL, TINA_SHARD_DOWN: on another.
 */
TINA_API TINA_MUST_USE tina_status tina_send(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size);

/*
 * The same without a copy: fill the size bytes at *payload, then commit. One at a
 * time; what is not committed when the handler returns never happened. The bytes
 * at *payload are not cleared. Statuses as tina_send, and TINA_BUSY: one is open.
 */
TINA_API TINA_MUST_USE tina_status tina_send_begin(tina_ctx *ctx, tina_handle to, tina_tag tag, size_t size, void **payload);
TINA_API void tina_send_commit(tina_ctx *ctx); /* with none open: does nothing */

/*
 * Several calls at once, without parking: each answer, or TINA_TAG_CALL_FAILED,
 * comes as mail and carries *call in message->correlation. Statuses as tina_send;
 * TINA_POOL_EXHAUSTED also where no timer is free, TINA_CHANNEL_FULL also where
 * the answer would have no room. timeout_ns 0: 5 s.
 */
TINA_API TINA_MUST_USE tina_status tina_call_start(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload,
                                                   size_t size, uint64_t timeout_ns, uint32_t *call);

/* Who called, to answer later: kept as long as one likes, used once. */
typedef struct tina_caller {
    tina_handle source;
    uint32_t correlation;
} tina_caller;

TINA_API bool tina_is_call(const tina_message *message);
TINA_API tina_caller tina_message_caller(const tina_message *message);

/*
 * Answer a call now or later. Never refused for want of room.
 * TINA_OK; TINA_INVALID: the tag or the size; TINA_STALE_HANDLE: it was answered
 * already, has timed out, or its caller is gone; TINA_SHARD_DOWN.
 */
TINA_API TINA_MUST_USE tina_status tina_reply_to(tina_ctx *ctx, tina_caller caller, tina_tag tag, const void *payload,
                                                 size_t size);

/* ---- Children ---------------------------------------------------------------- */

/* What a supervisor does when a child ends. Zeroed: a static child is permanent, a spawned one temporary. */
typedef enum tina_restart {
    TINA_RESTART_DEFAULT,
    TINA_PERMANENT, /* always restarted */
    TINA_TRANSIENT, /* restarted when it crashed */
    TINA_TEMPORARY, /* never restarted */
} tina_restart;

/* Which halves of a descriptor a child is handed; the spawner keeps the other. */
typedef enum tina_handoff { TINA_HANDOFF_FULL, TINA_HANDOFF_READ, TINA_HANDOFF_WRITE } tina_handoff;

#define TINA_GROUP_ROOT ((uint16_t)0)
#define TINA_GROUP_SELF ((uint16_t)0xFFFE) /* the spawner's own */
#define TINA_GROUP_NONE ((uint16_t)0xFFFF) /* unsupervised */

typedef struct tina_spawn {
    const void *args; /* copied; at most TINA_ARGS_MAX bytes */
    size_t args_size;
    tina_fd fd;      /* handed to the child, where it keeps its value; such a child is temporary */
    uint8_t handoff; /* tina_handoff */
    uint8_t type;    /* index in the spec's types */
    uint8_t restart; /* tina_restart */
    uint16_t group;  /* a group's name, or TINA_GROUP_... */
} tina_spawn;

/*
 * Make a child on this shard, at once: its init has run when this returns. Inits
 * may spawn, eight deep. On failure the descriptor stays with the spawner, and
 * the child is not tried again. child may be NULL.
 *
 * TINA_OK; TINA_INVALID: the type, the arguments' size, the group, the restart
 * policy, or the ninth level of inits; TINA_ARENA_FULL; TINA_GROUP_FULL;
 * TINA_INIT_FAILED; for the descriptor: TINA_STALE_HANDLE, TINA_NOT_OWNER, and
 * TINA_BUSY while something is under way on it.
 */
TINA_API TINA_MUST_USE tina_status tina_spawn_child(tina_ctx *ctx, const tina_spawn *spawn, tina_handle *child);

/* ---- Timers -------------------------------------------------------------------- */

/*
 * A message with this tag and no payload, no sooner than tina_now() + delay_ns.
 * timer may be NULL. tag is TINA_TAG_TIMER, or TINA_TAG_USER and above.
 * TINA_OK; TINA_INVALID: the tag; TINA_POOL_EXHAUSTED.
 */
TINA_API TINA_MUST_USE tina_status tina_timer_start(tina_ctx *ctx, uint64_t delay_ns, tina_tag tag, tina_timer *timer);

/*
 * The same, every period_ns (not 0). At most one is undelivered at a time; those
 * that came due meanwhile are counted in its message->correlation. Statuses as
 * tina_timer_start; TINA_INVALID also for a period of 0.
 */
TINA_API TINA_MUST_USE tina_status tina_timer_repeat(tina_ctx *ctx, uint64_t period_ns, tina_tag tag, tina_timer *timer);

/* True: it was this isolate's and will not be delivered any more, even if it had expired already. */
TINA_API bool tina_timer_cancel(tina_ctx *ctx, tina_timer timer);

/* ---- Logs ------------------------------------------------------------------------ */

typedef enum tina_level { TINA_LOG_ERROR, TINA_LOG_WARN, TINA_LOG_INFO, TINA_LOG_DEBUG } tina_level;

#define TINA_LOG_LINE_MAX 512 /* bytes; the rest of a longer line is cut */

/* Write a line, as printf would, into the shard's log; the spec's sink gets it from another thread. Full: counted. */
TINA_API void tina_log(tina_ctx *ctx, tina_level level, const char *format, ...) TINA_PRINTF(3, 4);

/* ---- Memory ---------------------------------------------------------------------- */

/* 16-byte aligned, not cleared; gone when the handler returns. NULL: more than the type's scratch_max. */
TINA_API void *tina_scratch(tina_ctx *ctx, size_t size);

/* 16-byte aligned, zeroed; gone when the isolate is, or at the reset. NULL: more than the type's working_size. */
TINA_API void *tina_working(tina_ctx *ctx, size_t size);
TINA_API void tina_working_reset(tina_ctx *ctx);

/*
 * Payloads over 96 bytes, to an isolate on this shard, by reference: take one,
 * fill *data, send it. The receiver gets TINA_TAG_TRANSFER and reads it during
 * that handler call. Whoever dies, it is taken back.
 *
 * alloc: TINA_OK; TINA_POOL_EXHAUSTED.
 * send:  TINA_OK: it is the receiver's; anything else: it is still the sender's.
 *        Statuses as tina_send; TINA_NOT_OWNER; TINA_STALE_HANDLE also for the
 *        transfer; TINA_INVALID: size over the capacity; TINA_UNSUPPORTED: the
 *        receiver is on another shard.
 * read:  TINA_OK; TINA_INVALID: message is no transfer.
 * free:  one that was not sent; anything else is ignored.
 */
TINA_API TINA_MUST_USE tina_status tina_transfer_alloc(tina_ctx *ctx, tina_transfer *transfer, void **data,
                                                       size_t *capacity);
TINA_API TINA_MUST_USE tina_status tina_transfer_send(tina_ctx *ctx, tina_handle to, tina_transfer transfer, size_t size);
TINA_API TINA_MUST_USE tina_status tina_transfer_read(tina_ctx *ctx, const tina_message *message, const void **data,
                                                      size_t *size);
TINA_API void tina_transfer_free(tina_ctx *ctx, tina_transfer transfer);

TINA_END_DECLS
#endif
