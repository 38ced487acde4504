/* Unix sockets: connections by path and by abstract name, and what is told of those without a name. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

static tina_address by_path(test_rig *rig, const char *name)
{
    char path[RIG_PATH_SIZE];
    return tina_unix(rig_path(rig, name, path));
}

static rig_fd listen_at(test_rig *rig, const tina_address *address, int backlog)
{
    tina_address local;
    int os_error;
    rig_fd fd = rig_socket(rig, TINA_UNIX);
    rig_bind(rig, fd, address, &local);
    assert_memory_equal(&local, address, sizeof local);
    assert_int_equal(rig->api->socket_listen(rig->backend, fd.os_fd, backlog, &os_error), TINA_OK);
    return fd;
}

static tina_address peer_of(test_rig *rig, rig_fd fd)
{
    tina_address peer;
    int os_error;
    assert_int_equal(rig->api->socket_peer(rig->backend, fd.os_fd, &peer, &os_error), TINA_OK);
    return peer;
}

static void expect_bytes(test_rig *rig, rig_fd from, rig_fd to, const char *bytes)
{
    uint32_t size = (uint32_t)strlen(bytes);
    rig_request *receiving = rig_receive(rig, to, 0);
    rig_submit(rig, receiving);
    assert_int_equal(rig_do(rig, rig_send(rig, from, bytes, size)), TINA_OK);
    rig_await(rig, receiving);
    assert_int_equal(receiving->completion.status, TINA_OK);
    assert_int_equal(receiving->completion.size, size);
    assert_memory_equal(rig_data(rig, receiving), bytes, size);
    rig_lend_back(rig, receiving);
}

/* A connection to that listener. client may have a name. */
static rig_fd connect_pair(test_rig *rig, rig_fd listener, const tina_address *address, rig_fd client)
{
    rig_request *accepting = rig_accept(rig, listener);
    rig_submit(rig, accepting);
    rig_turn(rig, 0);
    assert_int_equal(rig_do(rig, rig_connect(rig, client, address)), TINA_OK);
    rig_await(rig, accepting);
    assert_int_equal(accepting->completion.status, TINA_OK);
    return rig_adopt(rig, accepting->completion.os_fd);
}

static void carries_bytes(test_rig *rig, const tina_address *address)
{
    rig_fd listener = listen_at(rig, address, 8);
    for (int round = 0; round < 3; round++) {
        rig_fd client = rig_socket(rig, TINA_UNIX);
        rig_fd server = connect_pair(rig, listener, address, client);
        tina_address peer = peer_of(rig, client);
        assert_memory_equal(&peer, address, sizeof peer);
        expect_bytes(rig, client, server, "ping");
        expect_bytes(rig, server, client, "pong!");
        rig_close_fd(rig, client);
        rig_request *ending = rig_receive(rig, server, 0);
        assert_int_equal(rig_do(rig, ending), TINA_CLOSED);
        rig_close_fd(rig, server);
    }
    rig_close_fd(rig, listener);
}

static void connect_by_path_carries_bytes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = by_path(&rig, "socket");
    carries_bytes(&rig, &address);
    rig_close(&rig);
}

static void connect_by_abstract_name_carries_bytes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = rig_nearby(TINA_UNIX);
    carries_bytes(&rig, &address);
    rig_close(&rig);
}

/* Zero bytes in it are as good as others. */
static void connect_by_abstract_name_of_any_bytes_carries_bytes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = rig_nearby(TINA_UNIX);
    address.path[address.length + 1] = 'x';
    address.length = (uint8_t)(address.length + 2);
    carries_bytes(&rig, &address);
    rig_close(&rig);
}

