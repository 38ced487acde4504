/* The boot specification: what a system is made of and how much of everything it may use. */
#ifndef TINA_SPEC_H
#define TINA_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/ctx.h>
#include <tina/types.h>

TINA_BEGIN_DECLS

#define TINA_TYPES_MAX  254     /* types of a system */
#define TINA_SHARDS_MAX 254     /* shards of a system */
#define TINA_SLOTS_MAX  1048575 /* alive at once, of one type on one shard */

/* What a fault in a type's code takes down. */
typedef enum tina_containment {
    TINA_CONTAIN_ISOLATE, /* the isolate */
    TINA_CONTAIN_SHARD,   /* all isolates of its shard, which begins anew */
    TINA_CONTAIN_PROCESS, /* the program, as without this library */
} tina_containment;

/* A kind of isolate: its code, its size, and how many there may be. */
typedef struct tina_type {
    const char *name;          /* in logs and errors; 1 to 63 bytes */
    tina_init_fn init;         /* runs once, before any message */
    tina_handler_fn handler;   /* runs once for each message */
    size_t size;               /* sizeof the isolate's struct, 1 byte to 16 MiB */
    uint32_t slot_count;       /* at most this many alive per shard; 0: 1 */
    uint32_t working_size;     /* bytes of tina_working each, at most 1 GiB; 0: none */
    uint32_t scratch_max;      /* the most tina_scratch its handler takes; 0: all of scratch_size */
    uint32_t mailbox_capacity; /* at most 65,535; 0: 256 */
    uint16_t weight;           /* its share of a tick: 256 times this many handler calls; 0: 1 */
    uint8_t containment;       /* what a fault in its handler or init takes down: tina_containment */
} tina_type;

/*
 * Which other children are ended and started again, in order, when one is restarted.
 * Of those, temporary ones stay down; transient ones come up again even if they were done.
 */
typedef enum tina_strategy {
    TINA_ONE_FOR_ONE,  /* nobody */
    TINA_ONE_FOR_ALL,  /* all of the group */
    TINA_REST_FOR_ONE, /* those of the group behind it */
} tina_strategy;

#define TINA_GROUP_DEPTH_MAX 8 /* groups inside one another, the root included */

/* A static child: one that is there from boot on. Where it is a nested group, args, name and type are not used. */
typedef struct tina_child {
    const struct tina_group_spec *group; /* NULL: an isolate */
    const void *args;                    /* for its init: at most TINA_ARGS_MAX bytes, copied at boot */
    size_t args_size;                    /* bytes at args */
    uint16_t name;                       /* 0: none; unique per shard; see tina_named */
    uint8_t type;                        /* index in the spec's types */
    uint8_t restart;                     /* tina_restart; a group that was given up counts as crashed */
} tina_child;

/*
 * A supervisor: the children, which are started in order, each when the one before is
 * up, and how often they may be restarted. A group that is past its budget is ended,
 * which its parent takes for the crash of a child; past the root's, the shard begins
 * anew. A group that is started again has its whole budget again.
 */
typedef struct tina_group_spec {
    const tina_child *children; /* in the order in which they are started */
    size_t child_count;         /* at most 65,535 in all groups of a shard, of these 32,767 groups */
    uint16_t name;              /* for tina_spawn.group, unique per shard; 0: none (the root needs none) */
    uint8_t strategy;           /* tina_strategy */
    uint32_t restart_max;       /* within the window; one more escalates; 0: 3; TINA_NONE: the first escalates */
    uint64_t window_ns;         /* 0: 5 s */
    /* How long to wait before a restart, at most a day; doubled with each restart in the window, and up to a quarter
     * longer at random. 0: no wait */
    uint64_t backoff_ns;
    uint64_t backoff_max_ns; /* where the doubling ends, at most a day; 0: 64 times backoff_ns */
    uint32_t dynamic_max; /* spawned children, only with TINA_ONE_FOR_ONE; 0: as many as there are slots; TINA_NONE: none */
} tina_group_spec;

