/* Handlers as state machines: a dispatcher, its workers, and a store that they ask. Ends by itself; docs/ is cut from it. */
#include <string.h>
#include <tina/tina.h>

#define SECOND_NS 1000000000ull
#define RETRY_NS  (SECOND_NS / 100)

enum { TYPE_STORE, TYPE_DISPATCHER, TYPE_WORKER, TYPE_COUNT };
enum { NAME_STORE = 1, NAME_DISPATCHER };
enum { TAG_GET = TINA_TAG_USER, TAG_VALUE, TAG_READY, TAG_JOB, TAG_DONE };
enum { WORKER_COUNT = 3, JOB_COUNT = 12, ATTEMPTS_MAX = 2 };
enum { ROUNDS = 1000, ROUNDS_AT_ONCE = 100 };
enum { POISON = 5 }; /* the job that crashes whoever has it */

typedef struct story {
    uint32_t done_count, given_up_count;
} story;

/* ---- The store: answers ---- */

static tina_effect store_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect store_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    switch (message->tag) {
    case TAG_GET: return tina_reply(ctx, TAG_VALUE, message->payload, message->size);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- A worker: idle, fetching, computing, idle ---- */

/* docs: states */
typedef enum worker_state { WORKER_IDLE, WORKER_FETCHING, WORKER_COMPUTING } worker_state;

typedef struct worker {
    worker_state state;
    uint32_t job;   /* not IDLE */
    uint32_t sum;   /* COMPUTING */
    uint32_t round; /* COMPUTING */
} worker;
/* docs: end */

/* docs: ready */
static tina_effect worker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    if (tina_send(ctx, tina_named(0, NAME_DISPATCHER), TAG_READY, NULL, 0) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}
/* docs: end */

/* docs: transitions */
static tina_effect worker_begin(worker *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag != TAG_JOB)
        return tina_receive();
    memcpy(&me->job, message->payload, sizeof me->job);
    me->state = WORKER_FETCHING;
    return tina_call(ctx, tina_named(0, NAME_STORE), TAG_GET, &me->job, sizeof me->job, SECOND_NS);
}

static tina_effect worker_fetched(worker *me, const tina_message *message)
{
    if (message->tag != TAG_VALUE)
        return tina_crash(2); /* no answer: the dispatcher gives the job to somebody else */
    memcpy(&me->sum, message->payload, sizeof me->sum);
    me->round = 0;
    me->state = WORKER_COMPUTING;
    return tina_yield();
}

/* A slice at a time, so that others have their turn in between. */
static tina_effect worker_compute(worker *me, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < ROUNDS_AT_ONCE; i++)
        me->sum = me->sum * 33 + ++me->round;
    if (me->job == POISON)
        return tina_crash(3);
    if (me->round < ROUNDS)
        return tina_yield();
    me->state = WORKER_IDLE;
    if (tina_send(ctx, tina_named(0, NAME_DISPATCHER), TAG_DONE, &me->sum, sizeof me->sum) != TINA_OK)
        return tina_crash(4);
    return tina_receive();
}
/* docs: end */

/* docs: handler */
static tina_effect worker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    worker *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    switch (me->state) {
    case WORKER_IDLE: return worker_begin(me, message, ctx);
    case WORKER_FETCHING: return worker_fetched(me, message);
    case WORKER_COMPUTING: return worker_compute(me, ctx);
    }
    return tina_crash(5);
}
/* docs: end */

/* ---- The dispatcher: knows who has which job ---- */

/* docs: books */
enum { NO_JOB = JOB_COUNT };

typedef enum job_state { JOB_WAITING, JOB_GIVEN, JOB_DONE, JOB_GIVEN_UP } job_state;

typedef struct job {
    job_state state;
    uint32_t attempts;
} job;

typedef struct known_worker {
    tina_handle handle; /* none: nobody */
    uint32_t job;       /* or NO_JOB */
} known_worker;

typedef struct dispatcher {
    job jobs[JOB_COUNT];
    known_worker workers[WORKER_COUNT];
    uint32_t open_count; /* jobs that are neither done nor given up */
} dispatcher;
/* docs: end */

static tina_effect dispatcher_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size, (void)ctx;
    dispatcher *me = self;
    me->open_count = JOB_COUNT;
    for (uint32_t i = 0; i < WORKER_COUNT; i++)
        me->workers[i].job = NO_JOB;
    return tina_receive();
}

static known_worker *find_worker(dispatcher *me, tina_handle handle)
{
    for (uint32_t i = 0; i < WORKER_COUNT; i++) {
        if (tina_handle_equal(me->workers[i].handle, handle))
            return &me->workers[i];
    }
    return NULL;
}

static uint32_t next_job(const dispatcher *me)
{
    uint32_t index = 0;
    while (index < JOB_COUNT && me->jobs[index].state != JOB_WAITING)
        index++;
    return index;
}

