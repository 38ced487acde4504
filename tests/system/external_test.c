/* A system that the program turns itself: coming up, being woken, waiting, ending. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/own_loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MS 1000000u

enum { NAME_MEMBER = 1 };
enum {
    TAG_COUNT = TINA_TAG_USER,
    TAG_TIMER,
    TAG_STEP,
    TAG_JOIN,
    TAG_BOOT,
    TAG_YIELD,
    TAG_CRASH,
    TAG_ADOPT,
    TAG_WRITE,
    TAG_STOP
};

/* ---- Every write of the program and of the library goes through here: how many were eventfds signalled? ---- */

static _Atomic uint64_t signal_count;

ssize_t write(int fd, const void *data, size_t size);

ssize_t write(int fd, const void *data, size_t size)
{
    char path[32], name[32] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (size == sizeof(uint64_t) && readlink(path, name, sizeof name - 1) > 0 && strstr(name, "[eventfd]") != NULL)
        atomic_fetch_add_explicit(&signal_count, 1, memory_order_relaxed);
    return syscall(SYS_write, fd, data, size);
}

/* ---- What is run ---- */

typedef struct witness {
    tina_test_count inits, messages, ends, timers, yields, io, breaks;
    tina_test_count status, work;
    tina_system *system;
    const tina_system_spec *spec; /* to be booted */
    uint64_t periods_ns;          /* of the member's timer; 0: it has none */
    int os_fd;                    /* to be adopted */
    unsigned yield_count;
    bool is_stubborn; /* ends when it is torn down */
} witness;

typedef struct member {
    tina_fd fd;
    unsigned yields_left;
} member;

static tina_effect member_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->inits);
    if (seen->periods_ns != 0 && tina_timer_repeat(ctx, seen->periods_ns, TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect yield(member *me, witness *seen)
{
    tina_test_count_up(&seen->yields);
    return me->yields_left-- > 1 ? tina_yield() : tina_receive();
}

static tina_effect member_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    member *me = self;
    witness *seen = tina_user(ctx);
    uint32_t work = 77;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN:
        if (seen->is_stubborn)
            return tina_receive();
        tina_test_count_up(&seen->ends);
        return tina_done();
    case TAG_TIMER: tina_test_count_up(&seen->timers); return tina_receive();
    case TAG_STEP:
        atomic_store(&seen->status, (uint64_t)tina_step(seen->system, 0, &work));
        atomic_store(&seen->work, work);
        break;
    case TAG_JOIN: atomic_store(&seen->status, (uint64_t)tina_join(seen->system, NULL)); break;
    case TAG_BOOT: atomic_store(&seen->status, (uint64_t)tina_boot(seen->spec, NULL)); break;
    case TAG_YIELD: me->yields_left = seen->yield_count; return yield(me, seen);
    case TINA_TAG_RESUME: return yield(me, seen);
    case TAG_CRASH: return tina_crash(2);
    case TAG_ADOPT:
        if (tina_fd_adopt(ctx, seen->os_fd, &me->fd) != TINA_OK)
            return tina_crash(3);
        break;
    case TAG_WRITE: return tina_io_send(ctx, me->fd, "x", 1);
    case TAG_STOP: tina_stop_system(ctx); break;
    case TINA_IO_SEND: tina_test_count_up(message->io.status == TINA_OK ? &seen->io : &seen->breaks); return tina_receive();
    default: break;
    }
    tina_test_count_up(&seen->messages);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "member", .init = member_init, .handler = member_handle, .size = sizeof(member), .slot_count = 4},
};
static const tina_child children[] = {{.type = 0, .name = NAME_MEMBER}};

static uint8_t backend;

static tina_system_spec make_spec(witness *seen)
{
    return (tina_system_spec){
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .user = seen,
        .external = true,
        .backend = backend,
    };
}

static void post(tina_system *system, tina_tag tag)
{
    assert_int_equal(tina_post(system, tina_named(0, NAME_MEMBER), tag, NULL, 0), TINA_OK);
}