/* What runs on one shard, where the shards are not all alike. */
typedef struct tina_shard_spec {
    tina_group_spec root;        /* its supervision tree */
    const uint32_t *slot_counts; /* by type, instead of the types' own; NULL or 0: those. TINA_NONE: none here */
} tina_shard_spec;

/* The capacity of some channels. The last that matches wins. */
typedef struct tina_channel_spec {
    int32_t source, destination; /* shards; -1: every shard */
    uint32_t capacity;           /* 1 to 524,288 messages */
} tina_channel_spec;

/* How the kernel does I/O. */
typedef enum tina_backend {
    TINA_BACKEND_AUTO,   /* io_uring, or epoll where the kernel refuses it */
    TINA_BACKEND_URING,  /* io_uring, or boot fails */
    TINA_BACKEND_EPOLL,  /* epoll, and threads for files */
    TINA_BACKEND_KQUEUE, /* of another system: boot fails as TINA_UNSUPPORTED */
    TINA_BACKEND_IOCP,   /* likewise */
    TINA_BACKEND_SIM,    /* what a simulation runs on; not to be named in a spec */
} tina_backend;

/* Which signal handlers are installed while a system runs. Earlier ones are chained to, and put back at the end. */
typedef enum tina_signals {
    TINA_SIGNALS_AUTO,   /* tina_boot: all; tina_start: faults */
    TINA_SIGNALS_ALL,    /* faults are contained; SIGTERM and SIGINT stop the system; SIGUSR2 revives */
    TINA_SIGNALS_FAULTS, /* faults, and the watchdog's own signal, SIGURG: the program stops the system itself */
    TINA_SIGNALS_NONE,   /* nothing: a fault ends the process; the watchdog only reports */
} tina_signals;

/*
 * What a fault costs that came from abort(), or from inside a library that may have
 * held a lock, such as the C library. The type's containment may widen it.
 */
typedef enum tina_suspect {
    TINA_SUSPECT_DEFAULT, /* of on_abort: the process; of on_foreign_fault: the isolate */
    TINA_SUSPECT_ISOLATE, /* the isolate */
    TINA_SUSPECT_SHARD,   /* all isolates of its shard, which begins anew */
    TINA_SUSPECT_PROCESS, /* the program */
} tina_suspect;

