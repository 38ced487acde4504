/*
 * A dispatcher that gives jobs to workers, some of which crash.
 *
 * Every third job crashes its worker. The supervisor starts the worker again;
 * meanwhile the dispatcher has only the handle of its former life, to which a
 * send says TINA_STALE_HANDLE, and gives the job to the next worker. When the
 * new one is ready it says hello to the dispatcher, by name.
 */
#include "common.h"

enum { TYPE_DISPATCHER, TYPE_WORKER, TYPE_STOPWATCH, TYPE_COUNT };
enum { NAME_DISPATCHER = 1 };
enum {
    TAG_HELLO = TINA_TAG_USER, /* a worker is ready: its number */
    TAG_JOB,                   /* a job's number */
    TAG_DONE,                  /* a job_done */
};

enum {
    WORKERS_MAX = 256,
    JOB_WENT_WRONG = 42,
};

#define JOB_PERIOD_NS   (SECOND_NS / 4)
#define WARM_UP_NS      SECOND_NS
#define HELLO_PERIOD_NS SECOND_NS

typedef struct dispatch_settings {
    uint32_t crash_every, workers, restart_max, window_ms, seconds;
    bool is_quiet;
} dispatch_settings;

typedef struct job_done {
    uint32_t worker, job, result;
} job_done;

static bool is_told(const tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    return !settings->is_quiet;
}

/* ---- A worker ------------------------------------------------------------------ */

typedef struct worker {
    uint32_t number;
    bool is_warm;
} worker;