/* Started, up, and with nothing to do. */
static tina_test_loop start(witness *seen)
{
    tina_system_spec spec = make_spec(seen);
    tina_test_loop loop = {.system = tina_test_start(&spec)};
    seen->system = loop.system;
    tina_test_loop_settle(&loop);
    assert_int_equal(tina_test_counted(&seen->inits), 1);
    return loop;
}

/* ---- Coming up ---- */

static void the_tree_comes_up_in_the_first_step(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    uint64_t deadline_ns = 1;
    int fd = tina_pollfd(system, &deadline_ns);
    assert_true(fd >= 0);
    assert_int_equal(deadline_ns, 0);
    assert_true(tina_test_is_readable(fd));
    assert_int_equal(tina_test_counted(&seen.inits), 0);
    post(system, TAG_COUNT); /* is kept until there is somebody to get it */

    uint32_t work = 0;
    assert_int_equal(tina_step(system, 0, &work), TINA_OK);
    assert_true(work > 0);
    assert_int_equal(tina_test_counted(&seen.inits), 1);
    assert_int_equal(tina_test_counted(&seen.messages), 1);
    tina_stats stats = tina_test_stats(system, 0);
    assert_int_equal(stats.state, TINA_SHARD_RUNNING);
    assert_int_equal(stats.backend, backend);
    assert_false(tina_test_is_readable(fd));
    assert_int_equal(tina_pollfd(system, &deadline_ns), fd);
    assert_true(deadline_ns == TINA_NONE_NS);

    tina_test_loop loop = {.system = system};
    tina_end_report report;
    tina_test_loop_end(&loop, &report);
    assert_int_equal(tina_test_counted(&seen.ends), 1);
    assert_int_equal(report.total.posted, 1);
    assert_int_equal(report.total.delivered, 1);
}

static tina_effect failing_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->inits);
    return tina_crash(9);
}

static const tina_type failing[] = {
    {.name = "failing", .init = failing_init, .handler = member_handle, .size = sizeof(member), .slot_count = 4},
};

static void count_words(void *user, int shard, tina_level level, const char *line, size_t length)
{
    tina_test_count *count = user;
    (void)shard;
    static const char words[] = "the init of type failing failed";
    if (level == TINA_LOG_ERROR && length >= sizeof words - 1 && memcmp(line, words, sizeof words - 1) == 0)
        tina_test_count_up(count);
}

static void a_tree_that_fails_is_told_by_the_step_and_joined(void **state)
{
    (void)state;
    for (unsigned by_hand = 0; by_hand < 2; by_hand++) {
        witness seen = {0};
        tina_test_count words = 0;
        tina_system_spec spec = make_spec(&seen);
        spec.types = failing;
        spec.root.restart_max = 2;
        spec.log_sink = count_words;
        spec.log_user = &words;
        tina_test_loop loop = {.system = tina_test_start(&spec)};
        tina_status status;
        while ((status = tina_test_loop_step(&loop)) == TINA_OK)
            tina_test_loop_wait(&loop);
        assert_int_equal(status, TINA_INIT_FAILED);
        assert_int_equal(tina_test_counted(&seen.inits), 3);
        while (by_hand != 0 && (status = tina_test_loop_step(&loop)) != TINA_STOPPING)
            assert_int_equal(status, TINA_OK); /* it is told once */
        tina_test_join(loop.system, NULL);
        assert_int_equal(tina_test_counted(&words), 1);
    }
}

static tina_effect quitter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)member_init(self, args, args_size, ctx);
    tina_stop_system(ctx);
    return tina_crash(1);
}

static void init_that_stops_the_system_and_fails_calls_the_start_off(void **state)
{
    (void)state;
    const tina_type quitter[] = {
        {.name = "quitter", .init = quitter_init, .handler = member_handle, .size = sizeof(member), .slot_count = 1},
    };
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    spec.types = quitter;
    spec.root.restart_max = 1000000;
    tina_test_loop loop = {.system = tina_test_start(&spec)};
    tina_status status;
    while ((status = tina_test_loop_step(&loop)) == TINA_OK)
        tina_test_loop_wait(&loop);
    assert_int_equal(status, TINA_INIT_FAILED);
    tina_test_join(loop.system, NULL);
    tina_error error;
    assert_int_equal(tina_boot(&spec, &error), TINA_INIT_FAILED);
    assert_non_null(strstr(error.message, "quitter"));
    assert_int_equal(tina_test_counted(&seen.inits), 2); /* neither was tried again */
}

