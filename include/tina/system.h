/*
 * Checking a spec, running it, stopping it, and looking at it from outside.
 *
 * The functions that take a public struct are inline wrappers which pass the
 * header's version and the struct's size, so that a program built against an
 * older header keeps running. Any pointer to a tina_error may be NULL.
 */
#ifndef TINA_SYSTEM_H
#define TINA_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/spec.h>
#include <tina/types.h>

TINA_BEGIN_DECLS

typedef struct tina_system tina_system; /* a system that runs: from tina_start to tina_join */

/* What a shard is doing. */
typedef enum tina_shard_state {
    TINA_SHARD_INIT,        /* its tree is coming up */
    TINA_SHARD_RUNNING,     /* it serves */
    TINA_SHARD_QUARANTINED, /* restarted too often: it runs nothing, and sends to it are TINA_SHARD_DOWN; see tina_revive */
    TINA_SHARD_DRAINING,    /* its isolates have been told to end */
    TINA_SHARD_ENDED,       /* none of them is left */
} tina_shard_state;

/* How full a pool is. */
typedef struct tina_usage {
    uint32_t limit, used, peak; /* slots in all; in use now; the most that were in use at once since boot */
} tina_usage;

/*
 * One shard's counters. Each has one writer, the shard; any thread may read.
 *
 * The ledger, over all shards, whenever no message is in flight:
 *   sent_local + sent_remote + posted
 *     = delivered + arrived_full + arrived_stale + arrived_exhausted + died_with_owner
 * It counts what users sent: messages, requests, replies, transfers, given
 * descriptors and posts.
 * Timers, completions, notices and failed calls are the runtime's and not in it.
 */
typedef struct tina_stats {
    uint64_t ticks;                   /* turns of its loop */
    uint64_t dispatches;              /* handler calls */
    uint64_t idle_ns;                 /* with nothing to do: asleep, or polling */
    uint64_t sleeps;                  /* in the kernel */
    uint64_t wakes;                   /* of other shards, by this one */
    uint64_t sent_local, sent_remote; /* messages that a send here said TINA_OK to: for this shard, for others */
    uint64_t received_remote;         /* messages that came from other shards */
    uint64_t posted;                  /* messages that came by tina_post */
    uint64_t calls, replies;          /* of sent_local and sent_remote: requests, and answers */
    uint64_t timers_fired;            /* timers that became messages */
    uint64_t timer_overruns;          /* periods of repeating timers that had no message of their own */
    uint64_t mailbox_full, channel_full, pool_exhausted, stale_handle, shard_down; /* told to the sender */
    uint64_t arrived_full, arrived_stale, arrived_exhausted;                       /* refused on arrival at this shard */
    uint64_t delivered, died_with_owner;                                           /* where every accepted message ends */
    uint64_t replies_late;               /* of arrived_stale: replies whose call had timed out */
    uint64_t spawns, exits;              /* isolates that began, and that ended, whatever for */
    uint64_t crashes;                    /* tina_crash, and effects that are none */
    uint64_t faults;                     /* ends by a fault of the isolate's code, or by the watchdog */
    uint64_t watchdog_kills;             /* of faults: those by the watchdog */
    uint64_t restarts;                   /* children that were started again */
    uint64_t escalations;                /* groups that were past their budget */
    uint64_t shard_restarts;             /* times that all of the shard began anew */
    uint64_t io_submitted, io_completed; /* operations that began, and that are over */
    uint64_t io_failed, io_cancelled;    /* of io_completed: by an error, and by a cancel or a deadline */
    uint64_t io_late;                    /* completions whose isolate had ended */
    uint64_t bytes_in, bytes_out;        /* received and read; sent and written */
    uint64_t log_dropped;                /* lines for which there was no room, or no reader */
    uint64_t trace_dropped;              /* events that the flight recorder no longer holds */
    uint64_t dumps_skipped;              /* faults whose events were not dumped, because another dump came just before */
    uint64_t arena_full, group_full, init_failed;                       /* spawns that failed, by reason */
    uint64_t calls_timed_out;                                           /* calls that had no answer in time */
    uint64_t inbox_full;                                                /* posts refused because the inbox was full */
    uint32_t isolates;                                                  /* alive */
    tina_usage messages, timers, watches, ops, buffers, fds, transfers; /* of its pools */
    uint8_t state;                                                      /* tina_shard_state */
    uint8_t backend;                                                    /* tina_backend: the one that boot chose */
} tina_stats;

