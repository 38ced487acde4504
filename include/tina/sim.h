/*
 * Deterministic simulation: the same spec, the same isolates, the same library,
 * on one thread under a made clock, network and scheduler that one seed decides.
 *
 * A round is one tick of every shard that has something to do; it takes
 * timer_resolution_ns of made time. When nobody has anything to do, time jumps to
 * the next thing that is due. Faults strike as often as the config says, and never
 * where it says nothing. Two runs with the same seed, spec and config are the same
 * event for event, on every machine, compiler and build.
 *
 * For a run to be repeatable, isolates must not ask the machine for the time, for
 * randomness or for anything else (tina_now and tina_random are there for that), nor
 * share memory that outlives a run.
 */
#ifndef TINA_SIM_H
#define TINA_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/spec.h>
#include <tina/system.h>
#include <tina/types.h>

TINA_BEGIN_DECLS

/* numerator in denominator. Zeroed: never. A denominator of 0 counts as 1. */
typedef struct tina_ratio {
    uint32_t numerator, denominator; /* so many, in so many */
} tina_ratio;

/* From min to max, both possible. In rounds. Zeroed: none. */
typedef struct tina_range {
    uint32_t min, max; /* min not above max */
} tina_range;

/*
 * What goes wrong, and how often. Loss and delay between shards strike users'
 * messages, never the runtime's own answers and notices; what follows a late
 * message in its channel waits behind it.
 *
 * A shard that is wiped, whatever for, stands for a machine that crashes: each write
 * that was made through it and not followed by a sync of its file is on the disk
 * afterwards, or lost (disk_lost_write), or torn (disk_torn_write): there up to some
 * multiple of 512 bytes of the file. That is harsher than a real run, where a wiped
 * shard loses nothing that was written. Names and truncations are on the disk at
 * once.
 */
typedef struct tina_faults {
    tina_ratio handler_crash;      /* of handler calls: it crashes before, after, or faults */
    tina_ratio init_crash;         /* of inits */
    tina_ratio message_drop;       /* of messages to another shard: lost, and nobody is told; a descriptor comes back */
    tina_ratio partition;          /* a round cuts a pair of shards apart, one way or both: what is sent is lost */
    tina_ratio partition_heal;     /* a round ends such a cut */
    tina_range message_delay;      /* of each message to another shard */
    tina_ratio io_error;           /* of operations: it fails with TINA_SYSTEM_ERROR */
    tina_ratio connection_reset;   /* of operations on a connection: it breaks, for both ends */
    tina_ratio short_io;           /* of sends, receives, reads and writes: fewer bytes at a time */
    tina_range io_delay;           /* of each operation, connection and piece of data on its way */
    tina_ratio disk_error;         /* of operations on files: it fails with EIO, or, an open or a write, on a full disk */
    tina_ratio disk_torn_write;    /* these two: of unsynced writes, where their shard is wiped, see above */
    tina_ratio disk_lost_write;    /* see there */
    tina_ratio disk_bit_rot;       /* of reads of files: one bit of what is read has changed, for good */
    tina_ratio pool_empty;         /* of a shard's ticks: during it a pool says exhausted although it is not */
    tina_ratio shard_stall;        /* of a shard's rounds: from it on the shard misses rounds */
    tina_range shard_stall_length; /* how many; zeroed: one */
    tina_ratio shard_fault;        /* of a shard's rounds: it is wiped and rebuilt, as after a fault in the runtime */
    tina_ratio datagram_loss;      /* of datagrams over IP: lost, and nobody is told; those over Unix sockets never are */
    tina_ratio datagram_double;    /* of those that are not lost: it arrives twice, each time with a delay of its own */
} tina_faults;

/* How often each kind of fault has struck, by the names in tina_faults. */
typedef struct tina_fault_counts {
    uint64_t handler_crash, init_crash, message_drop, partition, message_delay; /* of isolates and messages */
    uint64_t io_error, connection_reset, short_io, io_delay;                    /* of operations */
    uint64_t pool_empty, shard_stall, shard_fault;                              /* of shards */
    uint64_t datagram_loss, datagram_double;                                    /* of datagrams */
    uint64_t disk_error, disk_torn_write, disk_lost_write, disk_bit_rot;        /* of files */
} tina_fault_counts;

/* A run, as a checker sees it: read-only, and only within the call. */
typedef struct tina_sim tina_sim;

/* Whether all is well. False: why says what is wrong, in at most why_size bytes with the final zero. */
typedef bool (*tina_checker_fn)(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user);

/* What decides a run, beside the spec. Zeroed: no faults, a million rounds. */
typedef struct tina_sim_config {
    uint64_t seed;      /* any number */
    uint64_t ticks_max; /* rounds; 0: 1,000,000 */
    /*
     * From this round on nothing fails, and the system must become quiet, or end, by ticks_max. 0, or not below
     * ticks_max: never.
     */
    uint64_t heal_at_tick;
    uint64_t stop_at_tick; /* the round in which the shutdown begins; 0: never */
    bool stop_when_quiet;  /* end when nobody has anything to do and nothing is on its way: no message, no data, no timer */
    bool keep_shard_order; /* shard 0 first in each round; otherwise in an order drawn from the seed */
    tina_faults faults;    /* what goes wrong, and how often */
    uint32_t check_every;  /* rounds; 0: 100. Checkers also run at the end. */
    const tina_checker_fn *checkers; /* besides the library's own */
    size_t checker_count;            /* of checkers */
    void *checker_user;              /* handed to each of them */
    const char *trace_path;          /* a timeline for chrome://tracing and Perfetto, or NULL */
    const char *events_path;         /* every event in words, a line each, or NULL: two runs that differ can be compared */
    void (*on_reached)(void *reached_user, const char *name); /* called by each tina_reached; NULL: none */
    void *reached_user;                                       /* handed to on_reached */
} tina_sim_config;