static void boot_runs_it_on_the_calling_thread(void **state)
{
    (void)state;
    witness seen = {.periods_ns = 1 * MS};
    tina_system_spec spec = make_spec(&seen);
    spec.quiet = true;
    const tina_child stopping[] = {{.type = 0, .name = NAME_MEMBER}};
    spec.root.children = stopping;
    tina_system *system = tina_test_start(&spec);
    post(system, TAG_STOP);
    tina_test_join(system, NULL); /* nobody has stepped yet: it steps */
    assert_int_equal(tina_test_counted(&seen.inits), 1);
    assert_int_equal(tina_test_counted(&seen.ends), 1);

    spec.types = failing;
    tina_error error;
    assert_int_equal(tina_boot(&spec, &error), TINA_INIT_FAILED);
    assert_string_equal(error.path, "root");
    assert_non_null(strstr(error.message, "type failing"));
}

static void what_a_spec_may_not_ask_for_is_said_at_once(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    tina_error error;
    spec.shard_count = 2;
    assert_int_equal(tina_spec_check(&spec, &error), TINA_INVALID);
    assert_string_equal(error.path, "shard_count");
    assert_string_equal(error.message, "must be 1 or 0 where external is set, not 2");
    spec.shard_count = 1;
    assert_int_equal(tina_spec_check(&spec, &error), TINA_OK);
    size_t one = tina_spec_memory(&spec);
    spec.shard_count = 0; /* is one, not one for each core */
    assert_int_equal(tina_spec_memory(&spec), one);
}

static void a_simulation_runs_it_as_any_other_shard(void **state)
{
    (void)state;
    tina_sim_report reports[3];
    for (size_t i = 0; i < 3; i++) {
        witness seen = {.periods_ns = 1 * MS};
        tina_system_spec spec = make_spec(&seen);
        spec.backend = TINA_BACKEND_AUTO;
        spec.external = i != 0;
        spec.shard_count = i != 2; /* 1, or what is one where it is external */
        const tina_sim_config config = {.seed = 7, .ticks_max = 2000, .faults.handler_crash = {1, 100}};
        tina_error error;
        assert_int_equal(tina_simulate(&spec, &config, &reports[i], &error), TINA_OK);
        assert_true(tina_test_counted(&seen.timers) > 0);
    }
    assert_true(reports[0].trace_hash == reports[1].trace_hash);
    assert_true(reports[0].trace_hash == reports[2].trace_hash);
}

/* ---- Being woken ---- */

static void a_burst_of_posts_wakes_once(void **state)
{
    (void)state;
    enum { BURST = 200 };
    witness seen = {0};
    tina_test_loop loop = start(&seen);
    if (tina_test_stats(loop.system, 0).messages.limit < BURST) /* the hostile twin's inbox takes four */
        skip();
    for (unsigned round = 1; round <= 5; round++) {
        assert_false(tina_test_is_readable(tina_pollfd(loop.system, NULL)));
        uint64_t before = atomic_load(&signal_count);
        for (unsigned i = 0; i < BURST; i++)
            post(loop.system, TAG_COUNT);
        assert_int_equal(atomic_load(&signal_count) - before, 1);
        assert_true(tina_test_is_readable(tina_pollfd(loop.system, NULL)));
        tina_test_loop_until(&loop, &seen.messages, round * BURST);
        tina_test_loop_settle(&loop);
    }
    tina_test_loop_end(&loop, NULL);
}

static void what_is_left_keeps_the_descriptor_readable(void **state)
{
    (void)state;
    witness seen = {.yield_count = 1000};
    tina_test_loop loop = start(&seen);
    uint64_t deadline_ns;
    post(loop.system, TAG_YIELD);
    assert_int_equal(tina_test_loop_step(&loop), TINA_OK);
    uint64_t done = tina_test_counted(&seen.yields);
    assert_true(done >= 1 && done < 100); /* the program has its turn */
    assert_true(tina_test_is_readable(tina_pollfd(loop.system, &deadline_ns)));
    assert_int_equal(deadline_ns, 0);
    tina_test_loop_until(&loop, &seen.yields, 1000);
    tina_test_loop_settle(&loop);
    assert_int_equal(tina_test_counted(&seen.yields), 1000);
    tina_test_loop_end(&loop, NULL);
}

