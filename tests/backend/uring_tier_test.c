/* Each older way of the io_uring backend is taken where it is asked for, and leads to the same end. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"
#include "io/uring_inside.h"

#include <stdlib.h>

#define LARGE 500000 /* more than a socket takes at once */

static const struct {
    const char *word;
    uint32_t bit;
} tiers[] = {
    {"defer", TINA__URING_DEFER},        {"coop", TINA__URING_COOP},        {"ftruncate", TINA__URING_FTRUNCATE},
    {"sendaddr", TINA__URING_SEND_ADDR}, {"waitall", TINA__URING_WAIT_ALL}, {"splice", TINA__URING_SPLICE},
};
#define TIER_COUNT (sizeof tiers / sizeof tiers[0])

static uint8_t content[LARGE];

static void make_content(void)
{
    for (uint32_t i = 0; i < LARGE; i++)
        content[i] = (uint8_t)((uint64_t)i * 2654435761u >> 24);
}

/* ---- The variable ---- */

static uint32_t allowed_without(const char *words)
{
    assert_int_equal(setenv("TINA_URING_WITHOUT", words, 1), 0);
    uint32_t allowed = tina__uring_tier_allowed();
    assert_int_equal(unsetenv("TINA_URING_WITHOUT"), 0);
    return allowed;
}

static void tier_without_words_is_whole(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("TINA_URING_WITHOUT"), 0);
    uint32_t all = 0;
    for (size_t i = 0; i < TIER_COUNT; i++)
        all |= tiers[i].bit;
    assert_int_equal(tina__uring_tier_allowed(), all);
    assert_int_equal(allowed_without(""), all);
    assert_int_equal(allowed_without(",,"), all);
    assert_int_equal(allowed_without("def,deferred,DEFER, defer,something"), all);
}

static void tier_with_words_lacks_those(void **state)
{
    (void)state;
    uint32_t all = allowed_without("");
    for (size_t i = 0; i < TIER_COUNT; i++)
        assert_int_equal(allowed_without(tiers[i].word), all & ~tiers[i].bit);
    assert_int_equal(allowed_without("splice,other,defer,"), all & ~(uint32_t)(TINA__URING_SPLICE | TINA__URING_DEFER));
}

/* ---- A story of all kinds ---- */

/* Until all of it is sent; the other end reads meanwhile and must see the same. */
static uint32_t send_all(test_rig *rig, rig_request *request, int other, const uint8_t *data, uint32_t size)
{
    static uint8_t got[LARGE];
    uint32_t sent = 0, received = 0, parts = 0;
    while (sent < size) {
        if (request->request.kind == TINA__IO_SENDFILE)
            request->request.offset = sent;
        else
            request->request.data = data + sent;
        request->request.size = size - sent;
        rig_submit(rig, request);
        while (!rig_is_over(request)) {
            ssize_t taken = rig_read(rig, other, got + received, size - received);
            received += taken > 0 ? (uint32_t)taken : 0;
            rig_turn(rig, 1000000);
        }
        assert_int_equal(request->completion.status, TINA_OK);
        assert_in_range(request->completion.size, 1, size - sent);
        sent += (uint32_t)request->completion.size;
        parts++;
        rig_renew(request);
    }
    while (received < size) {
        rig_await_input(rig, other);
        ssize_t taken = rig_read(rig, other, got + received, size - received);
        assert_true(taken > 0);
        received += (uint32_t)taken;
    }
    assert_memory_equal(got, data, size);
    return parts;
}

static void tell_of_streams(test_rig *rig)
{
    rig_fd client, server;
    rig_connected(rig, TINA_IPV4, &client, &server);
    rig_request *receiving = rig_receive(rig, server, 0);
    rig_submit(rig, receiving);
    assert_int_equal(rig_do(rig, rig_send(rig, client, "ping", 4)), TINA_OK);
    rig_await(rig, receiving);
    assert_memory_equal(rig_data(rig, receiving), "ping", 4);
    rig_lend_back(rig, receiving);
    int other;
    rig_fd pair = rig_pair(rig, &other);
    uint32_t parts = send_all(rig, rig_send(rig, pair, content, LARGE), other, content, LARGE);
    assert_true((rig->backend->tier & TINA__URING_WAIT_ALL) == 0 || parts == 1);
    rig_drop(rig, other);
    rig_close_fd(rig, pair);
    rig_close_fd(rig, client);
    rig_close_fd(rig, server);
}

