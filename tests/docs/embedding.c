/* A system that the program steps itself, on a loop of its own. Ends by itself; docs/guides/embedding.md is cut from it. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <tina/tina.h>

enum { NAME_COUNTER = 1 };
enum { TAG_COUNT = TINA_TAG_USER, TAG_END };

typedef struct counter {
    uint64_t count;
} counter;

static tina_effect counter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect counter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    counter *me = self;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_END: tina_stop_system(ctx); return tina_receive();
    default: me->count++; return tina_receive();
    }
}

static const tina_type types[] = {
    {.name = "counter", .init = counter_init, .handler = counter_handle, .size = sizeof(counter)},
};
static const tina_child children[] = {{.type = 0, .name = NAME_COUNTER}};

/* docs: thread */
/* On a thread of the program's that has nothing to do with the system. */
static void *work(void *argument)
{
    tina_system *system = argument;
    for (uint32_t i = 0; i < 100; i++) {
        tina_status status;
        do
            status = tina_post(system, tina_named(0, NAME_COUNTER), TAG_COUNT, &i, sizeof i);
        while (status == TINA_CHANNEL_FULL); /* a real program waits, or drops it */
    }
    return NULL;
}
/* docs: end */

/* docs: simplest */
static tina_status run_all(tina_system **systems, size_t count)
{
    struct pollfd wanted[8];
    size_t running = count;
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct pollfd){.fd = tina_pollfd(systems[i], NULL), .events = POLLIN};
    while (running != 0) {
        if (poll(wanted, (nfds_t)count, 10) < 0) /* at least a hundred times a second: no timer is later than that */
            return TINA_SYSTEM_ERROR;
        for (size_t i = 0; i < count; i++) {
            if (wanted[i].fd < 0 || tina_step(systems[i], 0, NULL) == TINA_OK)
                continue;
            wanted[i].fd = -1; /* it has ended, and is left out */
            running--;
        }
    }
    return TINA_OK;
}
/* docs: end */

static tina_system_spec make_spec(void)
{
    /* docs: spec */
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .external = true,
    };
    /* docs: end */
    return spec;
}

static int run_several(void)
{
    tina_system *systems[3];
    tina_system_spec spec = make_spec();
    uint64_t posted = 0;
    for (size_t i = 0; i < 3; i++) {
        tina_error error;
        if (tina_start(&spec, &systems[i], &error) != TINA_OK) {
            fprintf(stderr, "%s: %s\n", error.path, error.message);
            return 1;
        }
        posted += tina_post(systems[i], tina_named(0, NAME_COUNTER), TAG_END, NULL, 0) == TINA_OK;
    }
    tina_status status = run_all(systems, 3);
    for (size_t i = 0; i < 3; i++) {
        if (tina_join(systems[i], NULL) != TINA_OK)
            return 1;
    }
    return status == TINA_OK && posted == 3 ? 0 : 1;
}

static int run_with_a_thread(void)
{
    tina_system_spec spec = make_spec();
    tina_system *system;
    pthread_t thread;
    if (tina_start(&spec, &system, NULL) != TINA_OK || pthread_create(&thread, NULL, work, system) != 0)
        return 1;
    /* docs: wait */
    uint32_t done = 0;
    while (done < 100) {
        uint32_t work_done;
        tina_status status = tina_step(system, TINA_NONE_NS, &work_done); /* waits until there is something */
        if (status != TINA_OK)
            break;
        tina_stats stats;
        if (tina_shard_stats(system, 0, &stats) == TINA_OK)
            done = (uint32_t)stats.delivered;
    }
    /* docs: end */
    pthread_join(thread, NULL);
    /* docs: end of it */
    tina_stop(system);
    tina_end_report report;
    tina_status status = tina_join(system, &report); /* on the thread that steps: it steps to the end */
    /* docs: end */
    return status == TINA_OK && report.total.delivered == 100 ? 0 : 1;
}

int main(void) { return run_several() != 0 || run_with_a_thread() != 0; }
