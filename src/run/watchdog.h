/*
 * The watchdog: sees to it that no handler keeps its shard for ever.
 *
 * The helper thread looks at what each shard's thread runs, four times in an
 * interval. What counts is the CPU time that the thread has used since one of
 * these looks first saw the handler call (the turn of the shard's guard): a
 * machine that is busy with something else takes wall-clock time from a handler,
 * but not this. At the limit the handler is reported, and killed; a handler that
 * waits in the kernel for long uses no CPU time, and is only reported.
 *
 * All times are counted from the look that first saw the turn, so a handler gets
 * at least its limit and at most half an interval more. A log sink that blocks
 * delays the looks, since the same thread runs it.
 *
 * Where every shard sleeps there is nothing to look at: the helper dozes, and the
 * first shard that comes back from its sleep wakes it.
 *
 * Invariant: a kill names the turn that the looks saw, so that it ends a body of
 * that turn or nothing.
 */
#ifndef TINA__RUN_WATCHDOG_H
#define TINA__RUN_WATCHDOG_H

#include "run/system.h"

/* ---- For the system ---- */

/* What system->watchdog is from now on: NULL where the spec wants none. Before the threads start. TINA_POOL_EXHAUSTED. */
tina_status tina__watchdog_open(tina_system *system);
/* When the helper has ended. The shards' threads were not joined before that: until then the helper may ask for them. */
void tina__watchdog_close(tina_system *system);

/* A shard's thread, each time it comes back from its sleep in the kernel, with its doorbell awake. */
void tina__watchdog_awake(tina_system *system, size_t shard);

/* Shards that have ended are looked at no more from here on: for one whose thread is not ours, and may be gone then. */
void tina__watchdog_let_go(tina_system *system);

/* The helper, each time round: looks, where it is time. Returns how long until the next look; TINA_NONE_NS: until somebody wakes it. */
uint64_t tina__watchdog_turn(tina_system *system);

/* ---- What it decides: pure ---- */

typedef struct tina__watch_rule {
    uint64_t period_ns;  /* from look to look */
    uint64_t limit_ns;   /* CPU time of one turn */
    uint64_t blocked_ns; /* wall-clock time of one turn */
    bool kills;
} tina__watch_rule;

/* What one look found. */
typedef struct tina__watch_look {
    uint32_t turn;   /* of the guard; even: no handler runs */
    bool is_blocked; /* the thread waits in the kernel */
    uint64_t cpu_ns; /* that the thread has used */
    uint64_t now_ns;
} tina__watch_look;

/* What is remembered of a shard from look to look. Zeroed at first. */
typedef struct tina__watch {
    uint32_t turn;
    bool is_reported, is_blocked_reported;
    uint64_t cpu_ns, now_ns; /* when the turn was first seen */
    uint64_t kill_cpu_ns;    /* when its end was last asked for */
} tina__watch;

typedef enum tina__watch_verdict {
    TINA__WATCH_FINE,
    TINA__WATCH_REPORT,
    TINA__WATCH_REPORT_AND_KILL,
    TINA__WATCH_KILL, /* again: it was asked for before, and the turn goes on */
    TINA__WATCH_REPORT_BLOCKED,
} tina__watch_verdict;

tina__watch_rule tina__watch_rule_of(const tina_system_spec *spec);
tina__watch_verdict tina__watch_judge(const tina__watch_rule *rule, tina__watch *watch, const tina__watch_look *look);

#endif