static void tell_of_datagrams(test_rig *rig, int family)
{
    tina_address addresses[2];
    rig_fd fds[2] = {rig_datagram(rig, family, &addresses[0]), rig_datagram(rig, family, &addresses[1])};
    rig_request *sends[3];
    for (uint32_t i = 0; i < 3; i++) { /* in one batch, of 0, 100 and 200 bytes */
        sends[i] = rig_send_to(rig, fds[0], content + i, 100 * i, &addresses[1]);
        rig_submit(rig, sends[i]);
        rig_await(rig, sends[i]);
        assert_int_equal(sends[i]->completion.status, TINA_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        rig_request *receiving = rig_receive_from(rig, fds[1], 150);
        assert_int_equal(rig_do(rig, receiving), TINA_OK);
        assert_int_equal(receiving->completion.size, tina__min_u32(100 * i, 150));
        assert_int_equal(receiving->completion.is_truncated, i == 2);
        assert_memory_equal(rig_data(rig, receiving), content + i, receiving->completion.size);
        assert_memory_equal(rig_from(rig, receiving), &addresses[0], sizeof addresses[0]);
        rig_lend_back(rig, receiving);
    }
    rig_close_fd(rig, fds[0]);
    rig_close_fd(rig, fds[1]);
}

static void tell_of_files(test_rig *rig)
{
    char path[RIG_PATH_SIZE], new_path[RIG_PATH_SIZE];
    rig_put_file(rig, "file", content, LARGE);
    rig_path(rig, "file", path);
    rig_path(rig, "other", new_path);
    assert_int_equal(rig_do(rig, rig_rename(rig, path, new_path)), TINA_OK);
    rig_fd file = rig_file(rig, "other", TINA_OPEN_READ | TINA_OPEN_WRITE);
    int other;
    rig_fd pair = rig_pair(rig, &other);
    send_all(rig, rig_sendfile(rig, pair, file, 0, LARGE), other, content, LARGE);
    rig_drop(rig, other);
    rig_close_fd(rig, pair);
    assert_int_equal(rig_do(rig, rig_truncate(rig, file, 10)), TINA_OK);
    assert_int_equal(rig_do(rig, rig_write_at(rig, file, 8, "abcd", 4)), TINA_OK);
    assert_int_equal(rig_do(rig, rig_sync(rig, file)), TINA_OK);
    rig_request *stat = rig_stat(rig, file);
    assert_int_equal(rig_do(rig, stat), TINA_OK);
    assert_int_equal(stat->completion.size, 12);
    rig_request *reading = rig_read_at(rig, file, 7, 0);
    assert_int_equal(rig_do(rig, reading), TINA_OK);
    assert_int_equal(reading->completion.size, 5);
    assert_memory_equal(rig_data(rig, reading) + 1, "abcd", 4);
    rig_lend_back(rig, reading);
    rig_close_fd(rig, file);
    assert_int_equal(rig_do(rig, rig_unlink(rig, new_path)), TINA_OK);
    assert_false(rig_has_file(rig, "other"));
}

static void tell_of_failures(test_rig *rig)
{
    rig_request *truncate = rig_truncate(rig, (rig_fd){.os_fd = rig->config.wake_fd, .fd_class = TINA__FD_FILE}, 1);
    assert_int_not_equal(rig_do(rig, truncate), TINA_OK);
    assert_int_equal(truncate->completion.os_error, EINVAL);
    tina_address address;
    rig_fd fd = rig_datagram(rig, TINA_IPV4, &address);
    rig_request *sending = rig_send_to(rig, fd, "x", 1, &(tina_address){0});
    assert_int_equal(rig_do(rig, sending), TINA_INVALID);
    rig_close_fd(rig, fd);
}

static void tell_without(const char *words, uint32_t bits)
{
    assert_int_equal(setenv("TINA_URING_WITHOUT", words, 1), 0);
    test_rig rig;
    open_small(&rig);
    assert_int_equal(rig.backend->tier & bits, 0);
    tell_of_streams(&rig);
    tell_of_datagrams(&rig, TINA_IPV4);
    tell_of_datagrams(&rig, TINA_UNIX);
    tell_of_files(&rig);
    tell_of_failures(&rig);
    rig_close(&rig);
    assert_int_equal(unsetenv("TINA_URING_WITHOUT"), 0);
}

static void story_is_the_same_on_each_tier(void **state)
{
    (void)state;
    make_content();
    tell_without("", 0);
    for (size_t i = 0; i < TIER_COUNT; i++)
        tell_without(tiers[i].word, tiers[i].bit);
}

static void story_is_the_same_on_the_oldest(void **state)
{
    (void)state;
    make_content();
    tell_without("defer,coop,ftruncate,sendaddr,waitall,splice", UINT32_MAX);
}

/* ---- What only an older tier has to care for ---- */

/* They share a header that the kernel reads when the entry goes over. */
static void send_to_without_an_address_in_the_entry_goes_to_each(void **state)
{
    (void)state;
    enum { RECEIVERS = 20 };
    assert_int_equal(setenv("TINA_URING_WITHOUT", "sendaddr", 1), 0);
    test_rig rig;
    open_small(&rig);
    tina_address from, to[RECEIVERS];
    rig_fd sender = rig_datagram(&rig, TINA_IPV4, &from), receivers[RECEIVERS];
    rig_request *sends[RECEIVERS];
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        receivers[i] = rig_datagram(&rig, TINA_IPV4, &to[i]);
        sends[i] = rig_send_to(&rig, sender, content + i, 1 + i, &to[i]);
        rig_submit(&rig, sends[i]);
    }
    rig_await_all(&rig);
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        assert_int_equal(sends[i]->completion.status, TINA_OK);
        rig_request *receiving = rig_receive_from(&rig, receivers[i], 0);
        assert_int_equal(rig_do(&rig, receiving), TINA_OK);
        assert_int_equal(receiving->completion.size, 1 + i);
        assert_memory_equal(rig_data(&rig, receiving), content + i, 1 + i);
        rig_lend_back(&rig, receiving);
        rig_close_fd(&rig, receivers[i]);
    }
    rig_close_fd(&rig, sender);
    rig_close(&rig);
    assert_int_equal(unsetenv("TINA_URING_WITHOUT"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tier_without_words_is_whole),
        cmocka_unit_test(tier_with_words_lacks_those),
        cmocka_unit_test(story_is_the_same_on_each_tier),
        cmocka_unit_test(story_is_the_same_on_the_oldest),
        cmocka_unit_test(send_to_without_an_address_in_the_entry_goes_to_each),
    };
    wanted = TINA_BACKEND_URING;
    return is_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
