/*
 * round_trip mode=sleep [seconds=1]: a number goes from one event base to another,
 * each on a thread and a core of its own, and back. It lies in a shared word, and
 * an event that is made active from the other thread tells.
 *
 * There is no mode=spin: two bases that are run without waiting hold their locks
 * nearly all the time, and the threads starve each other for milliseconds.
 */
#include "workloads.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>

/* In place of a number: the end. */
enum { ROUND_STOP = 0 };

typedef struct side {
    struct event_base *base;
    struct event *arrived;
    _Atomic uint64_t round; /* written by the other side before it says so */
    struct side *other;
    int core;
} side;

typedef struct caller {
    side side;
    struct histogram histogram;
    uint64_t warm_ns;
    uint64_t end_ns;
    uint64_t sent_ns;
    uint64_t round;
} caller;

static void send_round(side *from, uint64_t round)
{
    atomic_store_explicit(&from->other->round, round, memory_order_release);
    evuser_trigger(from->other->arrived);
}

static uint64_t receive_round(side *to) { return atomic_load_explicit(&to->round, memory_order_acquire); }

/* The side that answers. */
static void on_question(evutil_socket_t none, short what, void *argument)
{
    (void)none, (void)what;
    side *here = argument;
    uint64_t round = receive_round(here);
    if (round == ROUND_STOP)
        event_base_loopexit(here->base, NULL);
    else
        send_round(here, round);
}

static void ask(caller *here)
{
    here->sent_ns = now_ns();
    send_round(&here->side, ++here->round);
}

static void on_answer(evutil_socket_t none, short what, void *argument)
{
    (void)none, (void)what;
    caller *here = argument;
    uint64_t ended_ns = now_ns();
    if (receive_round(&here->side) != here->round)
        fail("round %llu got another's answer", (unsigned long long)here->round);
    if (here->sent_ns >= here->warm_ns)
        histogram_add(&here->histogram, ended_ns - here->sent_ns);
    if (ended_ns < here->end_ns || here->histogram.count == 0) {
        ask(here);
        return;
    }
    send_round(&here->side, ROUND_STOP);
    event_base_loopexit(here->side.base, NULL);
}

static void *run_side(void *argument)
{
    side *here = argument;
    pin_to_allowed_core(here->core);
    if (event_base_loop(here->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
        fail("a loop failed");
    return NULL;
}

static void open_side(side *here, side *other, int core, event_callback_fn on_arrived, void *argument)
{
    here->other = other;
    here->core = core;
    here->base = event_base_new();
    if (here->base == NULL)
        fail("no event base");
    here->arrived = evuser_new(here->base, on_arrived, argument);
    if (here->arrived == NULL || event_add(here->arrived, NULL) != 0)
        fail("no event");
}

static void close_side(side *here)
{
    event_free(here->arrived);
    event_base_free(here->base);
}

int run_round_trip(const struct parameters *given)
{
    if (!is_text(parameter(given, "mode", "sleep"), "sleep"))
        not_here("round_trip");
    if (evthread_use_pthreads() != 0)
        fail("libevent has no threads");
    static caller here;
    static side there;
    open_side(&here.side, &there, 0, on_answer, &here);
    open_side(&there, &here.side, 1, on_question, &there);
    here.warm_ns = now_ns() + warm_up_ns;
    here.end_ns = here.warm_ns + (uint64_t)(real_parameter(given, "seconds", 1) * 1e9);
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_side, &there) != 0)
        fail("no thread");
    ask(&here);
    run_side(&here.side);
    pthread_join(thread, NULL);
    close_side(&here.side);
    close_side(&there);
    figure("p50_ns", (double)histogram_quantile(&here.histogram, 0.5));
    figure("p99_ns", (double)histogram_quantile(&here.histogram, 0.99));
    figure("mean_ns", histogram_mean(&here.histogram));
    return 0;
}
