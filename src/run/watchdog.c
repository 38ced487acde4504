#include "run/watchdog.h"

#include "os/trap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_NS       500000000u
#define STALLS            2 /* intervals; also where the spec wants reports only */
#define BLOCKED_INTERVALS 4
#define LOOKS             4          /* in an interval */
#define PATIENCE_NS       100000000u /* for a backtrace: a thread that uses CPU time answers at once */
#define NAP_NS            500000u

typedef struct tina__watchdog {
    tina__watch_rule rule;
    uint64_t next_ns; /* when the next look is due */
    _Atomic uint32_t is_dozing;
    _Atomic uint32_t is_looking; /* at a shard's thread */
    tina__watch shards[];
} tina__watchdog;

/* ---- Deciding ----------------------------------------------------------------------------- */

tina__watch_rule tina__watch_rule_of(const tina_system_spec *spec)
{
    uint64_t interval_ns = spec->watchdog_interval_ns == 0 ? INTERVAL_NS : spec->watchdog_interval_ns;
    bool reports_only = spec->watchdog_stalls == TINA_NONE;
    uint64_t stalls = spec->watchdog_stalls == 0 || reports_only ? STALLS : spec->watchdog_stalls;
    return (tina__watch_rule){
        .period_ns = interval_ns / LOOKS,
        .limit_ns = interval_ns * stalls,
        .blocked_ns = interval_ns * BLOCKED_INTERVALS,
        .kills = !reports_only && spec->signals != TINA_SIGNALS_NONE,
    };
}

/* The turn is over its limit by CPU time. */
static tina__watch_verdict judge_runaway(const tina__watch_rule *rule, tina__watch *watch, const tina__watch_look *look)
{
    bool is_first = !watch->is_reported;
    watch->is_reported = true;
    if (!rule->kills)
        return is_first ? TINA__WATCH_REPORT : TINA__WATCH_FINE;
    /* The kill of an init gives the handler that made the child some time of its own: it may be about to return. */
    if (!is_first && look->cpu_ns - watch->kill_cpu_ns < rule->period_ns)
        return TINA__WATCH_FINE;
    watch->kill_cpu_ns = look->cpu_ns;
    return is_first ? TINA__WATCH_REPORT_AND_KILL : TINA__WATCH_KILL;
}

tina__watch_verdict tina__watch_judge(const tina__watch_rule *rule, tina__watch *watch, const tina__watch_look *look)
{
    if (look->turn != watch->turn)
        *watch = (tina__watch){.turn = look->turn, .cpu_ns = look->cpu_ns, .now_ns = look->now_ns};
    if (look->turn % 2 == 0)
        return TINA__WATCH_FINE;
    if (look->cpu_ns - watch->cpu_ns >= rule->limit_ns)
        return judge_runaway(rule, watch, look);
    if (watch->is_blocked_reported || !look->is_blocked || look->now_ns - watch->now_ns <= rule->blocked_ns)
        return TINA__WATCH_FINE;
    watch->is_blocked_reported = true;
    return TINA__WATCH_REPORT_BLOCKED;
}

/* ---- Looking ---------------------------------------------------------------------------------- */

typedef struct sight {
    tina__watch_look look;
    tina_handle runner;
    char where[64]; /* is_blocked: in what */
} sight;

static uint32_t turn_of(const tina__guard *guard)
{
    /* acquire: what is asked of the thread behind this load is not asked before it. The shard has no part in it. */
    return atomic_load_explicit(&guard->turn, memory_order_acquire);
}

/*
 * The turn is read again at the end: only where it is the same was the handler
 * running all the while, so that the CPU time up to here and the name are its own.
 */
static sight look_at(const tina_system *system, size_t shard, uint32_t known_turn)
{
    const tina__guard *guard = &system->publics[shard].guard;
    const tina__shard_thread *thread = &system->threads[shard];
    sight seen = {.look.turn = turn_of(guard), .look.now_ns = tina__os_now_ns()};
    if (seen.look.turn % 2 == 0)
        return seen;
    if (seen.look.turn == known_turn) {
        /* relaxed, with frame_enter: whoever it is, the turn tells below whether it still runs. */
        seen.runner.bits = __atomic_load_n(&thread->shard->frames[0].self.bits, __ATOMIC_RELAXED);
        seen.look.is_blocked = tina__os_thread_is_blocked(&thread->thread, seen.where, sizeof seen.where);
    }
    bool is_there = tina__os_thread_cpu_ns(&thread->thread, &seen.look.cpu_ns);
    if (!is_there || turn_of(guard) != seen.look.turn)
        seen.look.turn = 0;
    return seen;
}

/* ---- Telling ------------------------------------------------------------------------------------ */

static void say(const tina_system *system, size_t shard, tina_level level, const char *format, ...) TINA_PRINTF(4, 5);