/* docs: give */
static void give_job(dispatcher *me, known_worker *to, tina_ctx *ctx)
{
    uint32_t index = next_job(me);
    if (index == NO_JOB || to->job != NO_JOB)
        return;
    tina_status status = tina_send(ctx, to->handle, TAG_JOB, &index, sizeof index);
    if (status == TINA_STALE_HANDLE)
        return; /* the notice of its end is on its way */
    if (status != TINA_OK) {
        tina_ignore(tina_timer_start(ctx, RETRY_NS, TINA_TAG_TIMER, NULL));
        return;
    }
    me->jobs[index].state = JOB_GIVEN;
    me->jobs[index].attempts++;
    to->job = index;
}

static void give_all(dispatcher *me, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < WORKER_COUNT; i++) {
        if (!tina_handle_is_none(me->workers[i].handle))
            give_job(me, &me->workers[i], ctx);
    }
}

static void meet_worker(dispatcher *me, tina_handle handle, tina_ctx *ctx)
{
    tina_handle nobody = {0};
    known_worker *free_entry = find_worker(me, nobody);
    if (free_entry == NULL || tina_watch(ctx, handle) != TINA_OK)
        return;
    free_entry->handle = handle;
    give_job(me, free_entry, ctx);
}
/* docs: end */

/* docs: lose */
static void close_job(dispatcher *me, uint32_t index, job_state state, tina_ctx *ctx)
{
    me->jobs[index].state = state;
    if (--me->open_count == 0)
        tina_stop_system(ctx);
}

static void lose_worker(dispatcher *me, const tina_message *message, tina_ctx *ctx)
{
    tina_down down;
    memcpy(&down, message->payload, sizeof down);
    known_worker *known = find_worker(me, down.who);
    if (known == NULL)
        return;
    uint32_t index = known->job;
    *known = (known_worker){.job = NO_JOB};
    if (index == NO_JOB)
        return;
    if (me->jobs[index].attempts < ATTEMPTS_MAX)
        me->jobs[index].state = JOB_WAITING; /* for the next worker that is ready */
    else
        close_job(me, index, JOB_GIVEN_UP, ctx);
}
/* docs: end */

static void finish_job(dispatcher *me, tina_handle handle, tina_ctx *ctx)
{
    known_worker *known = find_worker(me, handle);
    if (known == NULL || known->job == NO_JOB)
        return;
    close_job(me, known->job, JOB_DONE, ctx);
    known->job = NO_JOB;
    give_job(me, known, ctx);
}

static tina_effect dispatcher_end(const dispatcher *me, tina_ctx *ctx)
{
    story *told = tina_user(ctx);
    for (uint32_t i = 0; i < JOB_COUNT; i++) {
        told->done_count += me->jobs[i].state == JOB_DONE;
        told->given_up_count += me->jobs[i].state == JOB_GIVEN_UP;
    }
    return tina_done();
}

/* docs: dispatcher */
static tina_effect dispatcher_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    dispatcher *me = self;
    switch (message->tag) {
    case TAG_READY: meet_worker(me, message->source, ctx); return tina_receive();
    case TAG_DONE: finish_job(me, message->source, ctx); return tina_receive();
    case TINA_TAG_DOWN: lose_worker(me, message, ctx); return tina_receive();
    case TINA_TAG_TIMER: give_all(me, ctx); return tina_receive();
    case TINA_TAG_SHUTDOWN: return dispatcher_end(me, ctx);
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- The program ---- */

int main(void)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_STORE] = {.name = "store", .init = store_init, .handler = store_handle, .size = 1},
        [TYPE_DISPATCHER] = {.name = "dispatcher",
                             .init = dispatcher_init,
                             .handler = dispatcher_handle,
                             .size = sizeof(dispatcher)},
        [TYPE_WORKER] = {.name = "worker",
                         .init = worker_init,
                         .handler = worker_handle,
                         .size = sizeof(worker),
                         .slot_count = WORKER_COUNT},
    };
    /* docs: tree */
    const tina_child workers[WORKER_COUNT] = {{.type = TYPE_WORKER}, {.type = TYPE_WORKER}, {.type = TYPE_WORKER}};
    const tina_group_spec pool = {.children = workers, .child_count = WORKER_COUNT, .restart_max = 10};
    const tina_child children[] = {
        {.type = TYPE_STORE, .name = NAME_STORE},
        {.type = TYPE_DISPATCHER, .name = NAME_DISPATCHER},
        {.group = &pool},
    };
    const tina_group_spec root = {.children = children, .child_count = 3, .strategy = TINA_REST_FOR_ONE};
    /* docs: end */
    story told = {0};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = root,
        .user = &told,
        .fd_count = TINA_NONE,
        .development = true,
    };
    tina_system *system;
    if (tina_start(&spec, &system, NULL) != TINA_OK)
        return 1;
    tina_end_report report;
    if (tina_join(system, &report) != TINA_OK)
        return 1;
    bool is_right = told.done_count == JOB_COUNT - 1 && told.given_up_count == 1;
    return is_right && report.total.crashes == ATTEMPTS_MAX ? 0 : 1;
}