static void accept_of_a_client_without_a_name_says_so(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = by_path(&rig, "socket");
    rig_fd listener = listen_at(&rig, &address, 8);
    rig_fd client = rig_socket(&rig, TINA_UNIX);
    rig_fd server = connect_pair(&rig, listener, &address, client);
    tina_address peer = peer_of(&rig, server);
    assert_int_equal(peer.family, TINA_UNIX);
    assert_int_equal(peer.length, 0);
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

static void accept_of_a_client_with_a_name_says_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = by_path(&rig, "socket"), local;
    tina_address names[] = {by_path(&rig, "client"), rig_nearby(TINA_UNIX)};
    rig_fd listener = listen_at(&rig, &address, 8);
    for (int i = 0; i < 2; i++) {
        rig_fd client = rig_socket(&rig, TINA_UNIX);
        rig_bind(&rig, client, &names[i], &local);
        rig_fd server = connect_pair(&rig, listener, &address, client);
        tina_address peer = peer_of(&rig, server);
        assert_memory_equal(&peer, &names[i], sizeof peer);
        rig_close_fd(&rig, client);
        rig_close_fd(&rig, server);
    }
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

static void expect_no_connection(test_rig *rig, const tina_address *address, uint16_t status, int os_error)
{
    rig_fd client = rig_socket(rig, TINA_UNIX);
    rig_request *connecting = rig_connect(rig, client, address);
    assert_int_equal(rig_do(rig, connecting), status);
    assert_int_equal(connecting->completion.os_error, os_error);
    rig_close_fd(rig, client);
}

static void connect_where_nobody_is_says_why(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address nothing = by_path(&rig, "nothing"), file = by_path(&rig, "file"), beneath = by_path(&rig, "file/x");
    tina_address once = by_path(&rig, "once"), abstract = rig_nearby(TINA_UNIX);
    rig_put_file(&rig, "file", "x", 1);
    rig_close_fd(&rig, listen_at(&rig, &once, 8)); /* its name stays */
    expect_no_connection(&rig, &nothing, TINA_NOT_FOUND, ENOENT);
    expect_no_connection(&rig, &file, TINA_REFUSED, ECONNREFUSED);
    expect_no_connection(&rig, &beneath, TINA_NOT_FOUND, ENOTDIR);
    expect_no_connection(&rig, &once, TINA_REFUSED, ECONNREFUSED);
    expect_no_connection(&rig, &abstract, TINA_REFUSED, ECONNREFUSED);
    rig_close(&rig);
}

static void connect_to_an_address_that_is_none_is_invalid(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address too_long = {.family = TINA_UNIX, .length = 105};
    memset(too_long.path, 'x', sizeof too_long.path);
    expect_no_connection(&rig, &too_long, TINA_INVALID, 0);
    rig_close(&rig);
}

static void expect_not_bound(test_rig *rig, const tina_address *address, int os_error)
{
    int found;
    rig_fd fd = rig_socket(rig, TINA_UNIX);
    assert_int_equal(rig->api->socket_bind(rig->backend, fd.os_fd, address, &found), TINA_SYSTEM_ERROR);
    assert_int_equal(found, os_error);
    rig_close_fd(rig, fd);
}

static void bind_of_a_name_that_is_taken_fails_until_it_is_unlinked(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    char path[RIG_PATH_SIZE];
    tina_address address = by_path(&rig, "socket"), abstract = rig_nearby(TINA_UNIX);
    rig_fd listener = listen_at(&rig, &address, 8);
    expect_not_bound(&rig, &address, EADDRINUSE);
    rig_close_fd(&rig, listener);
    expect_not_bound(&rig, &address, EADDRINUSE);
    assert_int_equal(rig_do(&rig, rig_unlink(&rig, rig_path(&rig, "socket", path))), TINA_OK);
    rig_close_fd(&rig, listen_at(&rig, &address, 8));
    listener = listen_at(&rig, &abstract, 8);
    expect_not_bound(&rig, &abstract, EADDRINUSE);
    rig_close_fd(&rig, listener); /* such a name goes with its socket */
    rig_close_fd(&rig, listen_at(&rig, &abstract, 8));
    rig_close(&rig);
}

/* A name of as many bytes as an address holds. */
static void connect_by_the_longest_name_carries_bytes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = rig_nearby(TINA_UNIX);
    memset(address.path + address.length, 'x', sizeof address.path - address.length);
    address.length = sizeof address.path;
    carries_bytes(&rig, &address);
    rig_close(&rig);
}

/* Such a listener may send clients away or let them wait: but each is told once, and who connects is there. */
static void connect_to_a_listener_that_is_full_completes_once(void **state)
{
    (void)state;
    enum { CLIENTS = 6 };
    test_rig rig;
    open_small(&rig);
    tina_address address = rig_nearby(TINA_UNIX);
    rig_fd listener = listen_at(&rig, &address, 1), clients[CLIENTS];
    rig_request *connecting[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = rig_socket(&rig, TINA_UNIX);
        connecting[i] = rig_connect(&rig, clients[i], &address);
        rig_submit(&rig, connecting[i]);
    }
    for (int i = 0; i < 3; i++)
        rig_turn(&rig, 0);
    int accepted = 0, connected = 0;
    for (int i = 0; i < CLIENTS; i++)
        rig_cancel(&rig, connecting[i]);
    for (int i = 0; i < CLIENTS; i++) {
        rig_await(&rig, connecting[i]);
        connected += connecting[i]->completion.status == TINA_OK;
    }
    assert_in_range(connected, 1, CLIENTS - 1);
    for (; accepted < connected; accepted++) {
        rig_request *accepting = rig_accept(&rig, listener);
        assert_int_equal(rig_do(&rig, accepting), TINA_OK);
        rig_close_fd(&rig, rig_adopt(&rig, accepting->completion.os_fd));
    }
    for (int i = 0; i < CLIENTS; i++)
        rig_close_fd(&rig, clients[i]);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

/* Half of a connection ends, the other goes on. */
static void shutdown_of_a_half_leaves_the_other(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = rig_nearby(TINA_UNIX);
    rig_fd listener = listen_at(&rig, &address, 8), client = rig_socket(&rig, TINA_UNIX);
    rig_fd server = connect_pair(&rig, listener, &address, client);
    int os_error;
    assert_int_equal(rig.api->socket_shutdown(rig.backend, client.os_fd, TINA_WRITE_HALF, &os_error), TINA_OK);
    assert_int_equal(rig_do(&rig, rig_receive(&rig, server, 0)), TINA_CLOSED);
    assert_int_equal(rig_do(&rig, rig_send(&rig, client, "x", 1)), TINA_RESET);
    expect_bytes(&rig, server, client, "still");
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_by_path_carries_bytes),
        cmocka_unit_test(connect_by_abstract_name_carries_bytes),
        cmocka_unit_test(connect_by_abstract_name_of_any_bytes_carries_bytes),
        cmocka_unit_test(connect_by_the_longest_name_carries_bytes),
        cmocka_unit_test(accept_of_a_client_without_a_name_says_so),
        cmocka_unit_test(accept_of_a_client_with_a_name_says_it),
        cmocka_unit_test(connect_where_nobody_is_says_why),
        cmocka_unit_test(connect_to_an_address_that_is_none_is_invalid),
        cmocka_unit_test(connect_to_a_listener_that_is_full_completes_once),
        cmocka_unit_test(bind_of_a_name_that_is_taken_fails_until_it_is_unlinked),
        cmocka_unit_test(shutdown_of_a_half_leaves_the_other),
    };
    return run_each(tests, sizeof tests / sizeof tests[0], NULL, 0, argc, argv);
}
