/* A program with a main of its own: start, post, look, stop, join. Ends by itself; docs/ is cut from it. */
#include <stdio.h>
#include <tina/tina.h>

enum { NAME_COUNTER = 1 };
enum { TAG_COUNT = TINA_TAG_USER };

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
    (void)ctx;
    counter *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    me->count++;
    return tina_receive();
}

/* docs: ledger */
/* Every message that a send accepted was handled, refused on arrival, or died with its owner. */
static bool is_balanced(const tina_stats *total)
{
    uint64_t accepted = total->sent_local + total->sent_remote + total->posted;
    uint64_t refused = total->arrived_full + total->arrived_stale + total->arrived_exhausted;
    return accepted == total->delivered + refused + total->died_with_owner;
}
/* docs: end */

static int host(const tina_system_spec *spec)
{
    /* docs: host */
    tina_error error;
    tina_system *system;
    if (tina_start(spec, &system, &error) != TINA_OK) {
        fprintf(stderr, "%s: %s\n", error.path, error.message);
        return 1;
    }
    for (int i = 0; i < 3; i++)
        tina_ignore(tina_post(system, tina_named(0, NAME_COUNTER), TAG_COUNT, NULL, 0));

    tina_stats stats;
    tina_status status = tina_shard_stats(system, 0, &stats);

    tina_stop(system);
    tina_end_report report;
    if (tina_join(system, &report) == TINA_TIMED_OUT)
        fprintf(stderr, "%u isolates did not end by themselves\n", report.undrained_count);
    /* docs: end */
    return status == TINA_OK && report.total.posted == 3 && is_balanced(&report.total) ? 0 : 1;
}

int main(void)
{
    const tina_type types[] = {
        {.name = "counter", .init = counter_init, .handler = counter_handle, .size = sizeof(counter)},
    };
    const tina_child children[] = {{.type = 0, .name = NAME_COUNTER}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .shard_count = 2,
        .root = {.children = children, .child_count = 1},
        .development = true,
    };
    return host(&spec);
}