static void say(const tina_system *system, size_t shard, tina_level level, const char *format, ...)
{
    char line[TINA_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    system->log_sink(system->spec->log_user, (int)shard, level, line,
                     (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

static const char *type_name(const tina_system *system, tina_handle runner)
{
    uint8_t type = tina_handle_type(runner);
    return type < system->spec->type_count ? system->spec->types[type].name : "?";
}

/* Asks the thread where its code stands. Returns how many frames the guard holds; 0: no answer, or the turn is over. */
static uint32_t take_backtrace(const tina_system *system, size_t shard, uint32_t turn)
{
    tina__guard *guard = &system->publics[shard].guard;
    /* release, with the look in the thread: we have read the frames of the one before. */
    atomic_store_explicit(&guard->look_turn, turn, memory_order_release);
    uint64_t deadline_ns = tina__os_now_ns() + PATIENCE_NS;
    (void)tina__trap_poke(system->threads[shard].thread.bits[0]);
    while (atomic_load_explicit(&guard->look_turn, memory_order_relaxed) == turn && turn_of(guard) == turn &&
           tina__os_now_ns() < deadline_ns)
        tina__os_sleep(NAP_NS);
    /* acquire, with the look in the thread: 0 is its answer, and the frames are written. */
    if (atomic_exchange_explicit(&guard->look_turn, 0, memory_order_acquire) != 0)
        return 0;
    return tina__min_u32(atomic_load_explicit(&guard->look_count, memory_order_relaxed), TINA__LOOK_FRAMES);
}

static void report_backtrace(const tina_system *system, size_t shard, uint32_t turn)
{
    const tina__guard *guard = &system->publics[shard].guard;
    uint32_t count = take_backtrace(system, shard, turn);
    char where[256];
    for (uint32_t i = 0; i < count; i++) {
        (void)tina__trap_describe((uintptr_t)guard->look_frames[i], where, sizeof where);
        say(system, shard, TINA_LOG_ERROR, "  at %s", where);
    }
    if (count == 0)
        say(system, shard, TINA_LOG_ERROR, "  where, it did not say in time");
}

static void report_runaway(const tina_system *system, size_t shard, const tina__watch *watch, const sight *seen, bool kills)
{
    if (system->log_sink == NULL)
        return;
    say(system, shard, TINA_LOG_ERROR, "%s/%u: %llu ms of CPU time in one handler call: the watchdog %s",
        type_name(system, seen->runner), tina__handle_slot(seen->runner),
        (unsigned long long)((seen->look.cpu_ns - watch->cpu_ns) / 1000000), kills ? "kills it" : "only reports it");
    if (system->spec->signals != TINA_SIGNALS_NONE)
        report_backtrace(system, shard, seen->look.turn);
}

static void report_blocked(const tina_system *system, size_t shard, const tina__watch *watch, const sight *seen)
{
    if (system->log_sink == NULL)
        return;
    say(system, shard, TINA_LOG_WARN, "%s/%u: in one handler call for %llu ms, and blocked in %s",
        type_name(system, seen->runner), tina__handle_slot(seen->runner),
        (unsigned long long)((seen->look.now_ns - watch->now_ns) / 1000000), seen->where);
}

/* ---- Acting --------------------------------------------------------------------------------------- */

static void kill_turn(const tina_system *system, size_t shard, uint32_t turn)
{
    /* relaxed: the signal is on its way after it, and the word is all that it needs. */
    atomic_store_explicit(&system->publics[shard].guard.kill_turn, turn, memory_order_relaxed);
    (void)tina__trap_poke(system->threads[shard].thread.bits[0]);
}

static void look_after(tina_system *system, size_t shard)
{
    /* seq_cst, with tina__watchdog_let_go: either it sees us looking and waits, or we see that there is nothing to look at. */
    if (atomic_load_explicit(&system->threads[shard].phase, memory_order_seq_cst) == TINA__BOOT_ENDED)
        return;
    tina__watch *watch = &system->watchdog->shards[shard];
    const tina__watch_rule *rule = &system->watchdog->rule;
    sight seen = look_at(system, shard, watch->turn);
    switch (tina__watch_judge(rule, watch, &seen.look)) {
    case TINA__WATCH_FINE: break;
    case TINA__WATCH_REPORT: report_runaway(system, shard, watch, &seen, false); break;
    case TINA__WATCH_REPORT_AND_KILL:
        report_runaway(system, shard, watch, &seen, true);
        kill_turn(system, shard, seen.look.turn);
        break;
    case TINA__WATCH_KILL: kill_turn(system, shard, seen.look.turn); break;
    case TINA__WATCH_REPORT_BLOCKED: report_blocked(system, shard, watch, &seen); break;
    }
}

/* ---- Dozing ------------------------------------------------------------------------------------------
 *
 *   helper                                    shard's thread
 *   1. is_dozing := 1      (seq_cst)          1. is_sleeping := 0   (seq_cst)
 *   2. reads is_sleeping   (seq_cst)          2. reads is_dozing    (seq_cst)
 *   3. all 1: sleeps in the kernel            3. was 1: sets it to 0 and signals the helper's event
 *
 * Why no shard is awake unseen: each does a store and then a load of the other's
 * word, all sequentially consistent. In their single order either the helper's
 * announcement comes before the shard's read, and the shard, or another that was
 * faster, wakes it; or the shard's store comes before the helper's look, and the
 * helper sees it awake (or asleep again: then its next waking up is in question,
 * and no other). The event keeps its count: a signal that comes before the
 * helper's sleep ends it at once.
 */

/* Its handlers can run. */
static bool is_awake(const tina_system *system, size_t shard)
{
    /* relaxed: an end that is seen late costs a look. */
    uint32_t phase = atomic_load_explicit(&system->threads[shard].phase, memory_order_relaxed);
    return phase != TINA__BOOT_ENDED &&
           atomic_load_explicit(&system->publics[shard].bell.is_sleeping, memory_order_seq_cst) == 0; /* see the proof */
}

static bool is_any_awake(const tina_system *system)
{
    for (size_t i = 0; i < system->shard_count; i++) {
        if (is_awake(system, i))
            return true;
    }
    return false;
}

/* True: nobody is awake, and the first that will be wakes the helper. */
static bool may_doze(tina_system *system)
{
    if (is_any_awake(system)) /* the usual case leaves the shards' copy of the word alone */
        return false;
    atomic_store_explicit(&system->watchdog->is_dozing, 1, memory_order_seq_cst); /* see the proof */
    if (!is_any_awake(system))
        return true;
    atomic_store_explicit(&system->watchdog->is_dozing, 0,
                          memory_order_relaxed); /* a signal that was sent meanwhile costs one turn */
    return false;
}

void tina__watchdog_awake(tina_system *system, size_t shard)
{
    tina__watchdog *watchdog = system->watchdog;
    if (watchdog == NULL)
        return;
    /* It is 0 already: stored once more, in the order that the proof needs. */
    atomic_store_explicit(&system->publics[shard].bell.is_sleeping, 0, memory_order_seq_cst);
    if (atomic_load_explicit(&watchdog->is_dozing, memory_order_seq_cst) == 0)
        return;
    /* relaxed: whoever takes it down signals, and that is one. */
    if (atomic_exchange_explicit(&watchdog->is_dozing, 0, memory_order_relaxed) == 1)
        tina__os_event_signal(system->helper_bell.wake_fd);
}

void tina__watchdog_let_go(tina_system *system)
{
    const tina__watchdog *watchdog = system->watchdog;
    atomic_thread_fence(memory_order_seq_cst); /* between the phase and the look: see look_after */
    while (watchdog != NULL && atomic_load_explicit(&watchdog->is_looking, memory_order_seq_cst) != 0)
        tina__os_sleep(NAP_NS);
}

uint64_t tina__watchdog_turn(tina_system *system)
{
    tina__watchdog *watchdog = system->watchdog;
    if (watchdog == NULL)
        return TINA_NONE_NS;
    /* acquire, with open_gate: every shard is made, and every thread has its name. */
    if (atomic_load_explicit(&system->gate, memory_order_acquire) != TINA__GATE_OPEN)
        return system->crank != NULL ? TINA_NONE_NS : watchdog->rule.period_ns; /* who opens a crank's gate wakes us */
    uint64_t now_ns = tina__os_now_ns();
    if (now_ns < watchdog->next_ns)
        return watchdog->next_ns - now_ns;
    atomic_store_explicit(&watchdog->is_looking, 1, memory_order_seq_cst); /* with tina__watchdog_let_go */
    for (size_t i = 0; i < system->shard_count; i++)
        look_after(system, i);
    atomic_store_explicit(&watchdog->is_looking, 0, memory_order_release); /* with the same */
    watchdog->next_ns = tina__os_now_ns() + watchdog->rule.period_ns;
    return may_doze(system) ? TINA_NONE_NS : watchdog->rule.period_ns;
}

/* ---- Its life ------------------------------------------------------------------------------------------ */

tina_status tina__watchdog_open(tina_system *system)
{
    if (system->spec->watchdog_interval_ns == TINA_NONE_NS)
        return TINA_OK;
    size_t shards_size = system->shard_count * sizeof(tina__watch);
    tina__watchdog *watchdog = calloc(1, sizeof *watchdog + shards_size);
    if (watchdog == NULL)
        return TINA_POOL_EXHAUSTED;
    watchdog->rule = tina__watch_rule_of(system->spec);
    system->watchdog = watchdog;
    return TINA_OK;
}

void tina__watchdog_close(tina_system *system)
{
    free(system->watchdog);
    system->watchdog = NULL;
}