static void stop_and_revive_make_it_readable(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    spec.root.restart_max = TINA_NONE;
    spec.shard_restart_max = TINA_NONE;
    tina_test_loop loop = {.system = tina_test_start(&spec)};
    int fd = tina_pollfd(loop.system, NULL);
    tina_test_loop_settle(&loop);
    post(loop.system, TAG_CRASH);
    tina_test_loop_settle(&loop);
    assert_int_equal(tina_test_stats(loop.system, 0).state, TINA_SHARD_QUARANTINED);
    assert_int_equal(tina_post(loop.system, tina_named(0, NAME_MEMBER), TAG_COUNT, NULL, 0), TINA_SHARD_DOWN);
    assert_int_equal(tina_revive(loop.system), TINA_OK);
    assert_true(tina_test_becomes_readable(fd));
    tina_test_loop_settle(&loop);
    assert_int_equal(tina_test_stats(loop.system, 0).state, TINA_SHARD_RUNNING);
    assert_int_equal(tina_test_counted(&seen.inits), 2);
    tina_stop(loop.system);
    tina_status status;
    do
        assert_true(tina_test_becomes_readable(fd));
    while ((status = tina_test_loop_step(&loop)) == TINA_OK);
    assert_int_equal(status, TINA_STOPPING);
    assert_true(tina_test_is_readable(fd)); /* a loop that waits on it learns of the end */
    assert_int_equal(tina_test_loop_step(&loop), TINA_STOPPING);
    tina_test_join(loop.system, NULL);
}

/* ---- Time ---- */

static void a_loop_that_waits_steps_no_more_than_there_is_to_do(void **state)
{
    (void)state;
    enum { TIMERS = 40 };
    witness seen = {.periods_ns = 5 * MS};
    tina_test_loop loop = start(&seen);
    loop.steps = loop.idle_steps = 0;
    uint64_t deadline_ns;
    uint64_t now_ns = tina_test_now_ns();
    tina_pollfd(loop.system, &deadline_ns);
    assert_true(deadline_ns > now_ns - 1000 * MS && deadline_ns < now_ns + 1000 * MS);
    tina_test_loop_until(&loop, &seen.timers, TIMERS);
    /* One step for each timer. A timer may be a tick of the wheel later than its deadline: then it takes a second look. */
    assert_true(loop.steps <= 3 * TIMERS);
    assert_true(tina_test_stats(loop.system, 0).sleeps >= TIMERS / 2);
    tina_test_loop_end(&loop, NULL);
}

static void a_step_waits_for_work_and_no_longer_than_it_may(void **state)
{
    (void)state;
    witness seen = {.periods_ns = 20 * MS};
    tina_test_loop loop = start(&seen);
    uint32_t work = 0;
    uint64_t before_ns = tina_test_now_ns();
    assert_int_equal(tina_step(loop.system, TINA_NONE_NS, &work), TINA_OK);
    assert_true(work > 0);
    assert_true(tina_test_counted(&seen.timers) >= 1);
    seen.periods_ns = 0;
    tina_test_loop_end(&loop, NULL);

    witness idle = {0};
    loop = start(&idle);
    before_ns = tina_test_now_ns();
    assert_int_equal(tina_step(loop.system, 30 * MS, &work), TINA_OK);
    assert_int_equal(work, 0);
    assert_true(tina_test_now_ns() - before_ns >= 30 * MS);
    assert_int_equal(tina_step(loop.system, 0, NULL), TINA_OK);
    tina_test_loop_end(&loop, NULL);
}

static tina_test_count alarms;

static void on_alarm(int number)
{
    (void)number;
    tina_test_count_up(&alarms);
}

