#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/arena.h"
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

static void arena_carve_any_alignment_is_aligned_and_apart(void **state)
{
    (void)state;
    tina_test_guard guard = tina_test_guard_make(4096, 4096);
    tina__arena arena;
    tina__arena_init(&arena, guard.data, guard.size);
    uint8_t *end = guard.data;
    for (size_t alignment = 1; alignment <= 256; alignment *= 2) {
        uint8_t *part = tina__arena_carve(&arena, 3, alignment);
        assert_int_equal((uintptr_t)part % alignment, 0);
        assert_true(part >= end);
        end = part + 3;
    }
    assert_int_equal(arena.used, end - (uint8_t *)guard.data);
    tina_test_guard_free(&guard);
}

static void arena_carve_to_the_last_byte_fits(void **state)
{
    (void)state;
    tina_test_guard guard = tina_test_guard_make(128, 1);
    tina__arena arena;
    tina__arena_init(&arena, guard.data, guard.size);
    assert_ptr_equal(tina__arena_carve(&arena, 64, 1), guard.data);
    uint8_t *rest = tina__arena_carve(&arena, 64, 64);
    assert_ptr_equal(rest, (uint8_t *)guard.data + 64);
    rest[63] = 1;
    assert_int_equal(arena.used, 128);
    tina_test_guard_free(&guard);
}

static void arena_carve_of_nothing_takes_nothing(void **state)
{
    (void)state;
    uint8_t memory[16];
    tina__arena arena;
    tina__arena_init(&arena, memory, sizeof memory);
    tina__arena_carve(&arena, 16, 1);
    assert_ptr_equal(tina__arena_carve(&arena, 0, 16), memory + 16);
    assert_int_equal(arena.used, 16);
}

static void carve_one_byte_too_many(void)
{
    uint8_t memory[16];
    tina__arena arena;
    tina__arena_init(&arena, memory, sizeof memory);
    tina__arena_carve(&arena, 1, 1);
    tina__arena_carve(&arena, 15, 1);
    tina__arena_carve(&arena, 1, 1);
}

static void carve_behind_the_end_by_alignment(void)
{
    uint8_t memory[16];
    tina__arena arena;
    tina__arena_init(&arena, memory, sizeof memory);
    tina__arena_carve(&arena, 1, 1);
    tina__arena_carve(&arena, 0, 32);
}

static void carve_with_an_odd_alignment(void)
{
    uint8_t memory[16];
    tina__arena arena;
    tina__arena_init(&arena, memory, sizeof memory);
    tina__arena_carve(&arena, 1, 3);
}

static void arena_carve_past_the_end_aborts(void **state)
{
    (void)state;
    assert_true(aborts(carve_one_byte_too_many));
    assert_true(aborts(carve_behind_the_end_by_alignment));
}

static void arena_carve_with_an_odd_alignment_aborts(void **state)
{
    (void)state;
    assert_true(aborts(carve_with_an_odd_alignment));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_carve_any_alignment_is_aligned_and_apart),
        cmocka_unit_test(arena_carve_to_the_last_byte_fits),
        cmocka_unit_test(arena_carve_of_nothing_takes_nothing),
        cmocka_unit_test(arena_carve_past_the_end_aborts),
        cmocka_unit_test(arena_carve_with_an_odd_alignment_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
