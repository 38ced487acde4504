/*
 * A dump between its two threads: the shard writes events and dumps now and then,
 * the reader finds each dump whole and in order, and never one that changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "core/trace.h"

#define COUNT      64
#define DUMP_COUNT 20000u /* that are to be taken */

typedef struct recorder {
    tina__trace trace;
    tina__event events[COUNT], dump[COUNT];
    uint32_t refused;     /* the writer's */
    uint32_t read, wrong; /* the reader's */
} recorder;

static recorder shared;

/* An event whose words all follow from its number. */
static void add_event(tina__trace *trace)
{
    uint64_t number = tina__trace_written(trace);
    tina_handle who = {number};
    tina__trace_add(trace, number, TINA__EVENT_UP, who, (uint16_t)number, (uint16_t)~number, number);
}

static bool is_event(const tina__event *event, uint64_t number)
{
    if (event->value != number || event->tick != (uint32_t)number || tina__event_kind_of(event) != TINA__EVENT_UP)
        return false;
    return event->tag == (uint16_t)number && event->detail == (uint16_t)~number;
}

static void *write_events(void *argument)
{
    recorder *to = argument;
    uint32_t dumped = 0;
    while (dumped < DUMP_COUNT) {
        for (uint32_t i = 0; i <= dumped % 7; i++)
            add_event(&to->trace);
        if (tina__trace_dump(&to->trace, dumped % (COUNT + 2))) {
            dumped++;
        } else {
            to->refused++;
            sched_yield();
        }
    }
    return NULL;
}

static void read_dump(recorder *from)
{
    const tina__trace *trace = &from->trace;
    for (uint32_t i = 0; i < trace->dump_count; i++)
        from->wrong += !is_event(&trace->dump[i], trace->dump_first + i);
    from->wrong += trace->dump_count > from->read % (COUNT + 2);
    from->read++;
}

static void read_dumps(recorder *from)
{
    while (from->read < DUMP_COUNT) {
        if (!atomic_load_explicit(&from->trace.is_dumping, memory_order_acquire)) { /* with tina__trace_dump */
            sched_yield();
            continue;
        }
        read_dump(from);
        /* release, with tina__trace_dump: it is read before it is written over. */
        atomic_store_explicit(&from->trace.is_dumping, false, memory_order_release);
    }
}

static void trace_dumps_between_two_threads_come_whole(void **state)
{
    (void)state;
    tina__trace_init(&shared.trace, shared.events, shared.dump, COUNT);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_events, &shared), 0);
    read_dumps(&shared);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(shared.wrong, 0);
    assert_int_equal(shared.read, DUMP_COUNT);
    print_message("%u dumps read, %u refused\n", shared.read, shared.refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_dumps_between_two_threads_come_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
