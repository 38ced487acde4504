/*
 * timers [count=1000000] [seconds=1]: starts that many timers, stops them all;
 * then starts as many short ones and waits until all have fired.
 */
#include "workloads.h"

#include <uv.h>

enum { COUNT_MAX = 100 * 1000 * 1000 };

typedef struct bench {
    uv_loop_t loop;
    uv_timer_t *timers;
    uint64_t count;
    uint64_t fired;
    uint64_t fired_sum;
} bench;

/* What has been done in all rounds but the first. */
typedef struct totals {
    uint64_t start_stop_ns;
    uint64_t fire_cpu_ns;
    uint64_t timers;
} totals;

static uint32_t spread(uint64_t index) { return (uint32_t)(index * 2654435761u); }

static uint64_t long_delay_ms(uint64_t index) { return 1000 + spread(index) % 1000000; }

static uint64_t short_delay_ms(uint64_t index) { return 1 + spread(index) % 100; }

/* Each timer counts once: its place in the array is its number. */
static void on_fired(uv_timer_t *timer)
{
    bench *all = timer->data;
    all->fired++;
    all->fired_sum += (uint64_t)(timer - all->timers);
}

static void start_all(bench *all, uint64_t (*delay_ms)(uint64_t index))
{
    uv_update_time(&all->loop);
    for (uint64_t i = 0; i < all->count; i++) {
        if (uv_timer_start(&all->timers[i], on_fired, delay_ms(i), 0) != 0)
            fail("timer %llu could not be started", (unsigned long long)i);
    }
}

static uint64_t start_and_stop(bench *all)
{
    uint64_t begun_ns = now_ns();
    start_all(all, long_delay_ms);
    for (uint64_t i = 0; i < all->count; i++)
        uv_timer_stop(&all->timers[i]);
    uint64_t ended_ns = now_ns();
    if (uv_loop_alive(&all->loop))
        fail("timers are left after all were stopped");
    return ended_ns - begun_ns;
}

static uint64_t start_and_fire(bench *all)
{
    all->fired = 0;
    all->fired_sum = 0;
    uint64_t begun_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    start_all(all, short_delay_ms);
    uv_run(&all->loop, UV_RUN_DEFAULT);
    uint64_t ended_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (all->fired != all->count || all->fired_sum != all->count * (all->count - 1) / 2)
        fail("%llu of %llu timers fired", (unsigned long long)all->fired, (unsigned long long)all->count);
    return ended_ns - begun_ns;
}

static void prepare(const struct parameters *given, bench *all)
{
    all->count = count_parameter(given, "count", 1, COUNT_MAX, 1000000);
    all->timers = calloc(all->count, sizeof *all->timers);
    if (all->timers == NULL)
        fail("no memory for %llu timers", (unsigned long long)all->count);
    uv_loop_init(&all->loop);
    for (uint64_t i = 0; i < all->count; i++) {
        uv_timer_init(&all->loop, &all->timers[i]);
        all->timers[i].data = all;
    }
}

static void release(bench *all)
{
    for (uint64_t i = 0; i < all->count; i++)
        uv_close((uv_handle_t *)&all->timers[i], NULL);
    uv_run(&all->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&all->loop) != 0)
        fail("the loop still has handles");
    free(all->timers);
}

int run_timers(const struct parameters *given)
{
    bench all = {0};
    prepare(given, &all);
    start_and_stop(&all);
    start_and_fire(&all);
    totals sum = {0};
    uint64_t end_ns = now_ns() + (uint64_t)(real_parameter(given, "seconds", 1) * 1e9);
    do {
        sum.start_stop_ns += start_and_stop(&all);
        sum.fire_cpu_ns += start_and_fire(&all);
        sum.timers += all.count;
    } while (now_ns() < end_ns);
    release(&all);
    figure("start_cancel_rate", (double)sum.timers * 1e9 / (double)sum.start_stop_ns);
    figure("fire_cpu_ns", (double)sum.fire_cpu_ns / (double)sum.timers);
    return 0;
}
