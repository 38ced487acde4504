/* The tests' own instruments: each alarm rings, and only when it should. */
#define _GNU_SOURCE /* reallocarray, sbrk */
#include "support/guard.h"
#include "support/leaks.h"
#include "support/tripwire.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- The tripwire ---- */

/* What is given here is used, as far as the compiler knows. */
static void use(void *block) { __asm__ volatile("" : : "r"(block) : "memory"); }

static void by_malloc(void)
{
    void *block = malloc(24);
    use(block);
    free(block);
}
static void by_calloc(void)
{
    void *block = calloc(3, 8);
    use(block);
    free(block);
}
static void by_realloc(void)
{
    void *block = realloc(NULL, 24);
    use(block);
    free(block);
}
static void by_reallocarray(void)
{
    void *block = reallocarray(NULL, 3, 8);
    use(block);
    free(block);
}
static void by_memalign(void)
{
    void *block = memalign(64, 64);
    use(block);
    free(block);
}
static void by_aligned_alloc(void)
{
    void *block = aligned_alloc(64, 64);
    use(block);
    free(block);
}
static void by_posix_memalign(void)
{
    void *block = NULL;
    if (posix_memalign(&block, 64, 64) != 0)
        abort();
    use(block);
    free(block);
}
static void by_mmap(void)
{
    void *block = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    use(block);
    munmap(block, 4096);
}
static void by_sbrk(void) { use(sbrk(0)); }
static void by_brk(void)
{
    if (brk(sbrk(0)) != 0)
        abort();
}
static void by_strdup(void)
{
    char *copy = strdup("somebody else's malloc");
    use(copy);
    free(copy);
}
static void by_fopen(void)
{
    FILE *file = fopen("/dev/null", "r");
    use(file);
    fclose(file);
}

static uint64_t hits_of(void (*act)(void))
{
    tina_test_tripwire_arm();
    act();
    tina_test_tripwire_disarm();
    return tina_test_tripwire_hits();
}

static void tripwire_every_door_rings(void **state)
{
    static void (*const acts[])(void) = {by_malloc,   by_calloc,        by_realloc,        by_reallocarray,
                                         by_memalign, by_aligned_alloc, by_posix_memalign, by_mmap,
                                         by_sbrk,     by_brk,           by_strdup,         by_fopen};
    (void)state;
    if (!tina_test_tripwire_works())
        skip();
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        uint64_t hits = hits_of(acts[i]);
        if (hits == 0)
            fail_msg("door %zu was silent", i);
    }
}

static void free_a_block(void *block) { free(block); }

static void tripwire_free_is_silent(void **state)
{
    (void)state;
    void *block = malloc(24);
    tina_test_tripwire_arm();
    free_a_block(block);
    tina_test_tripwire_disarm();
    assert_int_equal(tina_test_tripwire_hits(), 0);
}

static void tripwire_disarmed_is_silent(void **state)
{
    (void)state;
    tina_test_tripwire_arm();
    tina_test_tripwire_disarm();
    by_malloc();
    assert_int_equal(tina_test_tripwire_hits(), 0);
}

static void tripwire_first_caller_is_named(void **state)
{
    char text[256];
    (void)state;
    if (!tina_test_tripwire_works())
        skip();
    tina_test_tripwire_arm();
    by_malloc();
    by_calloc();
    tina_test_tripwire_disarm();
    tina_test_tripwire_first(text, sizeof text);
    assert_non_null(strstr(text, "malloc(24) from "));
    assert_non_null(strstr(text, "unit_support+0x"));

    tina_test_tripwire_arm();
    tina_test_tripwire_disarm();
    tina_test_tripwire_first(text, sizeof text);
    assert_string_equal(text, "");
}

static void *allocate_on_a_thread(void *is_exempt)
{
    tina_test_tripwire_exempt(is_exempt != NULL);
    by_malloc();
    return NULL;
}

/* How often it rang, armed by arm after the thread was made and before it ran. */
static uint64_t hits_on_a_thread(void (*arm)(void), void *is_exempt)
{
    pthread_t thread;
    tina_test_tripwire_exempt(true); /* making a thread allocates */
    arm();
    if (pthread_create(&thread, NULL, allocate_on_a_thread, is_exempt) != 0)
        abort();
    pthread_join(thread, NULL);
    tina_test_tripwire_disarm();
    tina_test_tripwire_exempt(false);
    return tina_test_tripwire_hits();
}