#define TINA_HISTOGRAM_BUCKETS 32 /* of a tina_histogram */

/*
 * How long something took, and how often it took that long. Bucket i counts what took
 * from 2^i ns to less than 2^(i+1); the first also counts what took less, the last what
 * took more.
 */
typedef struct tina_histogram {
    uint64_t count, sum_ns;                   /* how often, and how long in all */
    uint64_t buckets[TINA_HISTOGRAM_BUCKETS]; /* how often it took that long */
} tina_histogram;

/*
 * One type's counters on one shard. The counters are complete; the two histograms are
 * samples. Handler calls are timed in one tick of sample_every; where such a tick has
 * many calls, one of them stands for several, so that handler_ns.count is about
 * dispatches divided by sample_every. After such a tick, the wait of one message, chosen
 * at random, is measured too. Where a shard begins anew, the dispatches of its last tick
 * are counted for the shard, not for the type. In a simulation a handler takes no time,
 * and waits are measured by the simulation's clock.
 */
typedef struct tina_type_stats {
    char name[64];                           /* the type's, as in the spec */
    uint32_t isolates, slots, peak;          /* alive; at most; the most there were */
    uint32_t sample_every;                   /* on average; 0: nothing is measured */
    uint64_t dispatches;                     /* handler calls */
    uint64_t mailbox_full;                   /* messages refused: told to a sender here, or on arrival from elsewhere */
    uint64_t arena_full;                     /* spawns refused: every slot was taken */
    uint64_t spawns, exits, crashes, faults; /* crashes: what its code asked for; faults: what its code ran into */
    uint64_t restarts;                       /* children of this type that were started again */
    tina_histogram handler_ns;               /* from a handler's call to its return; not of those that faulted */
    tina_histogram wait_ns;                  /* of users' messages, from the mailbox of this shard to the handler's call */
} tina_type_stats;

/* How a system ended. */
typedef struct tina_end_report {
    tina_stats total;         /* over all shards, at the end: every pool's used is 0 */
    uint32_t undrained_count; /* isolates that had to be torn down */
    tina_handle undrained[8]; /* the first of them */
    uint32_t stuck_shards;    /* shards whose thread never came back */
} tina_end_report;

/*
 * What the wrappers below call, with their statuses. A program calls the wrappers.
 * TINA_INVALID also where the program was built with a newer header and uses what
 * this library does not know.
 */
TINA_API TINA_MUST_USE tina_status tina_spec_check_sized(const tina_system_spec *spec, size_t spec_size,
                                                         uint32_t api_version, tina_error *error);
TINA_API size_t tina_spec_memory_sized(const tina_system_spec *spec, size_t spec_size, uint32_t api_version);
TINA_API TINA_MUST_USE tina_status tina_boot_sized(const tina_system_spec *spec, size_t spec_size, uint32_t api_version,
                                                   tina_error *error);
TINA_API TINA_MUST_USE tina_status tina_start_sized(const tina_system_spec *spec, size_t spec_size, uint32_t api_version,
                                                    tina_system **system, tina_error *error);
TINA_API TINA_MUST_USE tina_status tina_join_sized(tina_system *system, tina_end_report *report, size_t report_size);
TINA_API TINA_MUST_USE tina_status tina_shard_stats_sized(const tina_system *system, uint8_t shard, tina_stats *stats,
                                                          size_t stats_size);
TINA_API TINA_MUST_USE tina_status tina_stats_of_sized(tina_ctx *ctx, uint8_t shard, tina_stats *stats, size_t stats_size);
TINA_API TINA_MUST_USE tina_status tina_shard_type_stats_sized(const tina_system *system, uint8_t shard, uint8_t type,
                                                               tina_type_stats *stats, size_t stats_size);
TINA_API TINA_MUST_USE tina_status tina_type_stats_of_sized(tina_ctx *ctx, uint8_t shard, uint8_t type,
                                                            tina_type_stats *stats, size_t stats_size);

/*
 * Is the spec right in itself? What the machine can give is not asked.
 * TINA_OK; TINA_INVALID, with the field and what would be right in *error. Any thread.
 */
