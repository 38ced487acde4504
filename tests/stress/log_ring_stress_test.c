/*
 * A log ring between its two threads: what was written is read, in order and
 * whole; what was not, was refused. read + refused = tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/prng.h"
#include "mem/log_ring.h"
#include "support/guard.h"

#define RING_SIZE 1024
#define LINE_MAX  (RING_SIZE / 2)

#if defined(__SANITIZE_THREAD__)
#define LINE_COUNT 100000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LINE_COUNT 100000u
#endif
#endif
#ifndef LINE_COUNT
#define LINE_COUNT 3000000u
#endif

typedef struct shared_log {
    tina__log_ring ring;
    _Atomic bool is_over; /* the writer is done */
    uint32_t refused;     /* the writer's */
    uint32_t read, wrong; /* the reader's */
} shared_log;

/* A line is its number, then bytes that follow from it. */
static uint32_t length_of(uint32_t number)
{
    return (uint32_t)sizeof number + (uint32_t)(tina__mix64(number) % (number % 16 == 0 ? LINE_MAX - 3 : 60));
}

static void *write_lines(void *argument)
{
    shared_log *log = argument;
    char line[LINE_MAX];
    for (uint32_t number = 0; number < LINE_COUNT; number++) {
        uint32_t length = length_of(number);
        memset(line, (int)(number % 127), length);
        memcpy(line, &number, sizeof number);
        if (tina__log_ring_write(&log->ring, (uint8_t)(number % 5), line, length))
            continue;
        log->refused++;
        sched_yield();
    }
    /* release, with the reader: all lines are in the ring. */
    atomic_store_explicit(&log->is_over, true, memory_order_release);
    return NULL;
}

static bool is_whole(const char *line, uint32_t length, uint8_t level, uint32_t number)
{
    if (length != length_of(number) || level != number % 5)
        return false;
    for (uint32_t i = sizeof number; i < length; i++)
        if (line[i] != (char)(number % 127))
            return false;
    return true;
}

/* False: there was none. */
static bool read_line(shared_log *log, uint32_t *least)
{
    char line[LINE_MAX];
    uint8_t level;
    uint32_t length, number;
    if (!tina__log_ring_read(&log->ring, &level, line, sizeof line, &length))
        return false;
    memcpy(&number, line, sizeof number);
    log->wrong += number < *least || !is_whole(line, length, level, number);
    log->read++;
    *least = number + 1;
    return true;
}

static void read_lines(shared_log *log)
{
    uint32_t least = 0;
    for (;;) {
        bool is_over =
            atomic_load_explicit(&log->is_over, memory_order_acquire); /* before the look, which then is the last */
        if (read_line(log, &least))
            continue;
        if (is_over)
            return;
        sched_yield();
    }
}

static void log_ring_two_threads_lose_only_what_was_refused(void **state)
{
    (void)state;
    static shared_log log;
    tina_test_guard guard = tina_test_guard_make(RING_SIZE, RING_SIZE);
    tina__log_ring_init(&log.ring, guard.data, RING_SIZE);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_lines, &log), 0);
    read_lines(&log);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(log.wrong, 0);
    assert_int_not_equal(log.read, 0);
    assert_int_equal(log.read + log.refused, LINE_COUNT);
    print_message("%u lines read, %u refused\n", log.read, log.refused);
    tina_test_guard_free(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_ring_two_threads_lose_only_what_was_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
