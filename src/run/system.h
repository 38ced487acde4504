/*
 * A system: its shards' memory, threads and what they share; how it comes up and
 * how it ends. One thread starts it and one joins it; stop, post and the counters
 * are for any thread.
 */
#ifndef TINA__RUN_SYSTEM_H
#define TINA__RUN_SYSTEM_H

#include "os/os.h"
#include "spec/error.h"
#include "spec/wipe.h"

typedef enum tina__boot_phase { /* what a shard has reached */
                                TINA__BOOT_STARTED,
                                TINA__BOOT_READY,  /* its memory and backend are there */
                                TINA__BOOT_UP,     /* its tree runs */
                                TINA__BOOT_FAILED, /* see error */
                                TINA__BOOT_ENDED,  /* its thread is about to return */
} tina__boot_phase;

typedef enum tina__gate { TINA__GATE_CLOSED, TINA__GATE_OPEN, TINA__GATE_ABORT } tina__gate;

/* What the booting thread and a shard's thread tell each other. */
typedef struct tina__shard_thread {
    struct tina_system *system;
    size_t index;
    tina__os_thread thread;
    bool is_started;
    tina__shard *shard;           /* set when it is ready */
    const tina__backend_api *api; /* the shard's; NULL: not open */
    tina__backend *backend;
    tina_error error;         /* of BOOT_FAILED */
    tina__budget lives;       /* its thread's alone */
    uint64_t polls_after_ns;  /* others want its core: until then it sleeps at once */
    bool is_lost;             /* not even a wipe was possible: it does nothing any more */
    bool is_trapped;          /* it is in the trap's care */
    char broken[256];         /* the invariant that did not hold */
    const char *backend_name; /* that was opened last */
    const char *note;         /* why it runs on another backend than asked for; "": no reason */
    bool got_huge;
    _Atomic uint32_t phase; /* tina__boot_phase; release: what stands above is written */
} tina__shard_thread;

struct tina_system {
    tina_system_spec *spec; /* our copy */
    tina__shared shared;
    tina__shard_public *publics;
    tina__plan *plans;
    void **bases;
    tina__shard_thread *threads;
    size_t shard_count;
    uint16_t *cpus; /* by shard; where is_pinned */
    bool is_pinned;
    uint64_t spin_ns;
    bool has_trap;       /* faults are contained */
    tina__code *foreign; /* the code of other libraries */
    size_t foreign_count;
    struct tina__watchdog *watchdog; /* NULL: none */
    struct tina__crank *crank;       /* NULL: every shard has a thread of its own */
    struct tina__stats_page *page;   /* NULL: none */

    _Atomic uint32_t posting; /* threads that are in tina_post */

    int news;              /* an event: a phase was reached, or a stop was asked for */
    int gate_event;        /* an event: the gate has changed. Signalled once for each waiting shard */
    _Atomic uint32_t gate; /* tina__gate */

    tina__os_thread helper;
    bool is_helper_started;
    tina__doorbell helper_bell;
    _Atomic bool is_helper_ending;
    _Atomic bool is_aborting; /* a shard is quarantined, and the spec says that the program ends then */
    void (*log_sink)(void *log_user, int shard, tina_level level, const char *line, size_t length); /* NULL: none */
};

/* The spec is whole and has passed tina__spec_check; it is copied. report: write the boot report to the log. */
tina_status tina__system_start(const tina_system_spec *spec, bool report, tina_system **system, tina_error *error);
tina_status tina__system_join(tina_system *system, tina_end_report *report);

/* Any thread, async-signal-safe. */
void tina__system_stop(tina_system *system, tina__stop how);

/* Wakes every shard, to look at what all of them share. Any thread, async-signal-safe. */
void tina__system_ring(tina_system *system);

/* Brings quarantined shards back. Any thread, async-signal-safe. */
void tina__system_revive(tina_system *system);

/* ---- Its threads (shard_thread.c, helper.c) ---- */

void tina__shard_thread_body(void *thread);

/* What a shard's thread and the crank do alike, each on the thread that it is about. An error's words are in thread->error. */
void tina__thread_reach(tina__shard_thread *thread, tina__boot_phase phase);
tina_status tina__thread_build(tina__shard_thread *thread); /* faults its memory in, makes the shard. Any thread, before */
tina_status tina__thread_open_backend(tina__shard_thread *thread); /* not attached yet */
tina_status tina__thread_enter_trap(tina__shard_thread *thread, tina_status (*enter)(tina__guard *guard, int *os_error));
bool tina__thread_is_booting(const tina__shard *shard);
/* The tree is up, or will not be: the state and the phase say so. */
void tina__thread_report_tree(tina__shard_thread *thread);
/*
 * After a turn: a shard that is to be wiped begins anew, unless its boot has failed, which
 * ends the whole system. False: it is lost.
 */
bool tina__thread_mend(tina__shard_thread *thread);
void tina__thread_lose(tina__shard_thread *thread);          /* it does nothing any more */
void tina__thread_close_backend(void *thread);               /* a body for the trap */
void tina__thread_on_broken(void *thread, const char *what); /* for tina__broken_set */

void tina__helper_body(void *system);

/* A line of the system's own, from a thread that is no shard. */
void tina__system_log(tina_system *system, tina_level level, const char *format, ...) TINA_PRINTF(3, 4);

/* ---- Signals (signals.c): the systems that SIGTERM and SIGINT stop, and SIGUSR2 revives ---- */

bool tina__signals_add(tina_system *system);
void tina__signals_remove(tina_system *system);

#endif