/* A whole system. A field that is 0 has its default; {0} with types and a tree is a spec. */
typedef struct tina_system_spec {
    const tina_type *types;            /* a type's id is its index; at most TINA_TYPES_MAX */
    size_t type_count;                 /* 1 to TINA_TYPES_MAX */
    const tina_shard_spec *shards;     /* NULL: every shard runs root */
    size_t shard_count;                /* 1 to 254; 0: one per core that this process may use (affinity, cgroup quota) */
    tina_group_spec root;              /* where shards is NULL */
    const tina_channel_spec *channels; /* those whose capacity is not channel_capacity */
    size_t channel_spec_count;         /* of channels */
    const uint16_t *cpus;              /* shard i runs on cpus[i % cpu_count]; NULL: on the i-th that the process may use */
    size_t cpu_count;                  /* of cpus */
    void *user;                        /* tina_user */

    /* From here to file_threads, numbers are per shard, and 0 means: derived from the types. docs/concepts/memory.md has
     * the formulas and the ranges. */
    uint32_t message_count;    /* messages in all mailboxes together */
    uint32_t channel_capacity; /* messages per pair and direction */
    uint32_t inbox_capacity;   /* for tina_post; 0: 1024 */
    uint32_t timer_count;      /* timers and calls under way; TINA_NONE: none */
    uint32_t watch_count;      /* of this shard's isolates; TINA_NONE: none */
    uint32_t fd_count;         /* TINA_NONE: none */
    uint32_t op_count;         /* operations under way or not handled yet; TINA_NONE: none, where fd_count is too */
    uint32_t buffer_count;     /* half of them for sends; TINA_NONE: none, where fd_count is too */
    uint32_t buffer_size;      /* 64 bytes to 16 MiB; 0: 4096 */
    uint32_t transfer_count;   /* TINA_NONE: none */
    uint32_t transfer_size;    /* at most 1 GiB; 0: 4096 */
    uint32_t scratch_size;     /* at most 1 GiB; 0: 65536 */
    uint32_t stack_size;       /* 16 KiB to 1 GiB; 0: 256 KiB */
    uint32_t log_size;         /* bytes, 1 KiB to 1 GiB; 0: 65536 */
    uint32_t trace_count;      /* events that the flight recorder holds, at least 16; 0: 1024 */
    /* Threads that do file operations where the backend can't by itself (epoll), started at boot, at most 64; 0: two, where
     * there are descriptors; TINA_NONE: none, and such operations are TINA_UNSUPPORTED. */
    uint32_t file_threads;
    uint64_t timer_resolution_ns; /* 1 us to 1 s; 0: 1 ms */

    uint8_t backend; /* tina_backend; one that is named is used, or boot fails */
    uint8_t signals; /* tina_signals */
    /* tina_suspect. A program that aborts has found itself broken: by default it ends. */
    uint8_t on_abort;
    /* tina_suspect. The commonest crash of all is a memcpy from NULL: by default it costs the isolate, logged as suspect. */
    uint8_t on_foreign_fault;
    bool development;         /* lazy memory, no pinning, no huge pages */
    bool unpinned;            /* shards are not pinned to cores, as when there are more shards than cores */
    bool abort_on_quarantine; /* end the program rather than serve without a shard */
    bool quiet;               /* no boot report (tina_start gives none anyhow) */
    /* How long an idle shard polls before it sleeps; 0: 50 us; TINA_NONE_NS, or more shards than cores: never. */
    uint64_t spin_ns;
    uint64_t init_timeout_ns;      /* 0: 30 s */
    uint64_t shutdown_timeout_ns;  /* 0: 30 s */
    uint64_t watchdog_interval_ns; /* 1 ms to 1 h; 0: 500 ms; TINA_NONE_NS: no watchdog */
    /* How many intervals of CPU time one handler call may take before it is killed, at most 1,000,000; 0: 2; TINA_NONE:
     * it is only reported. */
    uint32_t watchdog_stalls;
    uint32_t shard_restart_max; /* within the window; one more quarantines the shard; 0: 3; TINA_NONE: the first does */
    uint64_t shard_restart_window_ns; /* 0: 30 s */
    uint32_t memory_permille;         /* how much it may take of the memory that machine and cgroup have left; 0: 900 */

    /*
     * Gets each line of the log; <tina/log.h> has ready-made ones. It is called by the system's one helper thread, never by
     * a shard; for the boot report, by the booting thread before any shard runs; for shards that don't come back at the
     * end, by the joining thread, after the helper's last call. NULL: lines go to stderr under tina_boot, and are counted
     * and dropped under tina_start. line has no newline and no final zero; shard is -1 for the system's own lines. A sink
     * that blocks holds up the watchdog too.
     */
    void (*log_sink)(void *log_user, int shard, tina_level level, const char *line, size_t length);
    void *log_user; /* handed to log_sink and on_broken; the program's */
    /* Called last before abort(), when the library has found its own state broken: what says how. */
    void (*on_broken)(void *log_user, const char *what);

    /* There is one shard (shard_count 1 or 0), which the program drives itself, from a thread of its own: see tina_step.
     * cpus, stack_size and spin_ns then mean nothing. A simulation drives it like any other system. */
    bool external;

    /*
     * Path of the statistics page, 1 to 255 bytes: a file that boot makes, and that the helper thread writes four times a
     * second for readers such as tinatop, at no cost to the shards. Best in memory, such as below /run. A file that is
     * there already is taken over if it is the page of a system whose process has ended, and so have those that it forked
     * without an exec; anything else is refused. The page is removed at the end. NULL: none.
     */
    const char *stats_path;
} tina_system_spec;

TINA_END_DECLS
#endif
