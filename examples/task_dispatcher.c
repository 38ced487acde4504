/*
 * A dispatcher that gives jobs to workers, some of which die of them.
 *
 * Every third job is the death of its worker, in the way that --fault says. The
 * dispatcher watches its workers: it is told that this one is gone, and how, and
 * gives the next jobs to the others. Meanwhile the supervisor starts the worker
 * again, and when the new one is ready it says hello to the dispatcher, by name.
 */
#include "common.h"

enum { TYPE_DISPATCHER, TYPE_WORKER, TYPE_COUNT };
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
    uint32_t crash_every, fault, workers, restart_max, window_ms, shard_restart_max, seconds;
    bool is_quiet, aborts_on_quarantine;
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

static tina_effect worker_die(uint32_t job, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "works on job %u, and now %s", job, fault_story(settings->fault));
    return die_of(settings->fault, JOB_WENT_WRONG, ctx);
}

static tina_effect worker_work(const worker *me, const tina_message *message, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    job_done done = {.worker = me->number};
    memcpy(&done.job, message->payload, sizeof done.job);
    if (settings->crash_every != 0 && done.job % settings->crash_every == 0)
        return worker_die(done.job, ctx);
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
    tina_handle handle; /* watched; none: there is none, or it has not said hello yet */
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

/* It counts once it is watched. Where no watch is free, its next hello may find one. */
static void meet_worker(dispatcher *me, const tina_message *message, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    uint32_t index = 0;
    memcpy(&index, message->payload, sizeof index);
    if (index >= settings->workers || tina_handle_equal(me->workers[index].handle, message->source))
        return;
    if (tina_watch(ctx, message->source) != TINA_OK)
        return;
    me->workers[index].handle = message->source;
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "worker %u is ready", index);
}

static const char *end_story(uint8_t end)
{
    switch (end) {
    case TINA_END_CRASH: return "it crashed";
    case TINA_END_FAULT: return "it faulted";
    case TINA_END_KILLED: return "it was killed";
    default: return "it is gone";
    }
}

/* Nobody gets its job again: it would be the next one's death. */
static void lose_worker(dispatcher *me, const tina_message *message, tina_ctx *ctx)
{
    const dispatch_settings *settings = tina_user(ctx);
    tina_down down;
    memcpy(&down, message->payload, sizeof down);
    uint32_t index = 0;
    while (index < settings->workers && !tina_handle_equal(me->workers[index].handle, down.who))
        index++;
    if (index == settings->workers)
        return;
    known_worker lost = me->workers[index];
    me->workers[index] = (known_worker){0};
    me->lost_count += lost.job != 0;
    if (is_told(ctx) && lost.job != 0)
        tina_log(ctx, TINA_LOG_INFO, "job %u is lost with worker %u: %s", lost.job, index, end_story(down.end));
    else if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "worker %u is lost: %s", index, end_story(down.end));
}

static bool give_to(dispatcher *me, uint32_t index, tina_ctx *ctx)
{
    known_worker *known = &me->workers[index];
    if (tina_handle_is_none(known->handle))
        return false;
    tina_status status = tina_send(ctx, known->handle, TAG_JOB, &me->next_job, sizeof me->next_job);
    if (is_told(ctx))
        tina_log(ctx, TINA_LOG_INFO, "job %u for worker %u: %s", me->next_job, index, tina_status_name(status));
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
    case TINA_TAG_DOWN: lose_worker(me, message, ctx); break;
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
    };
    static uint32_t numbers[WORKERS_MAX];
    tina_child children[1 + WORKERS_MAX] = {{.type = TYPE_DISPATCHER, .name = NAME_DISPATCHER}};
    for (uint32_t i = 0; i < settings->workers; i++) {
        numbers[i] = i;
        children[1 + i] = (tina_child){.type = TYPE_WORKER, .args = &numbers[i], .args_size = sizeof numbers[i]};
    }
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children,
                 .child_count = 1 + settings->workers,
                 .restart_max = settings->restart_max != 0 ? settings->restart_max : TINA_NONE,
                 .window_ns = settings->window_ms * (SECOND_NS / 1000)},
        .user = (void *)settings,
        .fd_count = TINA_NONE, /* no I/O */
        .shard_restart_max = settings->shard_restart_max != 0 ? settings->shard_restart_max : TINA_NONE,
        .abort_on_quarantine = settings->aborts_on_quarantine,
        .quiet = settings->is_quiet,
        .log_sink = print_line,
    };
    prepare_for(settings->fault, &spec);
    end_after(settings->seconds);
    return run_system(&spec, false);
}

int main(int argc, char **argv)
{
    /* Four jobs a second: at most twenty deaths in the five seconds of the window, whatever --crash-every says. */
    static dispatch_settings settings = {
        .crash_every = 3, .workers = 3, .restart_max = 25, .window_ms = 5000, .shard_restart_max = 3};
    const example_option options[] = {
        {"--crash-every", "every so-many-th job is its worker's death; 3; 0: none is", .number = &settings.crash_every,
         .most = 1000000000},
        {"--fault", "how it dies: crash, segv, stack, div, loop, abort or memcpy; crash", .number = &settings.fault,
         .choices = fault_names},
        {"--workers", "3", .number = &settings.workers, .least = 1, .most = WORKERS_MAX},
        {"--restart-max", "restarts within the window; one more restarts the shard; 25", .number = &settings.restart_max,
         .most = 1000000},
        {"--window-ms", "5000", .number = &settings.window_ms, .least = 1, .most = 1000000000},
        {"--shard-restart-max", "restarts of the shard within half a minute; one more quarantines it; 3",
         .number = &settings.shard_restart_max, .most = 1000000},
        {"--abort-on-quarantine", "end rather than be there for nothing", .is_set = &settings.aborts_on_quarantine},
        {"--seconds", "how long to run; 0: until SIGTERM or SIGINT", .number = &settings.seconds, .most = 1000000000},
        {"--quiet", "only what is needed or wrong", .is_set = &settings.is_quiet},
    };
    read_options(argc, argv, "task_dispatcher: jobs for workers that die of them and come back", options,
                 sizeof options / sizeof options[0]);
    return run(&settings);
}
