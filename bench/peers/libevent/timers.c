/*
 * timers [count=1000000] [seconds=1]: starts that many timers, deletes them all;
 * then starts as many short ones and waits until all have fired.
 */
#include "workloads.h"

#include <event2/event.h>
#include <event2/event_struct.h>

enum { COUNT_MAX = 100 * 1000 * 1000 };

typedef struct bench {
    struct event_base *base;
    struct event *timers;
    uint64_t count;
    uint64_t fired;
    uint64_t fired_sum;
} bench;

/* What has been done in all rounds but the first. */
typedef struct totals {
    uint64_t start_delete_ns;
    uint64_t fire_cpu_ns;
    uint64_t timers;
} totals;

static bench all;

static uint32_t spread(uint64_t index) { return (uint32_t)(index * 2654435761u); }

static uint32_t long_delay_ms(uint64_t index) { return 1000 + spread(index) % 1000000; }

static uint32_t short_delay_ms(uint64_t index) { return 1 + spread(index) % 100; }

/* Each timer counts once: its place in the array is its number. */
static void on_fired(evutil_socket_t none, short what, void *timer)
{
    (void)none, (void)what;
    all.fired++;
    all.fired_sum += (uint64_t)((struct event *)timer - all.timers);
}

static void start_all(uint32_t (*delay_ms)(uint64_t index))
{
    for (uint64_t i = 0; i < all.count; i++) {
        uint32_t ms = delay_ms(i);
        struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
        if (evtimer_add(&all.timers[i], &delay) != 0)
            fail("timer %llu could not be started", (unsigned long long)i);
    }
}

static uint64_t start_and_delete(void)
{
    uint64_t begun_ns = now_ns();
    start_all(long_delay_ms);
    for (uint64_t i = 0; i < all.count; i++)
        evtimer_del(&all.timers[i]);
    uint64_t ended_ns = now_ns();
    if (event_base_get_num_events(all.base, EVENT_BASE_COUNT_ADDED) != 0)
        fail("timers are left after all were deleted");
    return ended_ns - begun_ns;
}

static uint64_t start_and_fire(void)
{
    all.fired = 0;
    all.fired_sum = 0;
    uint64_t begun_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    start_all(short_delay_ms);
    event_base_dispatch(all.base);
    uint64_t ended_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (all.fired != all.count || all.fired_sum != all.count * (all.count - 1) / 2)
        fail("%llu of %llu timers fired", (unsigned long long)all.fired, (unsigned long long)all.count);
    return ended_ns - begun_ns;
}

static void prepare(const struct parameters *given)
{
    all.count = count_parameter(given, "count", 1, COUNT_MAX, 1000000);
    all.timers = calloc(all.count, sizeof *all.timers);
    if (all.timers == NULL)
        fail("no memory for %llu timers", (unsigned long long)all.count);
    all.base = event_base_new();
    if (all.base == NULL)
        fail("no event base");
    for (uint64_t i = 0; i < all.count; i++)
        evtimer_assign(&all.timers[i], all.base, on_fired, &all.timers[i]);
}

int run_timers(const struct parameters *given)
{
    prepare(given);
    start_and_delete();
    start_and_fire();
    totals sum = {0};
    uint64_t end_ns = now_ns() + (uint64_t)(real_parameter(given, "seconds", 1) * 1e9);
    do {
        sum.start_delete_ns += start_and_delete();
        sum.fire_cpu_ns += start_and_fire();
        sum.timers += all.count;
    } while (now_ns() < end_ns);
    event_base_free(all.base);
    free(all.timers);
    figure("start_cancel_rate", (double)sum.timers * 1e9 / (double)sum.start_delete_ns);
    figure("fire_cpu_ns", (double)sum.fire_cpu_ns / (double)sum.timers);
    return 0;
}
