#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/mpsc.h"
#include "support/guard.h"

/* Runs body in a child process: does it end in an abort? */
static bool aborts(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        body();
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static tina__mpsc queue;
static tina_test_guard guard;

static void make(uint32_t capacity)
{
    guard = tina_test_guard_make(capacity * sizeof(tina__mpsc_slot), sizeof(tina__mpsc_slot));
    tina__mpsc_init(&queue, guard.data, capacity);
}

static void end(void) { tina_test_guard_free(&guard); }

static bool push(uint32_t number)
{
    tina_message message = {.correlation = number};
    return tina__mpsc_push(&queue, &message);
}

static uint32_t pop(void)
{
    const tina_message *message = tina__mpsc_peek(&queue);
    if (message == NULL)
        return TINA__NONE;
    uint32_t number = message->correlation;
    tina__mpsc_take(&queue);
    return number;
}

static void mpsc_peek_when_empty_is_none(void **state)
{
    (void)state;
    make(4);
    assert_null(tina__mpsc_peek(&queue));
    end();
}

static void mpsc_push_when_full_refuses(void **state)
{
    (void)state;
    static const uint32_t capacities[] = {1, 2, 3, 7, 8, 100};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        make(capacities[i]);
        for (uint32_t n = 0; n < capacities[i]; n++)
            assert_true(push(n));
        assert_false(push(0));
        assert_false(push(0));
        assert_int_equal(pop(), 0);
        assert_true(push(capacities[i]));
        assert_false(push(0));
        for (uint32_t n = 1; n <= capacities[i]; n++)
            assert_int_equal(pop(), n);
        assert_int_equal(pop(), TINA__NONE);
        end();
    }
}

static void mpsc_many_rounds_keep_the_order(void **state)
{
    (void)state;
    make(3);
    uint32_t pushed = 0, popped = 0;
    while (pushed < 1000) {
        for (uint32_t n = 0; n <= pushed % 3; n++)
            pushed += push(pushed);
        for (uint32_t n = 0; n <= popped % 2 && popped < pushed; n++)
            assert_int_equal(pop(), popped++);
    }
    while (popped < pushed)
        assert_int_equal(pop(), popped++);
    assert_int_equal(pop(), TINA__NONE);
    end();
}

static void mpsc_peek_twice_is_the_same_message(void **state)
{
    (void)state;
    make(2);
    push(1);
    push(2);
    assert_ptr_equal(tina__mpsc_peek(&queue), tina__mpsc_peek(&queue));
    assert_int_equal(tina__mpsc_peek(&queue)->correlation, 1);
    end();
}

static void mpsc_push_copies_the_bytes_in_use_only(void **state)
{
    (void)state;
    make(1);
    tina_message message = {.tag = TINA_TAG_USER, .size = 10, .destination = {99}};
    memset(message.payload, 0xAB, sizeof message.payload);
    assert_true(tina__mpsc_push(&queue, &message));
    const tina_message *got = tina__mpsc_peek(&queue);
    assert_int_equal((uintptr_t)got % 128, 0);
    assert_int_equal(got->tag, TINA_TAG_USER);
    assert_int_equal(got->destination.bits, 99);
    assert_int_equal(got->size, 10);
    assert_memory_equal(got->payload, message.payload, 10);
    assert_int_equal(got->payload[10], 0);
    end();
}

static void mpsc_push_of_a_whole_payload_stays_in_its_slot(void **state)
{
    (void)state;
    make(1);
    tina_message message = {.size = TINA_PAYLOAD_MAX};
    memset(message.payload, 0xFF, sizeof message.payload);
    assert_true(tina__mpsc_push(&queue, &message));
    assert_memory_equal(tina__mpsc_peek(&queue)->payload, message.payload, TINA_PAYLOAD_MAX);
    tina__mpsc_take(&queue);
    assert_true(push(5));
    assert_int_equal(pop(), 5);
    end();
}

static void take_when_empty(void)
{
    make(2);
    tina__mpsc_take(&queue);
}

static void push_more_than_a_payload(void)
{
    make(2);
    tina_message message = {.size = TINA_PAYLOAD_MAX + 1};
    tina__mpsc_push(&queue, &message);
}

static void mpsc_take_when_empty_aborts(void **state)
{
    (void)state;
    assert_true(aborts(take_when_empty));
}

static void mpsc_push_of_more_than_a_payload_aborts(void **state)
{
    (void)state;
    assert_true(aborts(push_more_than_a_payload));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mpsc_peek_when_empty_is_none),
        cmocka_unit_test(mpsc_push_when_full_refuses),
        cmocka_unit_test(mpsc_many_rounds_keep_the_order),
        cmocka_unit_test(mpsc_peek_twice_is_the_same_message),
        cmocka_unit_test(mpsc_push_copies_the_bytes_in_use_only),
        cmocka_unit_test(mpsc_push_of_a_whole_payload_stays_in_its_slot),
        cmocka_unit_test(mpsc_take_when_empty_aborts),
        cmocka_unit_test(mpsc_push_of_more_than_a_payload_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
