/*
 * One suite for every backend that works here. With an argument, only for the
 * backend of that name; with a second, only the tests that match it. Include it
 * after "rig.h".
 */
#ifndef TESTS_BACKEND_EACH_H
#define TESTS_BACKEND_EACH_H

#include "rig.h"

static uint8_t wanted;

static const tina__backend_config small = {
    .op_count = 64, .fd_count = 32, .buffer_count = 8, .buffer_size = 256, .file_threads = 2};

static inline void open_config(test_rig *rig, tina__backend_config config)
{
    rig_try_open(rig, wanted, config);
    assert_int_equal(rig->status, TINA_OK);
    assert_int_equal(rig->api->id, wanted);
}

static inline void open_small(test_rig *rig) { open_config(rig, small); }

static inline bool is_available(void)
{
    test_rig rig;
    rig_try_open(&rig, wanted, small);
    if (rig.status == TINA_OK)
        rig_close(&rig);
    else
        print_message("skipped: %s (%s)\n", rig.why, strerror(rig.os_error));
    return rig.status == TINA_OK;
}

typedef struct test_unfit {
    const char *name, *why; /* of a test that a made network can't run */
} test_unfit;

static inline const char *find_unfit(const struct CMUnitTest *test, const test_unfit *unfit, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(test->name, unfit[i].name) == 0)
            return unfit[i].why;
    }
    return NULL;
}

/* How many failed. */
static inline int run_made(const char *name, const struct CMUnitTest *tests, size_t count, const test_unfit *unfit,
                           size_t unfit_count)
{
    struct CMUnitTest *fit = rig_pages(count * sizeof *fit);
    size_t fit_count = 0, skipped = 0;
    for (size_t i = 0; i < count; i++) {
        const char *why = find_unfit(&tests[i], unfit, unfit_count);
        if (why == NULL)
            fit[fit_count++] = tests[i];
        else
            print_message("skipped: %s (%s)\n", tests[i].name, why);
        skipped += why != NULL;
    }
    int failed = skipped == unfit_count ? 0 : 1; /* a name is no test's */
    failed += _cmocka_run_group_tests(name, fit, fit_count, NULL, NULL);
    free(fit);
    return failed;
}

/* How many tests failed. unfit: those that make no sense on a made network. */
static inline int run_each(const struct CMUnitTest *tests, size_t count, const test_unfit *unfit, size_t unfit_count,
                           int argc, char **argv)
{
    static const tina__backend_api *const backends[] = {&tina__uring_backend, &tina__epoll_backend, &tina__net_backend};
    int failed = 0;
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        const char *name = backends[i]->name;
        if (argc > 1 && strcmp(argv[1], name) != 0)
            continue;
        wanted = backends[i]->id;
        print_message("backend %s\n", name);
        if (wanted == TINA_BACKEND_SIM)
            failed += run_made(name, tests, count, unfit, unfit_count);
        else if (is_available())
            failed += _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    }
    return failed;
}

#endif