static tina_effect worker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    worker *me = self;
    memcpy(&me->number, args, args_size);
    /* Some need a while until they can work: to load something, or to connect. */
    if (tina_timer_start(ctx, WARM_UP_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

/* Again and again: what was not heard, or came before the dispatcher was restarted, is made good. */
static tina_effect worker_say_hello(worker *me, tina_ctx *ctx)
{
    if (!me->is_warm && tina_timer_repeat(ctx, HELLO_PERIOD_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(2);
    me->is_warm = true;
    tina_ignore(tina_send(ctx, tina_named(0, NAME_DISPATCHER), TAG_HELLO, &me->number, sizeof me->number));
    return tina_receive();
}

static tina_effect worker_work(const worker *me, const tina_message *message, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    job_done done = {.worker = me->number};
    memcpy(&done.job, message->payload, sizeof done.job);
    if (settings->crash_every != 0 && done.job % settings->crash_every == 0)
        return tina_crash(JOB_WENT_WRONG);
    done.result = done.job * done.job;
    tina_ignore(tina_send(ctx, message->source, TAG_DONE, &done, sizeof done)); /* refused: the dispatcher is gone */
    return tina_receive();
}

static tina_effect worker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TINA_TAG_TIMER: return worker_say_hello(self, ctx);
    case TAG_JOB: return worker_work(self, message, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The dispatcher ------------------------------------------------------------ */

/* A worker as the dispatcher knows it. */
typedef struct known_worker {
    tina_handle handle; /* the last that said hello; none: none did */
    uint32_t job;       /* that it has; 0: none */
} known_worker;

typedef struct dispatcher {
    known_worker workers[WORKERS_MAX];
    uint32_t next_worker;
    uint32_t next_job;
    uint32_t done_count;
    uint32_t lost_count;
} dispatcher;

static tina_effect dispatcher_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    dispatcher *me = self;
    me->next_job = 1;
    if (tina_timer_repeat(ctx, JOB_PERIOD_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

/* The life that had the job is over. Nobody gets it again: it would crash the next one. */
static void give_job_up(dispatcher *me, uint32_t index, tina_ctx *ctx)
{
    known_worker *known = &me->workers[index];
    if (known->job == 0)
        return;
    me->lost_count++;
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "job %u is lost with worker %u", known->job, index);
    known->job = 0;
}

static void meet_worker(dispatcher *me, const tina_message *message, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    uint32_t index = 0;
    memcpy(&index, message->payload, sizeof index);
    if (index >= settings->workers || tina_handle_equal(me->workers[index].handle, message->source))
        return;
    give_job_up(me, index, ctx);
    me->workers[index].handle = message->source;
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "worker %u is ready", index);
}

static bool give_to(dispatcher *me, uint32_t index, tina_ctx *ctx)
{
    known_worker *known = &me->workers[index];
    if (tina_handle_is_none(known->handle))
        return false;
    tina_status status = tina_send(ctx, known->handle, TAG_JOB, &me->next_job, sizeof me->next_job);
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "job %u for worker %u: %s", me->next_job, index, tina_status_name(status));
    if (status == TINA_STALE_HANDLE)
        give_job_up(me, index, ctx);
    if (status == TINA_OK)
        known->job = me->next_job;
    return status == TINA_OK;
}

/* To the first worker that takes it; where none does, the job waits for the next turn. */
static void give_job(dispatcher *me, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    for (uint32_t i = 0; i < settings->workers; i++) {
        uint32_t index = me->next_worker;
        me->next_worker = (index + 1) % settings->workers;
        if (give_to(me, index, ctx)) {
            me->next_job++;
            return;
        }
    }
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "job %u waits: no worker can take it", me->next_job);
}

static void job_is_done(dispatcher *me, const tina_message *message, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    job_done done;
    memcpy(&done, message->payload, sizeof done);
    if (done.worker >= settings->workers)
        return;
    if (me->workers[done.worker].job == done.job)
        me->workers[done.worker].job = 0;
    me->done_count++;
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "job %u is done: %u", done.job, done.result);
}

static tina_effect dispatcher_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    dispatcher *me = self;
    switch (message->tag) {
    case TINA_TAG_TIMER: give_job(me, ctx); break;
    case TAG_HELLO: meet_worker(me, message, ctx); break;
    case TAG_DONE: job_is_done(me, message, ctx); break;
    case TINA_TAG_SHUTDOWN:
        tina_log(ctx, TINA_LOG_INFO, "%u jobs given, %u done, %u lost", me->next_job - 1, me->done_count, me->lost_count);
        return tina_done();
    default: break;
    }
    return tina_receive();
}

/* ---- The system ---------------------------------------------------------------- */

static int run(const dispatch_settings *settings)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_DISPATCHER] = {.name = "dispatcher",
                             .init = dispatcher_init,
                             .handler = dispatcher_handle,
                             .size = sizeof(dispatcher)},
        [TYPE_WORKER] = {.name = "worker",
                         .init = worker_init,
                         .handler = worker_handle,
                         .size = sizeof(worker),
                         .slot_count = settings->workers},
        [TYPE_STOPWATCH] = {.name = "stopwatch", .init = stopwatch_init, .handler = stopwatch_handle, .size = 1},
    };
    static uint32_t numbers[WORKERS_MAX];
    tina_child children[1 + WORKERS_MAX] = {{.type = TYPE_DISPATCHER, .name = NAME_DISPATCHER}};
    for (uint32_t i = 0; i < settings->workers; i++) {
        numbers[i] = i;
        children[1 + i] = (tina_child){.type = TYPE_WORKER, .args = &numbers[i], .args_size = sizeof numbers[i]};
    }
    /* The stopwatch is on a shard of its own: it still runs where the first is given up for too many restarts. */
    const tina_child watch = {.type = TYPE_STOPWATCH, .args = &settings->seconds, .args_size = sizeof settings->seconds};
    const tina_shard_spec shards[2] = {
        {.root = {.children = children,
                  .child_count = 1 + settings->workers,
                  .restart_max = settings->restart_max != 0 ? settings->restart_max : TINA_NONE,
                  .window_ns = settings->window_ms * (SECOND_NS / 1000)}},
        {.root = {.children = &watch, .child_count = 1}},
    };
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shards = shards,
        .shard_count = settings->seconds != 0 ? 2 : 1,
        .user = (void *)settings,
        .fd_count = TINA_NONE, /* no I/O */
        .quiet = settings->is_quiet,
        .log_sink = print_line,
    };
    tina_error error = {0};
    tina_status status = tina_boot(&spec, &error);
    return exit_status(status, &error);
}

int main(int argc, char **argv)
{
    /* Four jobs a second: at most twenty crashes in the five seconds of the window, whatever --crash-every says. */
    static dispatch_settings settings = {.crash_every = 3, .workers = 3, .restart_max = 25, .window_ms = 5000};
    const example_option options[] = {
        {"--crash-every", "every so-many-th job crashes its worker; 3; 0: none does", .number = &settings.crash_every,
         .most = 1000000000},
        {"--workers", "3", .number = &settings.workers, .least = 1, .most = WORKERS_MAX},
        {"--restart-max", "restarts within the window; one more restarts the shard; 25", .number = &settings.restart_max,
         .most = 1000000},
        {"--window-ms", "5000", .number = &settings.window_ms, .least = 1, .most = 1000000000},
        {"--seconds", "how long to run; 0: until SIGTERM or SIGINT", .number = &settings.seconds, .most = 1000000000},
        {"--quiet", "only what is needed or wrong", .is_set = &settings.is_quiet},
    };
    read_options(argc, argv, "task_dispatcher: jobs for workers that crash and come back", options,
                 sizeof options / sizeof options[0]);
    return run(&settings);
}