TINA_MUST_USE static inline tina_status tina_spec_check(const tina_system_spec *spec, tina_error *error)
{
    return tina_spec_check_sized(spec, sizeof *spec, TINA_API_VERSION, error);
}

/*
 * Bytes that a system of this spec takes at boot, all shards, to the page, without
 * its threads' stacks; 0: the spec is wrong. Where shard_count is 0 it is this
 * machine's. Any thread.
 */
static inline size_t tina_spec_memory(const tina_system_spec *spec)
{
    return tina_spec_memory_sized(spec, sizeof *spec, TINA_API_VERSION);
}

/*
 * Boot, serve until SIGTERM, SIGINT or tina_stop_system, drain, and return. After a
 * second signal it no longer waits for isolates that have not drained.
 *
 * TINA_OK: every isolate drained; TINA_TIMED_OUT: some did not (*error is then
 * zeroed); TINA_BUSY: the spec is external, and this is inside a handler; otherwise as
 * tina_start. Blocks. Any thread that belongs to no system.
 */
TINA_MUST_USE static inline tina_status tina_boot(const tina_system_spec *spec, tina_error *error)
{
    return tina_boot_sized(spec, sizeof *spec, TINA_API_VERSION, error);
}

/*
 * The same in two steps, for a program that does other things meanwhile. Returns when every
 * shard's tree is up, or undoes everything and says why not. The spec is copied
 * whole, with what it points to, but for user and log_user, which stay the
 * program's. *system is the caller's, to be given to tina_join. Several systems may
 * run in one process.
 *
 * TINA_OK; TINA_INVALID: the spec; TINA_POOL_EXHAUSTED: memory, threads or
 * descriptors of the machine, or the 65th system at once that signals may stop;
 * TINA_UNSUPPORTED: the named backend; TINA_INIT_FAILED: a static child's init,
 * past its group's budget, or where it called the start off (tina_stop_system);
 * TINA_TIMED_OUT: init_timeout_ns; TINA_DENIED: a mapping, a thread or the statistics
 * page; TINA_NOT_FOUND, TINA_DISK_FULL: where that is to lie; TINA_SYSTEM_ERROR: such
 * as a core that may not be used. Blocks. Any thread that belongs to no system. Where
 * the spec is external, it returns before the tree comes up: the first tina_step does
 * that.
 */
TINA_MUST_USE static inline tina_status tina_start(const tina_system_spec *spec, tina_system **system, tina_error *error)
{
    return tina_start_sized(spec, sizeof *spec, TINA_API_VERSION, system, error);
}

/*
 * Begin the graceful shutdown; once it has begun, this changes nothing. Returns at
 * once. From any thread, until tina_join; async-signal-safe.
 */
TINA_API void tina_stop(tina_system *system);

/*
 * Wait until a system was stopped and has ended, and free it. report may be NULL.
 *
 * TINA_OK: every isolate drained; TINA_TIMED_OUT: some did not within
 * shutdown_timeout_ns or before the second signal, see the report. Where it counts
 * stuck shards, the system's memory is left to them. Blocks. To be called once, by a
 * thread that belongs to no system.
 *
 * Where the spec is external and this is the thread that steps, or nobody has stepped
 * yet, it steps until the system has ended. On another thread it waits for the one that
 * steps to do so: where that one no longer does, its shard counts as stuck once the
 * system was stopped and shutdown_timeout_ns has passed. TINA_BUSY: from inside a handler or a
 * tina_step, and nothing has happened.
 */
TINA_MUST_USE static inline tina_status tina_join(tina_system *system, tina_end_report *report)
{
    return tina_join_sized(system, report, sizeof *report);
}

/*
 * With spec.external: turn the shard, on the calling thread, until there is nothing to
 * do or it has had some turns; if there was nothing to do at all, wait for something,
 * for at most timeout_ns (0: don't; TINA_NONE_NS: without limit), and less where a
 * signal handler of the program's ran meanwhile. The first step brings the tree up.
 * Between two steps nothing runs but what the program does, on its own thread, with
 * its own signal mask: a handler's fault is contained in the step, any other is the
 * program's. A program that steps late is late, and no more: the watchdog counts the
 * time of handlers alone.
 *
 * *work (may be NULL): how much it did; 0: nothing. The thread that steps first is the
 * one that steps from then on, and must not end before the system has.
 *
 * TINA_OK; TINA_STOPPING: it has ended, now or before, and is to be joined, by any
 * thread; TINA_NOT_OWNER: another thread steps it; TINA_BUSY: from inside a handler of
 * any system, or a signal handler that interrupted a step; TINA_INVALID: the spec is
 * not external. Once, when the tree can't come up: what tina_start would say, of which
 * the words are in the log; the system is stopped then, and is to be joined, or stepped
 * to its end.
 */