static void a_signal_handler_of_the_programs_ends_the_wait(void **state)
{
    (void)state;
    witness seen = {0};
    tina_test_loop loop = start(&seen);
    struct sigaction action = {.sa_handler = on_alarm}, before;
    sigaction(SIGALRM, &action, &before);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec soon = {.it_value = {.tv_nsec = 20 * MS}, .it_interval = {.tv_nsec = 20 * MS}};
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
    uint32_t work = 1;
    assert_int_equal(tina_step(loop.system, TINA_NONE_NS, &work), TINA_OK);
    assert_int_equal(work, 0);
    assert_true(tina_test_counted(&alarms) >= 1);
    timer_delete(timer);
    sigaction(SIGALRM, &before, NULL);
    tina_test_loop_end(&loop, NULL);
}

/* ---- Who may step ---- */

typedef struct stranger {
    tina_system *system;
    tina_status status;
    uint32_t work;
} stranger;

static void *step_elsewhere(void *argument)
{
    stranger *me = argument;
    me->status = tina_step(me->system, 0, &me->work);
    return NULL;
}

static tina_status status_elsewhere(tina_system *system)
{
    stranger other = {.system = system, .work = 5};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, step_elsewhere, &other), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(other.work, 0);
    return other.status;
}

static void only_the_thread_that_stepped_first_may_step(void **state)
{
    (void)state;
    witness seen = {0};
    tina_test_loop loop = start(&seen);
    assert_int_equal(status_elsewhere(loop.system), TINA_NOT_OWNER);
    post(loop.system, TAG_STEP);
    tina_test_loop_until(&loop, &seen.messages, 1);
    assert_int_equal(tina_test_counted(&seen.status), TINA_BUSY);
    assert_int_equal(tina_test_counted(&seen.work), 0);
    post(loop.system, TAG_JOIN);
    tina_test_loop_until(&loop, &seen.messages, 2);
    assert_int_equal(tina_test_counted(&seen.status), TINA_BUSY);
    tina_stop(loop.system);
    while (tina_test_loop_step(&loop) == TINA_OK)
        tina_test_loop_wait(&loop);
    assert_int_equal(status_elsewhere(loop.system), TINA_STOPPING);
    tina_test_join(loop.system, NULL);
}

static void a_system_with_threads_is_not_stepped(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    spec.external = false;
    spec.shard_count = 1;
    tina_system *system = tina_test_start(&spec);
    uint32_t work = 3;
    uint64_t deadline_ns = 0;
    assert_int_equal(tina_step(system, 0, &work), TINA_INVALID);
    assert_int_equal(work, 0);
    assert_int_equal(tina_pollfd(system, &deadline_ns), -1);
    assert_true(deadline_ns == TINA_NONE_NS);
    tina_test_end(system, NULL);
}

/* ---- The end ---- */

static void join_ends_what_was_never_stepped(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    post(system, TAG_COUNT);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.posted, 1);
    assert_int_equal(tina_test_counted(&seen.inits), tina_test_counted(&seen.ends));
}

static void join_steps_on_the_thread_that_steps(void **state)
{
    (void)state;
    witness seen = {0};
    tina_test_loop loop = start(&seen);
    post(loop.system, TAG_STOP);
    tina_test_join(loop.system, NULL);
    assert_int_equal(tina_test_counted(&seen.ends), 1);
}

static void *join_elsewhere(void *argument)
{
    stranger *me = argument;
    tina_stop(me->system);
    me->status = tina_join(me->system, NULL);
    return NULL;
}

static void join_on_another_thread_waits_for_the_steps(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        witness seen = {0};
        tina_test_loop loop = start(&seen);
        stranger other = {.system = loop.system, .status = TINA_BUSY};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, join_elsewhere, &other), 0);
        uint32_t work;
        while (tina_step(loop.system, TINA_NONE_NS, &work) == TINA_OK) {
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(other.status, TINA_OK);
        assert_int_equal(tina_test_counted(&seen.ends), 1);
    }
}

static void who_does_not_drain_is_torn_down_in_time(void **state)
{
    (void)state;
    witness seen = {.is_stubborn = true};
    tina_system_spec spec = make_spec(&seen);
    spec.shutdown_timeout_ns = 50 * MS;
    tina_test_loop loop = {.system = tina_test_start(&spec)};
    tina_test_loop_settle(&loop);
    tina_stop(loop.system);
    while (tina_test_loop_step(&loop) == TINA_OK)
        tina_test_loop_wait(&loop);
    tina_end_report report;
    assert_int_equal(tina_join(loop.system, &report), TINA_TIMED_OUT);
    assert_int_equal(report.undrained_count, 1);
    assert_int_equal(report.stuck_shards, 0);
}

