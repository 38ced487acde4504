/* One suite for every backend that works here; with an argument, only for the one of that name. Include it after "rig.h". */
#ifndef TESTS_BACKEND_EACH_H
#define TESTS_BACKEND_EACH_H

#include "rig.h"

static uint8_t wanted;

static const tina__backend_config small = {.op_count = 64, .fd_count = 32, .buffer_count = 8, .buffer_size = 256};

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

/* How many tests failed. */
static inline int run_each(const struct CMUnitTest *tests, size_t count, int argc, char **argv)
{
    static const tina__backend_api *const backends[] = {&tina__uring_backend, &tina__epoll_backend};
    int failed = 0;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        const char *name = backends[i]->name;
        if (argc > 1 && strcmp(argv[1], name) != 0)
            continue;
        wanted = backends[i]->id;
        print_message("backend %s\n", name);
        if (is_available())
            failed += _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    }
    return failed;
}

#endif
