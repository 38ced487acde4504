/* SIGTERM and SIGINT stop every system that asked for it, SIGUSR2 revives its shards. */
#include "run/system.h"

#include <sched.h>

#define SYSTEMS_MAX 64

/* A system stands here while the signals may stop it. Written by the threads that start and join, read by the handler. */
static _Atomic(tina_system *) systems[SYSTEMS_MAX];
static _Atomic uint32_t handlers_running;

static void tell_all(void (*tell)(tina_system *system))
{
    /* seq_cst, with tina__signals_remove: either it sees us running, or we see its system gone. */
    atomic_fetch_add_explicit(&handlers_running, 1, memory_order_seq_cst);
    for (size_t i = 0; i < SYSTEMS_MAX; i++) {
        tina_system *system = atomic_load_explicit(&systems[i], memory_order_seq_cst);
        if (system != NULL)
            tell(system);
    }
    atomic_fetch_sub_explicit(&handlers_running, 1, memory_order_release);
}

/* The first signal begins the shutdown, the next one does not wait for isolates. */
static void stop(tina_system *system)
{
    bool is_stopping = atomic_load_explicit(&system->shared.stop, memory_order_relaxed) != TINA__STOP_NOT;
    tina__system_stop(system, is_stopping ? TINA__STOP_NOW : TINA__STOP_GRACEFUL);
}

static void stop_all(void) { tell_all(stop); }
static void revive_all(void) { tell_all(tina__system_revive); }

bool tina__signals_add(tina_system *system)
{
    for (size_t i = 0; i < SYSTEMS_MAX; i++) {
        tina_system *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&systems[i], &none, system, memory_order_seq_cst,
                                                    memory_order_relaxed)) {
            tina__os_signals_take(stop_all, revive_all);
            return true;
        }
    }
    return false;
}

void tina__signals_remove(tina_system *system)
{
    for (size_t i = 0; i < SYSTEMS_MAX; i++) {
        tina_system *expected = system;
        if (!atomic_compare_exchange_strong_explicit(&systems[i], &expected, NULL, memory_order_seq_cst,
                                                     memory_order_relaxed))
            continue;
        tina__os_signals_release();
        /* A handler on another thread may still hold the pointer; it only rings bells. */
        while (atomic_load_explicit(&handlers_running, memory_order_seq_cst) != 0)
            sched_yield();
        return;
    }
}
