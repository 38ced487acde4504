/*
 * round_trip mode=sleep|spin [seconds=1]: a number goes from one loop to another,
 * each on a thread and a core of its own, and back. It lies in a shared word, and
 * uv_async_send tells the other loop. sleep: both loops wait in the kernel. spin:
 * both are run without waiting, over and over.
 */
#include "workloads.h"

#include <stdatomic.h>
#include <uv.h>

/* In place of a number: the end. */
enum { ROUND_STOP = 0 };

typedef struct side {
    uv_loop_t loop;
    uv_async_t arrived;
    _Atomic uint64_t round; /* written by the other side before it says so */
    struct side *other;
    int core;
    uv_run_mode mode;
    bool is_over;
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
    if (uv_async_send(&from->other->arrived) != 0)
        fail("uv_async_send failed");
}

static uint64_t receive_round(side *to) { return atomic_load_explicit(&to->round, memory_order_acquire); }

static void finish(side *over)
{
    over->is_over = true;
    uv_close((uv_handle_t *)&over->arrived, NULL);
}

/* The side that answers. */
static void on_question(uv_async_t *arrived)
{
    side *here = arrived->data;
    uint64_t round = receive_round(here);
    if (round == ROUND_STOP)
        finish(here);
    else
        send_round(here, round);
}

static void ask(caller *here)
{
    here->sent_ns = now_ns();
    send_round(&here->side, ++here->round);
}

static void on_answer(uv_async_t *arrived)
{
    caller *here = arrived->data;
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
    finish(&here->side);
}

static void run_side(void *argument)
{
    side *here = argument;
    pin_to_allowed_core(here->core);
    if (here->mode == UV_RUN_DEFAULT) {
        uv_run(&here->loop, UV_RUN_DEFAULT);
        return;
    }
    while (uv_run(&here->loop, here->mode) != 0 || !here->is_over)
        continue;
}

static void open_side(side *here, side *other, int core, uv_run_mode mode, uv_async_cb on_arrived, void *data)
{
    here->other = other;
    here->core = core;
    here->mode = mode;
    if (uv_loop_init(&here->loop) != 0 || uv_async_init(&here->loop, &here->arrived, on_arrived) != 0)
        fail("a loop could not be made");
    here->arrived.data = data;
}

int run_round_trip(const struct parameters *given)
{
    const char *mode = parameter(given, "mode", "sleep");
    uv_run_mode run_mode = is_text(mode, "spin") ? UV_RUN_NOWAIT : UV_RUN_DEFAULT;
    static caller here;
    static side there;
    open_side(&here.side, &there, 0, run_mode, on_answer, &here);
    open_side(&there, &here.side, 1, run_mode, on_question, &there);
    uv_thread_t thread;
    if (uv_thread_create(&thread, run_side, &there) != 0)
        fail("no thread");
    here.warm_ns = now_ns() + warm_up_ns;
    here.end_ns = here.warm_ns + (uint64_t)(real_parameter(given, "seconds", 1) * 1e9);
    ask(&here);
    run_side(&here.side);
    uv_thread_join(&thread);
    if (uv_loop_close(&here.side.loop) != 0 || uv_loop_close(&there.loop) != 0)
        fail("a loop still has handles");
    figure("p50_ns", (double)histogram_quantile(&here.histogram, 0.5));
    figure("p99_ns", (double)histogram_quantile(&here.histogram, 0.99));
    figure("mean_ns", histogram_mean(&here.histogram));
    return 0;
}