static void a_system_that_nobody_steps_any_more_counts_as_stuck(void **state)
{
    (void)state;
    static tina_test_loop loops[TINA_BACKEND_EPOLL + 1]; /* their memory is left to whoever steps again */
    static witness seen;
    static tina_test_count lines;
    seen = (witness){0};
    tina_system_spec spec = make_spec(&seen);
    spec.shutdown_timeout_ns = 1;
    spec.log_sink = count_words;
    spec.log_user = &lines;
    tina_test_loop *loop = &loops[backend];
    *loop = (tina_test_loop){.system = tina_test_start(&spec)};
    tina_test_loop_settle(loop);
    stranger other = {.system = loop->system};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, join_elsewhere, &other), 0);
    assert_int_equal(pthread_join(thread, NULL), 0); /* stops it, and gives up when it was stopped for long */
    assert_int_equal(other.status, TINA_TIMED_OUT);
    while (tina_test_loop_step(loop) == TINA_OK) { /* it comes to its end nevertheless, on its own thread */
    }
    assert_int_equal(tina_test_loop_step(loop), TINA_STOPPING);
}

static void a_tree_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    spec.types = failing;
    spec.root.restart_max = 1000;
    spec.root.backoff_ns = 1000 * (uint64_t)MS;
    spec.init_timeout_ns = 30 * MS;
    tina_test_loop loop = {.system = tina_test_start(&spec)};
    uint64_t before_ns = tina_test_now_ns();
    tina_status status;
    while ((status = tina_test_loop_step(&loop)) == TINA_OK)
        tina_test_loop_wait(&loop);
    assert_int_equal(status, TINA_TIMED_OUT);
    assert_true(tina_test_now_ns() - before_ns >= 30 * MS);
    tina_test_join(loop.system, NULL);
}

static void a_handler_boots_nothing_that_it_would_have_to_step(void **state)
{
    (void)state;
    tina_test_holdings before;
    tina_test_hold(&before);
    witness inner = {0}, seen = {0};
    tina_system_spec spec = make_spec(&inner);
    seen.spec = &spec;
    tina_test_loop loop = start(&seen);
    post(loop.system, TAG_BOOT);
    tina_test_loop_until(&loop, &seen.messages, 1);
    assert_int_equal(tina_test_counted(&seen.status), TINA_BUSY);
    tina_test_loop_end(&loop, NULL);
    tina_test_assert_same_holdings(&before);
}

/* ---- A broken pipe ---- */

static void a_pipe_that_nobody_reads_does_not_end_the_program(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, 0), 0);
    witness seen = {.os_fd = ends[1]};
    tina_test_loop loop = start(&seen);
    post(loop.system, TAG_ADOPT);
    post(loop.system, TAG_WRITE);
    tina_test_loop_until(&loop, &seen.io, 1);
    close(ends[0]);
    post(loop.system, TAG_WRITE);
    tina_test_loop_until(&loop, &seen.breaks, 1);
    sigset_t pending, mask;
    sigpending(&pending);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    assert_int_equal(sigismember(&mask, SIGPIPE), 0);
    tina_test_loop_end(&loop, NULL);
}

/* A program that takes its SIGPIPEs with sigwait gets its own, and no other. */
static void a_blocked_broken_pipe_is_not_left_behind(void **state)
{
    (void)state;
    int ends[2];
    sigset_t pipes, mask, pending;
    struct timespec at_once = {0};
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipes, &mask);
    assert_int_equal(pipe2(ends, 0), 0);
    close(ends[0]);
    witness seen = {.os_fd = ends[1]};
    tina_test_loop loop = start(&seen);
    post(loop.system, TAG_ADOPT);
    post(loop.system, TAG_WRITE);
    tina_test_loop_until(&loop, &seen.breaks, 1);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    pthread_kill(pthread_self(), SIGPIPE);
    post(loop.system, TAG_WRITE);
    tina_test_loop_until(&loop, &seen.breaks, 2);
    assert_int_equal(sigtimedwait(&pipes, NULL, &at_once), SIGPIPE);
    tina_test_loop_end(&loop, NULL);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* ---- What is told of it ---- */

