/*
 * The floor of timers: a wheel of lists, without limits or owners.
 *
 *     timers timers [count=1000000] [seconds=1]
 *
 * Five levels of 64 lists, a tick of 1 ms. A timer lies at the level of the
 * highest digit in which its tick differs from the present one; when that digit
 * comes round, its list is spread over the levels below. So starting and
 * cancelling are a few stores each, and most of their cost is the cache.
 *
 * The clock is read each 1,000 starts, and what is due by then fires then, as
 * in the turn of a loop. No timer fires before its time.
 */
#include "common.h"

enum { LEVEL_COUNT = 5, DIGIT_BITS = 6, DIGITS = 1 << DIGIT_BITS, STARTS_PER_TURN = 1000 };

static const uint64_t tick_ns = 1000000;

struct link {
    struct link *next, *previous;
};

struct timer {
    struct link link; /* first */
    uint64_t due_tick;
    uint64_t due_ns;
    void (*handler)(struct timer *timer);
};

static struct link wheel[LEVEL_COUNT][DIGITS];
static uint64_t begun_ns, present_ns, present_tick;
static uint64_t fired, early;

/* ---- Lists ---- */

static void clear(struct link *list) { list->next = list->previous = list; }

static void append(struct link *list, struct link *link)
{
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

static void take_out(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
}

/* Moves all of a list to another, whatever that held. */
static void move(struct link *from, struct link *to)
{
    clear(to);
    if (from->next == from)
        return;
    *to = *from;
    to->next->previous = to;
    to->previous->next = to;
    clear(from);
}

/* ---- The wheel ---- */

static struct link *list_of(uint64_t tick)
{
    uint64_t differs = tick ^ present_tick;
    unsigned level = differs == 0 ? 0 : (unsigned)(63 - __builtin_clzll(differs)) / DIGIT_BITS;
    return &wheel[level][(tick >> (level * DIGIT_BITS)) % DIGITS];
}

static void start(struct timer *timer, uint64_t delay_ns)
{
    timer->due_ns = present_ns + delay_ns;
    timer->due_tick = (timer->due_ns - begun_ns + tick_ns - 1) / tick_ns;
    append(list_of(timer->due_tick), &timer->link);
}

static void spread(unsigned level)
{
    struct link list, *next;
    move(&wheel[level][(present_tick >> (level * DIGIT_BITS)) % DIGITS], &list);
    for (struct link *link = list.next; link != &list; link = next) {
        next = link->next;
        append(list_of(((struct timer *)link)->due_tick), link);
    }
}

static void fire(struct link *lists)
{
    struct link list, *next;
    move(lists, &list);
    for (struct link *link = list.next; link != &list; link = next) {
        struct timer *timer = (struct timer *)link;
        next = link->next;
        __builtin_prefetch(next);
        timer->handler(timer);
    }
}

static void advance(void)
{
    present_ns = now_ns();
    while (present_tick < (present_ns - begun_ns) / tick_ns) {
        present_tick++;
        for (unsigned level = LEVEL_COUNT - 1; level > 0; level--) {
            if (present_tick % ((uint64_t)1 << (level * DIGIT_BITS)) == 0)
                spread(level);
        }
        fire(&wheel[0][present_tick % DIGITS]);
    }
}

static void sleep_until_next_tick(void)
{
    uint64_t next_ns = begun_ns + (present_tick + 1) * tick_ns;
    struct timespec next = {.tv_sec = (time_t)(next_ns / second_ns), .tv_nsec = (long)(next_ns % second_ns)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
}

/* ---- The workload ---- */

static uint64_t hash(uint64_t number) { return number * 2654435761u % ((uint64_t)1 << 32); }

static void handle_expiry(struct timer *timer)
{
    fired++;
    early += present_ns < timer->due_ns;
}

static void start_all(struct timer *timers, uint64_t count, uint64_t least_ns, uint64_t spread_ms)
{
    for (uint64_t i = 0; i < count; i++) {
        if (i % STARTS_PER_TURN == 0)
            advance();
        start(&timers[i], least_ns + hash(i) % spread_ms * 1000000);
    }
}

/* Returns how long it took. */
static uint64_t start_and_cancel(struct timer *timers, uint64_t count)
{
    uint64_t before_ns = now_ns();
    start_all(timers, count, second_ns, 1000000);
    for (uint64_t i = 0; i < count; i++)
        take_out(&timers[i].link);
    return now_ns() - before_ns;
}

/* Returns how much of the thread's time it took. */
static uint64_t start_and_fire(struct timer *timers, uint64_t count)
{
    uint64_t before_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    fired = 0;
    start_all(timers, count, 1000000, 100);
    for (advance(); fired < count; advance())
        sleep_until_next_tick();
    if (fired != count || early > 0)
        fail("%llu of %llu timers fired, %llu of them early", (unsigned long long)fired, (unsigned long long)count,
             (unsigned long long)early);
    return clock_ns(CLOCK_THREAD_CPUTIME_ID) - before_ns;
}

static void run(struct timer *timers, uint64_t count, double seconds)
{
    uint64_t rounds = 0, cancelled_ns = 0, fired_ns = 0;
    start_and_cancel(timers, count);
    uint64_t first_ns = now_ns();
    do {
        cancelled_ns += start_and_cancel(timers, count);
        fired_ns += start_and_fire(timers, count);
        rounds++;
    } while ((double)(now_ns() - first_ns) < seconds * 1e9);
    figure("start_cancel_rate", (double)(rounds * count) * 1e9 / (double)cancelled_ns);
    figure("fire_cpu_ns", (double)fired_ns / (double)(rounds * count));
}

int main(int argc, char **argv)
{
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    if (argc < 2 || !is_text(argv[1], "timers"))
        not_here(argc < 2 ? "" : argv[1]);
    uint64_t count = count_parameter(&given, "count", 1, 1u << 28, 1000000);
    struct timer *timers = calloc((size_t)count, sizeof *timers);
    if (timers == NULL)
        fail("there is no memory for %llu timers", (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++)
        timers[i].handler = handle_expiry;
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        for (unsigned digit = 0; digit < DIGITS; digit++)
            clear(&wheel[level][digit]);
    }
    begun_ns = present_ns = now_ns();
    run(timers, count, real_parameter(&given, "seconds", 1));
    free(timers);
    return 0;
}