/* How a run ended. */
typedef enum tina_sim_end {
    TINA_SIM_TICKS,     /* ticks_max rounds */
    TINA_SIM_QUIET,     /* nothing will ever happen any more, or stop_when_quiet */
    TINA_SIM_VIOLATION, /* a checker found something wrong: see violation */
    TINA_SIM_STOPPED,   /* shut down, and every shard has ended */
} tina_sim_end;

/* The outcome of a run. */
typedef struct tina_sim_report {
    uint8_t end;     /* tina_sim_end */
    uint64_t ticks;  /* rounds that were run */
    uint64_t events; /* messages delivered and operations completed */
    /*
     * Of every event in order: tick, kind, handles, tag, size, status; never payload
     * bytes, pointers or the host's numbers. Equal for equal seed, spec and config, on
     * every machine, compiler and build.
     */
    uint64_t trace_hash;
    char violation[256];      /* "": none */
    tina_stats total;         /* over all shards */
    tina_fault_counts faults; /* that struck */
    uint64_t now_ns;          /* made time that has passed */
} tina_sim_report;

/* What the wrapper below calls, with its statuses. A program calls the wrapper. */
TINA_API TINA_MUST_USE tina_status tina_simulate_sized(const tina_system_spec *spec, size_t spec_size,
                                                       const tina_sim_config *config, size_t config_size,
                                                       tina_sim_report *report, size_t report_size, uint32_t api_version,
                                                       tina_error *error);

/*
 * Run a spec under a seed. The spec is copied as by tina_start. shard_count 0 means
 * 2: no default comes from the machine. cpus, memory_permille, backend, stack_size,
 * on_foreign_fault, watchdog and init_timeout_ns mean nothing here. Lines of the log go to log_sink, if there is
 * one, during the run. Faults of isolates are contained as in a real run, unless
 * signals is TINA_SIGNALS_NONE.
 *
 * TINA_OK: it ran, and *report says how it ended, TINA_SIM_VIOLATION included;
 * TINA_INVALID: the spec or the config, see *error; TINA_INIT_FAILED: a static
 * child's init, past its group's budget, before any fault was injected;
 * TINA_POOL_EXHAUSTED: memory of the machine; TINA_BUSY: in a handler or a checker;
 * TINA_NOT_FOUND, TINA_DENIED, TINA_DISK_FULL, TINA_SYSTEM_ERROR: a path can't be
 * written; a mapping.
 * report and error may be NULL. Blocks. Any thread that belongs to no system;
 * several at once in one process are independent.
 */
TINA_MUST_USE static inline tina_status tina_simulate(const tina_system_spec *spec, const tina_sim_config *config,
                                                      tina_sim_report *report, tina_error *error)
{
    return tina_simulate_sized(spec, sizeof *spec, config, sizeof *config, report, sizeof *report, TINA_API_VERSION, error);
}

/* In a handler or an init: true with this probability in simulation, never outside it. A place to provoke the rare. */
TINA_API bool tina_maybe(tina_ctx *ctx, tina_ratio ratio);

/*
 * In a handler or an init: this point was reached; outside of simulation it does
 * nothing. A swarm of runs (see sim_main.h) reports the names that never were. name
 * is a string literal, or at least static.
 */
TINA_API void tina_reached(tina_ctx *ctx, const char *name);

/*
 * For checkers: a live isolate's struct, and its handle (which may be NULL). NULL:
 * nobody lives in that slot, or there is no such slot. Slots run from 0.
 */
TINA_API const void *tina_sim_isolate(const tina_sim *sim, uint8_t shard, uint8_t type, uint32_t slot, tina_handle *handle);

#ifndef __cplusplus
/*
 * Each call in the program's text leaves its name where sim_main.h finds it, whether it
 * is ever reached or not. Not counted: calls in C++, and names that are anything else
 * than one literal without escapes (how many those are is said).
 */
#ifdef __has_attribute
#define TINA__HAS_RETAIN __has_attribute(retain)
#else
#define TINA__HAS_RETAIN 0
#endif
#if TINA__HAS_RETAIN /* a linker that drops what nobody refers to keeps them */
#define TINA__POINT_KEPT __attribute__((section("tina_points"), used, retain))
#else
#define TINA__POINT_KEPT __attribute__((section("tina_points"), used))
#endif
#define TINA__POINT_TEXT(name) #name
#define tina_reached(ctx, name)                                                                                             \
    do {                                                                                                                    \
        static const char tina__point[] TINA__POINT_KEPT = TINA__POINT_TEXT(name);                                          \
        (void)tina__point;                                                                                                  \
        (tina_reached)(ctx, name);                                                                                          \
    } while (0)
#endif

TINA_END_DECLS
#endif