TINA_API TINA_MUST_USE tina_status tina_step(tina_system *system, uint64_t timeout_ns, uint32_t *work);

/*
 * With spec.external: a descriptor for the program's own poll, epoll or event loop. It
 * is readable whenever tina_step has something to do, and after the end, for as long as
 * that is so: watch it by level, for reading, and do nothing else with it. It stays the
 * same from tina_start to tina_join, which closes it.
 *
 * *deadline_ns (may be NULL): when tina_step is to be called though it was not readable
 * until then, in nanoseconds of CLOCK_MONOTONIC, which is tina_now's clock;
 * TINA_NONE_NS: not at all; 0: at once, it is readable. As the last step left it: ask
 * after each. A wait that counts in milliseconds rounds up, or it ends too soon, again
 * and again.
 *
 * -1: the spec is not external. Any thread, until tina_join.
 */
TINA_API int tina_pollfd(const tina_system *system, uint64_t *deadline_ns);

/*
 * Send from outside a message of at most TINA_PAYLOAD_MAX bytes, which are copied.
 * The message has no source. What its shard refuses on arrival is counted there.
 *
 * TINA_OK: it is in the receiving shard's inbox; TINA_INVALID: the tag, the size or
 * a shard that does not exist; TINA_CHANNEL_FULL: the inbox is full;
 * TINA_SHARD_DOWN; TINA_STOPPING. From any thread that is no shard of this system,
 * until tina_join.
 */
TINA_API TINA_MUST_USE tina_status tina_post(tina_system *system, tina_handle to, tina_tag tag, const void *payload,
                                             size_t size);

/*
 * Bring quarantined shards back, each with a new budget, as SIGUSR2 does where the
 * spec takes it. Shards that are not quarantined are left alone. Returns at once.
 * TINA_OK; TINA_STOPPING. From any thread, until tina_join; async-signal-safe.
 */
TINA_API TINA_MUST_USE tina_status tina_revive(tina_system *system);

/*
 * One shard's counters as they are now; a pool's usage as at the end of the last
 * tick that did something. TINA_OK; TINA_INVALID: no such shard, or stats is NULL.
 * Any thread, until tina_join.
 */
TINA_MUST_USE static inline tina_status tina_shard_stats(const tina_system *system, uint8_t shard, tina_stats *stats)
{
    return tina_shard_stats_sized(system, shard, stats, sizeof *stats);
}

/*
 * The same for a handler or an init: of its own shard as they are now, of another a
 * pool's usage and isolates as at the end of that shard's last tick that did
 * something. TINA_OK; TINA_INVALID: no such shard, or stats is NULL. On its shard's
 * thread, with the ctx of that very call.
 */
TINA_MUST_USE static inline tina_status tina_stats_of(tina_ctx *ctx, uint8_t shard, tina_stats *stats)
{
    return tina_stats_of_sized(ctx, shard, stats, sizeof *stats);
}

/*
 * One type's counters on one shard. Types count from 0, as in the spec. While the
 * shard is busy, dispatches may be some ticks behind, at most 95; those of a tick in
 * which it began anew are not in it. TINA_OK; TINA_INVALID: no such shard or type, or
 * stats is NULL. Any thread, until tina_join.
 */
TINA_MUST_USE static inline tina_status tina_shard_type_stats(const tina_system *system, uint8_t shard, uint8_t type,
                                                              tina_type_stats *stats)
{
    return tina_shard_type_stats_sized(system, shard, type, stats, sizeof *stats);
}

/*
 * The same for a handler or an init. TINA_OK; TINA_INVALID: no such shard or type,
 * or stats is NULL. On its shard's thread, with the ctx of that very call.
 */
TINA_MUST_USE static inline tina_status tina_type_stats_of(tina_ctx *ctx, uint8_t shard, uint8_t type,
                                                           tina_type_stats *stats)
{
    return tina_type_stats_of_sized(ctx, shard, type, stats, sizeof *stats);
}

TINA_END_DECLS
#endif