static void a_shard_at_rest_is_idle(void **state)
{
    (void)state;
    witness seen = {0};
    tina_test_loop loop = start(&seen);
    uint64_t before_ns = tina_test_stats(loop.system, 0).idle_ns;
    tina_test_await_that(tina_test_stats(loop.system, 0).idle_ns >= before_ns + 20 * MS); /* nobody steps */
    before_ns = tina_test_stats(loop.system, 0).idle_ns;
    post(loop.system, TAG_COUNT);
    tina_test_loop_until(&loop, &seen.messages, 1);
    assert_true(tina_test_stats(loop.system, 0).idle_ns >= before_ns);
    tina_test_loop_end(&loop, NULL);
}

/* ---- Several of them ---- */

static void eight_on_one_thread_leave_it_as_it_was(void **state)
{
    (void)state;
    enum { SYSTEMS = 8 };
    static witness seen[SYSTEMS];
    tina_test_holdings before;
    for (unsigned round = 0; round < 4; round++) {
        if (round == 2)
            tina_test_hold(&before);
        tina_test_loop loops[SYSTEMS];
        memset(seen, 0, sizeof seen);
        for (size_t i = 0; i < SYSTEMS; i++)
            loops[i] = start(&seen[i]);
        for (size_t i = 0; i < SYSTEMS; i++)
            post(loops[i].system, TAG_COUNT);
        for (size_t i = SYSTEMS; i-- > 0;)
            tina_test_loop_until(&loops[i], &seen[i].messages, 1);
        for (size_t i = 0; i < SYSTEMS; i++) /* neither in the order of their starts nor in the reverse one */
            tina_test_loop_end(&loops[i * 3 % SYSTEMS], NULL);
    }
    tina_test_assert_same_holdings(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_comes_up_in_the_first_step),
        cmocka_unit_test(a_tree_that_fails_is_told_by_the_step_and_joined),
        cmocka_unit_test(init_that_stops_the_system_and_fails_calls_the_start_off),
        cmocka_unit_test(boot_runs_it_on_the_calling_thread),
        cmocka_unit_test(what_a_spec_may_not_ask_for_is_said_at_once),
        cmocka_unit_test(a_simulation_runs_it_as_any_other_shard),
        cmocka_unit_test(a_burst_of_posts_wakes_once),
        cmocka_unit_test(what_is_left_keeps_the_descriptor_readable),
        cmocka_unit_test(stop_and_revive_make_it_readable),
        cmocka_unit_test(a_loop_that_waits_steps_no_more_than_there_is_to_do),
        cmocka_unit_test(a_step_waits_for_work_and_no_longer_than_it_may),
        cmocka_unit_test(a_signal_handler_of_the_programs_ends_the_wait),
        cmocka_unit_test(only_the_thread_that_stepped_first_may_step),
        cmocka_unit_test(a_system_with_threads_is_not_stepped),
        cmocka_unit_test(join_ends_what_was_never_stepped),
        cmocka_unit_test(join_steps_on_the_thread_that_steps),
        cmocka_unit_test(join_on_another_thread_waits_for_the_steps),
        cmocka_unit_test(who_does_not_drain_is_torn_down_in_time),
        cmocka_unit_test(a_system_that_nobody_steps_any_more_counts_as_stuck),
        cmocka_unit_test(a_tree_that_takes_too_long_is_given_up),
        cmocka_unit_test(a_handler_boots_nothing_that_it_would_have_to_step),
        cmocka_unit_test(a_pipe_that_nobody_reads_does_not_end_the_program),
        cmocka_unit_test(a_blocked_broken_pipe_is_not_left_behind),
        cmocka_unit_test(a_shard_at_rest_is_idle),
        cmocka_unit_test(eight_on_one_thread_leave_it_as_it_was),
    };
    return tina_test_on_each_backend(&backend, tests, sizeof tests / sizeof tests[0]);
}