static void arm_all(void) { tina_test_tripwire_arm(); }

static void tripwire_armed_for_all_rings_on_other_threads(void **state)
{
    (void)state;
    if (!tina_test_tripwire_works())
        skip();
    assert_int_equal(hits_on_a_thread(arm_all, NULL), 1);
}

static void tripwire_exempt_thread_is_silent(void **state)
{
    (void)state;
    assert_int_equal(hits_on_a_thread(arm_all, &(int){0}), 0);
}

static void *just_allocate(void *argument)
{
    by_malloc();
    return argument;
}

static void tripwire_armed_for_a_thread_is_silent_on_others(void **state)
{
    pthread_t thread;
    uint64_t before, after;
    (void)state;
    if (!tina_test_tripwire_works())
        skip();
    tina_test_tripwire_arm_thread();
    int failed = pthread_create(&thread, NULL, just_allocate, NULL);
    before = tina_test_tripwire_hits(); /* what pthread_create took */
    if (!failed)
        pthread_join(thread, NULL);
    after = tina_test_tripwire_hits();
    by_malloc();
    tina_test_tripwire_disarm();
    assert_int_equal(failed, 0);
    assert_int_equal(after, before);
    assert_int_equal(tina_test_tripwire_hits(), after + 1);
}

/* ---- Leaks ---- */

static void fd_count_open_and_close_is_seen(void **state)
{
    (void)state;
    size_t before = tina_test_fd_count();
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(tina_test_fd_count(), before + 1);
    close(fd);
    assert_int_equal(tina_test_fd_count(), before);
}

static void fd_count_many_is_exact(void **state)
{
    enum { COUNT = 300 }; /* more than one read of the directory gives */
    int fds[COUNT];
    (void)state;
    size_t before = tina_test_fd_count();
    for (int i = 0; i < COUNT; i++)
        fds[i] = open("/dev/null", O_RDONLY);
    size_t with = tina_test_fd_count();
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    assert_int_equal(with, before + COUNT);
    assert_int_equal(tina_test_fd_count(), before);
}

static void mapping_count_guarded_page_is_seen(void **state)
{
    (void)state;
    size_t before = tina_test_mapping_count();
    tina_test_guard guard = tina_test_guard_make(1, 1);
    assert_true(tina_test_mapping_count() > before);
    tina_test_guard_free(&guard);
    assert_int_equal(tina_test_mapping_count(), before);
}

/* ---- Guards ---- */

/* The signal that ended a child which writes one byte there; 0: none did. */
static int signal_of_write(char *where)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        *(volatile char *)where = 1;
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void guard_last_byte_is_ours_next_faults(void **state)
{
    static const size_t sizes[] = {1, 100, 4095, 4096, 4097};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tina_test_guard guard = tina_test_guard_make(sizes[i], 1);
        char *data = guard.data;
        assert_int_equal(data[0], 0);
        assert_int_equal(signal_of_write(data), 0);
        assert_int_equal(signal_of_write(data + sizes[i] - 1), 0);
        assert_int_equal(signal_of_write(data + sizes[i]), SIGSEGV);
        tina_test_guard_free(&guard);
    }
}

static void guard_aligned_data_is_aligned(void **state)
{
    (void)state;
    tina_test_guard guard = tina_test_guard_make(640, 128);
    assert_int_equal((uintptr_t)guard.data % 128, 0);
    assert_int_equal(signal_of_write((char *)guard.data + 640), SIGSEGV);
    tina_test_guard_free(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tripwire_every_door_rings),
        cmocka_unit_test(tripwire_free_is_silent),
        cmocka_unit_test(tripwire_disarmed_is_silent),
        cmocka_unit_test(tripwire_first_caller_is_named),
        cmocka_unit_test(tripwire_armed_for_all_rings_on_other_threads),
        cmocka_unit_test(tripwire_exempt_thread_is_silent),
        cmocka_unit_test(tripwire_armed_for_a_thread_is_silent_on_others),
        cmocka_unit_test(fd_count_open_and_close_is_seen),
        cmocka_unit_test(fd_count_many_is_exact),
        cmocka_unit_test(mapping_count_guarded_page_is_seen),
        cmocka_unit_test(guard_last_byte_is_ours_next_faults),
        cmocka_unit_test(guard_aligned_data_is_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
