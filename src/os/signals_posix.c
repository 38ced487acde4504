#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/assert.h"
#include "os/os.h"
#include "os/signals.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over the groups' counts and what is installed */
static _Atomic(tina__signal *) by_number[NSIG];          /* of a signal that is taken, or was once */

/* ---- In the handler ---- */

/*
 * What this thread is handling. Two libraries may find each other in a ring of
 * chains: then the same signal comes back from the call that passes it on, with
 * the same context and deeper in the stack. Whoever leaves a handler by a jump
 * leaves these words behind; a new signal with the same context is as deep as the
 * one before, so it is not taken for one that came round.
 */
typedef struct handling {
    const void *context;
    uintptr_t frame;
    bool came_round;
} handling;

static _Thread_local __attribute__((tls_model("initial-exec"))) handling latest;

static void on_signal(int number, siginfo_t *info, void *context)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    if (latest.context == context && frame < latest.frame) {
        latest.came_round = true;
        return;
    }
    int error = errno;
    handling outer = latest;
    latest = (handling){.context = context, .frame = frame};
    tina__signal *signal = atomic_load_explicit(&by_number[number], memory_order_relaxed);
    signal->handle(signal, info, context);
    latest = outer;
    errno = error;
}

/* Also where the flags say that it would take three arguments. */
static bool is_function(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

static void unblock(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool tina__signal_pass(tina__signal *signal, siginfo_t *info, void *context)
{
    const struct sigaction *before = &signal->before;
    if (!is_function(before))
        return false;
    bool is_once = ((unsigned)before->sa_flags & SA_RESETHAND) != 0;
    if (is_once && atomic_exchange_explicit(&signal->is_before_called, true, memory_order_relaxed))
        return false;
    if ((before->sa_flags & SA_NODEFER) != 0)
        unblock(signal->number);
    if ((before->sa_flags & SA_SIGINFO) != 0)
        before->sa_sigaction(signal->number, info, context);
    else
        before->sa_handler(signal->number);
    return !latest.came_round;
}

void tina__signal_default(tina__signal *signal, bool is_sent)
{
    if (is_sent && signal->before.sa_handler == SIG_IGN)
        return;
    struct sigaction fallback = {.sa_handler = SIG_DFL};
    sigaction(signal->number, &fallback, NULL);
    if (is_sent)
        pthread_kill(pthread_self(), signal->number); /* it waits until the handler returns */
}

/* ---- Installing ---- */

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == on_signal;
}

static int install(tina__signal *signal)
{
    struct sigaction now;
    if (sigaction(signal->number, NULL, &now) != 0)
        return errno;
    if (is_ours(&now)) /* whoever had changed it since has put us back */
        return 0;
    signal->before = now;
    atomic_store_explicit(&signal->is_before_called, false, memory_order_relaxed);
    atomic_store_explicit(&by_number[signal->number], signal, memory_order_relaxed);
    struct sigaction ours = {.sa_sigaction = on_signal, .sa_mask = now.sa_mask};
    sigaddset(&ours.sa_mask, SIGURG); /* the watchdog does not cut in on a handler */
    /* Calls of the program that did not expect this signal are not interrupted by it. */
    int restart = is_function(&now) ? now.sa_flags & SA_RESTART : SA_RESTART;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | restart;
    return sigaction(signal->number, &ours, NULL) == 0 ? 0 : errno;
}

static void put_back(tina__signal *signal)
{
    struct sigaction now;
    if (sigaction(signal->number, NULL, &now) != 0 || !is_ours(&now))
        return;
    struct sigaction before = signal->before;
    if (atomic_load_explicit(&signal->is_before_called, memory_order_relaxed))
        before = (struct sigaction){.sa_handler = SIG_DFL};
    sigaction(signal->number, &before, NULL);
}

static int install_all(tina__signal_group *group)
{
    for (size_t i = 0; i < group->signal_count; i++) {
        int error = install(&group->signals[i]);
        if (error == 0)
            continue;
        while (i > 0)
            put_back(&group->signals[--i]);
        return error;
    }
    return 0;
}

int tina__signal_group_take(tina__signal_group *group)
{
    pthread_mutex_lock(&lock);
    unsigned count = atomic_load_explicit(&group->taker_count, memory_order_relaxed);
    /* Before the first of its signals can come. */
    atomic_store_explicit(&group->taker_count, count + 1, memory_order_relaxed);
    int error = count == 0 ? install_all(group) : 0;
    if (error != 0)
        atomic_store_explicit(&group->taker_count, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return error;
}

void tina__signal_group_release(tina__signal_group *group)
{
    pthread_mutex_lock(&lock);
    unsigned count = atomic_load_explicit(&group->taker_count, memory_order_relaxed);
    for (size_t i = 0; count == 1 && i < group->signal_count; i++)
        put_back(&group->signals[i]);
    atomic_store_explicit(&group->taker_count, count - (count > 0), memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    tina__assert(count > 0);
}

/* ---- What is asked of the whole process ---- */

static void on_stop_signal(tina__signal *signal, siginfo_t *info, void *context);
static void on_revive_signal(tina__signal *signal, siginfo_t *info, void *context);

static tina__signal asked[] = {
    {.number = SIGTERM, .handle = on_stop_signal},
    {.number = SIGINT, .handle = on_stop_signal},
    {.number = SIGUSR2, .handle = on_revive_signal},
};
static tina__signal_group asked_group = {.signals = asked, .signal_count = sizeof asked / sizeof asked[0]};
static _Atomic(void (*)(void)) stop_handler, revive_handler;

static void answer(_Atomic(void (*)(void)) *handler)
{
    /* Who chains to us may bring a signal long after the release. */
    if (atomic_load_explicit(&asked_group.taker_count, memory_order_relaxed) == 0)
        return;
    /* acquire, with the take: what the handler reads was written before. */
    void (*function)(void) = atomic_load_explicit(handler, memory_order_acquire);
    function();
}

static void on_stop_signal(tina__signal *signal, siginfo_t *info, void *context)
{
    answer(&stop_handler);
    tina__signal_pass(signal, info, context);
}

static void on_revive_signal(tina__signal *signal, siginfo_t *info, void *context)
{
    answer(&revive_handler);
    tina__signal_pass(signal, info, context);
}

void tina__os_signals_take(void (*on_stop)(void), void (*on_revive)(void))
{
    /* release, with answer. */
    void (*stop_before)(void) = atomic_exchange_explicit(&stop_handler, on_stop, memory_order_release);
    void (*revive_before)(void) = atomic_exchange_explicit(&revive_handler, on_revive, memory_order_release);
    int error = tina__signal_group_take(&asked_group);
    tina__assert(stop_before == NULL || stop_before == on_stop);
    tina__assert(revive_before == NULL || revive_before == on_revive);
    tina__assert(error == 0); /* there are these signals everywhere */
}

void tina__os_signals_release(void) { tina__signal_group_release(&asked_group); }
