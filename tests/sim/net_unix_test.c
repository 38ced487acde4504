/* Unix sockets in a made network: their names, streams and datagrams, without faults unless it says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

static net_rig rig;
static const uint8_t bulk[2 * NET_WINDOW];

static const tina_address nameless = {.family = TINA_UNIX};

static int stream(uint32_t shard) { return net_socket(&rig, shard, TINA_UNIX); }
static int datagram(uint32_t shard) { return net_socket_of(&rig, shard, TINA_UNIX, TINA_DATAGRAM); }

static int bound(int fd, tina_address name)
{
    assert_int_equal(net_bind(&rig, fd, name), TINA_OK);
    return fd;
}

static int listener(const char *path)
{
    int fd = bound(stream(1), net_name(path));
    assert_int_equal(net_listen(&rig, fd, 1), TINA_OK);
    return fd;
}

static void bind_fails(int fd, tina_address name, int error)
{
    assert_int_equal(net_bind(&rig, fd, name), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, error);
}

static net_request *name_request(uint8_t kind, const char *paths, uint32_t size)
{
    net_request *request = net_prepare(&rig, 0, kind, -1);
    request->request.data = paths;
    request->request.size = size;
    return net_submit(&rig, request);
}

static void unlink_name(const char *path) { net_assert(name_request(TINA__IO_UNLINK, path, 0), TINA_OK, 0); }

static tina_address peer_of(int fd)
{
    tina_address address;
    assert_int_equal(api->socket_peer(rig.shards[0].backend, fd, &address, &os_error), TINA_OK);
    return address;
}

/* ---- Names ------------------------------------------------------------------------------ */

static void bind_to_a_name_that_is_there_is_refused(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = bound(stream(0), net_name("/run/x"));
    net_assert_address(net_local(&rig, fd), net_name("/run/x"));
    bind_fails(fd, net_name("/run/y"), EINVAL); /* it has one */
    bind_fails(stream(0), net_name("/run/x"), EADDRINUSE);
    bind_fails(datagram(0), net_name("/run/x"), EADDRINUSE);
    bind_fails(stream(0), net_loopback(1), EINVAL);
    net_request *opened = net_prepare(&rig, 0, TINA__IO_OPEN, -1);
    opened->request.data = "/run/file";
    opened->request.flags = TINA_OPEN_WRITE | TINA_OPEN_CREATE;
    net_assert(net_submit(&rig, opened), TINA_OK, 0);
    bind_fails(stream(0), net_name("/run/file"), EADDRINUSE);
    tina_address too_long = {.family = TINA_UNIX, .length = sizeof too_long.path + 1};
    assert_int_equal(net_bind(&rig, stream(0), too_long), TINA_INVALID);
    net_close(&rig);
}

static void name_outlives_its_socket_until_it_is_unlinked(void **state)
{
    (void)state;
    net_open(&rig);
    net_assert(net_connect(&rig, 0, stream(0), net_name("/x")), TINA_NOT_FOUND, ENOENT);
    int fd = listener("/x");
    net_close_fd(&rig, 1, fd);
    net_assert(net_connect(&rig, 0, stream(0), net_name("/x")), TINA_REFUSED, ECONNREFUSED);
    bind_fails(stream(0), net_name("/x"), EADDRINUSE);
    unlink_name("/x");
    net_assert(net_connect(&rig, 0, stream(0), net_name("/x")), TINA_NOT_FOUND, ENOENT);
    listener("/x");
    net_assert(net_connect(&rig, 0, stream(0), net_name("/x")), TINA_OK, 0);
    net_close(&rig);
}

static void name_that_is_unlinked_or_renamed_leads_elsewhere(void **state)
{
    (void)state;
    net_open(&rig);
    listener("/x");
    net_assert(name_request(TINA__IO_RENAME, "/x\0/y", 3), TINA_OK, 0);
    net_assert(net_connect(&rig, 0, stream(0), net_name("/x")), TINA_NOT_FOUND, ENOENT);
    net_assert(net_connect(&rig, 0, stream(0), net_name("/y")), TINA_OK, 0);
    unlink_name("/y");
    net_assert(net_connect(&rig, 0, stream(0), net_name("/y")), TINA_NOT_FOUND, ENOENT);
    int other = listener("/y"); /* both listen, and this one is found */
    int client = stream(0);
    net_assert(net_connect(&rig, 0, client, net_name("/y")), TINA_OK, 0);
    net_assert(net_accept(&rig, 1, other), TINA_OK, 0);
    net_close(&rig);
}

static void name_is_the_bytes_before_the_first_zero(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address cut = net_name("/x");
    cut.length = 10;
    bound(stream(0), cut);
    bind_fails(stream(0), net_name("/x"), EADDRINUSE);
    char longest[sizeof cut.path + 1];
    memset(longest, 'n', sizeof longest);
    longest[sizeof cut.path] = '\0';
    int fd = bound(stream(0), net_name(longest));
    net_assert_address(net_local(&rig, fd), net_name(longest));
    net_close(&rig);
}

static void abstract_name_goes_with_its_socket(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address name = net_abstract("hidden");
    net_assert(net_connect(&rig, 0, stream(0), name), TINA_REFUSED, ECONNREFUSED);
    int server = bound(stream(1), name);
    bind_fails(stream(0), name, EADDRINUSE);
    bound(datagram(0), name); /* datagrams have their own */
    assert_int_equal(net_listen(&rig, server, 1), TINA_OK);
    int client = stream(0);
    net_assert(net_connect(&rig, 0, client, name), TINA_OK, 0);
    net_assert_address(peer_of(client), name);
    net_request *accepted = net_accept(&rig, 1, server);
    net_assert(accepted, TINA_OK, 0);
    net_close_fd(&rig, 1, server);
    net_assert_address(net_local(&rig, accepted->completion.os_fd), name);
    net_assert(net_connect(&rig, 0, stream(0), name), TINA_REFUSED, ECONNREFUSED); /* an end of a connection is not found */
    bound(stream(0), name);
    net_close(&rig);
}

static void bind_without_a_name_gets_one_that_nobody_has(void **state)
{
    (void)state;
    net_open(&rig);
    bound(datagram(0), net_abstract("00001"));
    int first = bound(datagram(0), nameless);
    int second = bound(datagram(0), nameless);
    net_assert_address(net_local(&rig, first), net_abstract("00000"));
    net_assert_address(net_local(&rig, second), net_abstract("00002"));
    net_close(&rig);
}

/* ---- Streams ----------------------------------------------------------------------------- */

static void stream_carries_bytes_both_ways_between_names(void **state)
{
    (void)state;
    net_open(&rig);
    int server = listener("/server");
    int client = stream(0);
    net_assert(net_connect(&rig, 0, client, net_name("/server")), TINA_OK, 0);
    net_request *accepted = net_accept(&rig, 1, server);
    net_assert(accepted, TINA_OK, 0);
    int end = accepted->completion.os_fd;
    net_assert_address(accepted->peer, nameless);
    net_assert_address(peer_of(end), nameless);
    net_assert_address(net_local(&rig, client), nameless);
    net_assert_address(net_local(&rig, end), net_name("/server"));
    net_assert_address(peer_of(client), net_name("/server"));
    net_assert_size(net_send(&rig, 0, client, "there", 5), 5);
    net_assert_text(net_receive(&rig, 1, end, 0), "there");
    net_assert_size(net_send(&rig, 1, end, "back", 4), 4);
    net_assert_text(net_receive(&rig, 0, client, 0), "back");
    net_close_fd(&rig, 1, end);
    net_assert(net_receive(&rig, 0, client, 0), TINA_CLOSED, 0);
    net_assert_address(peer_of(client), net_name("/server"));
    net_close(&rig);
}

static void client_with_a_name_is_known_by_it(void **state)
{
    (void)state;
    net_open(&rig);
    int server = listener("/server");
    int client = bound(stream(0), net_name("/client"));
    net_assert(net_connect(&rig, 0, client, net_name("/server")), TINA_OK, 0);
    net_assert_address(net_accept(&rig, 1, server)->peer, net_name("/client"));
    net_assert(net_connect(&rig, 0, stream(0), net_name("/client")), TINA_REFUSED, ECONNREFUSED);
    net_close(&rig);
}

static void connect_that_can_not_be_says_why(void **state)
{
    (void)state;
    net_open(&rig);
    int server = listener("/server");
    int client = stream(0);
    bound(datagram(0), net_name("/datagrams"));
    bound(stream(0), net_name("/silent"));
    net_assert(net_connect(&rig, 0, client, net_name("/datagrams")), TINA_SYSTEM_ERROR, EPROTOTYPE);
    net_assert(net_connect(&rig, 0, client, net_name("/silent")), TINA_REFUSED, ECONNREFUSED);
    net_assert(net_connect(&rig, 0, client, net_loopback(1)), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_connect(&rig, 0, client, nameless), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_connect(&rig, 1, server, net_name("/server")), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), net_name("/server")), TINA_UNSUPPORTED, EAFNOSUPPORT);
    net_assert(net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV6), net_name("/server")), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_connect(&rig, 0, client, net_name("/server")), TINA_OK, 0);
    net_assert(net_connect(&rig, 0, client, net_name("/server")), TINA_SYSTEM_ERROR, EISCONN);
    assert_int_equal(net_listen(&rig, stream(0), 1), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EINVAL);
    net_close(&rig);
}

static void full_backlog_makes_clients_wait_and_its_end_refuses_them(void **state)
{
    (void)state;
    net_open(&rig);
    int server = listener("/server");
    net_request *connecting[4];
    int clients[4];
    for (int i = 0; i < 4; i++) {
        clients[i] = stream(0);
        connecting[i] = net_connect(&rig, 0, clients[i], net_name("/server"));
        net_assert(connecting[i], i < 2 ? TINA_OK : NET_WAITS, 0);
    }
    net_assert(net_accept(&rig, 1, server), TINA_OK, 0);
    net_assert(connecting[2], TINA_OK, 0);
    net_request *receiving = net_receive(&rig, 0, clients[2], 0);
    net_close_fd(&rig, 1, server);
    net_assert(connecting[3], TINA_REFUSED, ECONNREFUSED);
    net_assert(receiving, TINA_RESET, ECONNRESET);
    net_assert(net_receive(&rig, 0, clients[2], 0), TINA_CLOSED, 0);
    net_assert_address(peer_of(clients[2]), net_name("/server"));
    net_close(&rig);
}

typedef struct unix_pair {
    int client, end;
} unix_pair;

static unix_pair pair(const char *path)
{
    int server = listener(path);
    unix_pair both = {.client = stream(0)};
    net_assert(net_connect(&rig, 0, both.client, net_name(path)), TINA_OK, 0);
    both.end = net_accept(&rig, 1, server)->completion.os_fd;
    return both;
}

static void send_to_an_end_that_is_gone_fails_at_once(void **state)
{
    (void)state;
    net_open(&rig);
    unix_pair both = pair("/x");
    net_send(&rig, 0, both.client, bulk, NET_WINDOW);
    net_request *waiting = net_send(&rig, 0, both.client, "x", 1);
    net_assert(waiting, NET_WAITS, 0);
    net_assert_size(net_send(&rig, 1, both.end, "last", 4), 4);
    net_close_fd(&rig, 1, both.end); /* which has not read all */
    net_assert(waiting, TINA_RESET, EPIPE);
    net_assert(net_send(&rig, 0, both.client, "x", 1), TINA_RESET, EPIPE);
    net_assert_text(net_receive(&rig, 0, both.client, 0), "last");
    net_assert(net_receive(&rig, 0, both.client, 0), TINA_RESET, ECONNRESET);
    net_assert(net_receive(&rig, 0, both.client, 0), TINA_CLOSED, 0);
    both = pair("/y");
    net_close_fd(&rig, 1, both.end);
    net_assert(net_send(&rig, 0, both.client, "x", 1), TINA_RESET, EPIPE);
    net_assert(net_receive(&rig, 0, both.client, 0), TINA_CLOSED, 0);
    net_assert(net_send(&rig, 0, stream(0), "x", 1), TINA_SYSTEM_ERROR, ENOTCONN);
    net_close(&rig);
}

static void end_that_reads_no_more_fails_its_peers_sends(void **state)
{
    (void)state;
    net_open(&rig);
    unix_pair both = pair("/x");
    net_send(&rig, 0, both.client, bulk, NET_WINDOW);
    net_request *waiting = net_send(&rig, 0, both.client, "x", 1);
    assert_int_equal(net_shutdown(&rig, 1, both.end, TINA_READ_HALF), TINA_OK);
    net_assert(waiting, TINA_RESET, EPIPE);
    net_assert_size(net_send(&rig, 1, both.end, "still", 5), 5);
    net_assert_text(net_receive(&rig, 0, both.client, 0), "still");
    assert_int_equal(net_shutdown(&rig, 1, stream(1), TINA_BOTH_HALVES), TINA_OK); /* no connection is needed */
    net_close(&rig);
}

static void options_are_those_that_unix_sockets_have(void **state)
{
    (void)state;
    const int without[] = {TINA_OPT_NODELAY,   TINA_OPT_CORK,    TINA_OPT_V6ONLY,   TINA_OPT_KEEPIDLE,
                           TINA_OPT_KEEPINTVL, TINA_OPT_KEEPCNT, TINA_OPT_REUSEPORT};
    net_open(&rig);
    int fd = stream(0);
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        assert_int_equal(api->socket_set(rig.shards[0].backend, fd, without[i], 1, &os_error), TINA_UNSUPPORTED);
        assert_int_equal(os_error, EOPNOTSUPP);
    }
    net_set(&rig, fd, TINA_OPT_KEEPALIVE, 1);
    net_set(&rig, fd, TINA_OPT_REUSEPORT, 0);
    assert_int_equal(net_get(&rig, fd, TINA_OPT_REUSEPORT), 0);
    unix_pair both = pair("/x");
    net_set(&rig, both.end, TINA_OPT_LINGER, 0); /* which means nothing here */
    net_close_fd(&rig, 1, both.end);
    net_assert(net_receive(&rig, 0, both.client, 0), TINA_CLOSED, 0);
    net_close(&rig);
}

/* ---- Datagrams ---------------------------------------------------------------------------- */

static void datagram_says_the_name_that_it_is_from(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to = net_name("/server"), back = net_name("/client");
    int server = bound(datagram(1), to);
    int client = datagram(0);
    net_assert_size(net_send_to(&rig, 0, client, &to, "from nobody"), 11);
    net_request *received = net_receive_from(&rig, 1, server, 0);
    net_assert_text(received, "from nobody");
    net_assert_address(received->from, nameless);
    bound(client, back);
    net_request *waiting = net_receive_from(&rig, 1, server, 4);
    net_assert_size(net_send_to(&rig, 0, client, &to, "truncated"), 9);
    net_assert_text(waiting, "trun");
    assert_true(waiting->completion.is_truncated);
    net_assert_address(waiting->from, back);
    net_assert_size(net_send_to(&rig, 1, server, &waiting->from, ""), 0);
    net_assert_size(net_receive_from(&rig, 0, client, 0), 0);
    net_close(&rig);
}

static void datagram_to_a_name_without_a_socket_fails_at_once(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to = net_name("/server"), hidden = net_abstract("x"), stream_name = net_name("/stream");
    int server = bound(datagram(1), to);
    int client = datagram(0);
    net_close_fd(&rig, 1, server);
    bound(stream(0), stream_name);
    net_assert(net_send_to(&rig, 0, client, &to, "x"), TINA_REFUSED, ECONNREFUSED);
    net_assert(net_send_to(&rig, 0, client, &hidden, "x"), TINA_REFUSED, ECONNREFUSED);
    net_assert(net_send_to(&rig, 0, client, &stream_name, "x"), TINA_SYSTEM_ERROR, EPROTOTYPE);
    net_assert(net_send_to(&rig, 0, client, &nameless, "x"), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_send_to(&rig, 0, client, NULL, "x"), TINA_SYSTEM_ERROR, ENOTCONN);
    unlink_name("/server");
    net_assert(net_send_to(&rig, 0, client, &to, "x"), TINA_NOT_FOUND, ENOENT);
    net_assert(net_connect(&rig, 0, client, to), TINA_NOT_FOUND, ENOENT);
    bound(datagram(1), to);
    net_request *large = net_prepare_send_to(&rig, 0, client, &to, bulk, NET_WINDOW + 1);
    net_assert(net_submit(&rig, large), TINA_SYSTEM_ERROR, EMSGSIZE);
    net_close(&rig);
}

static void connected_datagram_socket_is_for_its_peer_alone(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address name = net_name("/server"), own = net_name("/client");
    int server = bound(datagram(1), name);
    int client = bound(datagram(0), own);
    net_assert(net_connect(&rig, 0, client, name), TINA_OK, 0);
    net_assert_address(peer_of(client), name);
    net_assert_size(net_send_to(&rig, 0, client, NULL, "hello"), 5);
    net_assert_text(net_receive_from(&rig, 1, server, 0), "hello");
    net_assert_size(net_send_to(&rig, 1, server, &own, "hi"), 2);
    net_assert_text(net_receive_from(&rig, 0, client, 0), "hi");
    int stranger = datagram(2);
    net_assert(net_send_to(&rig, 2, stranger, &own, "x"), TINA_DENIED, EPERM);
    net_assert(net_connect(&rig, 2, stranger, own), TINA_DENIED, EPERM);
    net_close_fd(&rig, 1, server);
    bound(datagram(1), net_name("/other"));
    net_assert_address(peer_of(client), name);
    net_assert(net_send_to(&rig, 0, client, NULL, "x"), TINA_REFUSED, ECONNREFUSED);
    net_assert(net_send_to(&rig, 0, client, NULL, "x"), TINA_SYSTEM_ERROR, ENOTCONN);
    net_assert_size(net_send_to(&rig, 2, stranger, &own, "x"), 1); /* it is connected to nobody now */
    net_close(&rig);
}

static void full_queue_makes_senders_wait_in_line(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to = net_name("/server");
    int server = bound(datagram(1), to);
    int clients[4];
    net_request *waiting[4];
    for (int i = 0; i < 4; i++)
        clients[i] = datagram(0);
    net_assert_size(net_submit(&rig, net_prepare_send_to(&rig, 0, clients[0], &to, bulk, NET_WINDOW - 3)), NET_WINDOW - 3);
    waiting[0] = net_send_to(&rig, 0, clients[0], &to, "much more");
    net_assert(waiting[0], NET_WAITS, 0);
    waiting[1] = net_send_to(&rig, 0, clients[1], &to, "x"); /* it would fit, but is not the first */
    net_assert(waiting[1], NET_WAITS, 0);
    net_request *hasty = net_prepare_send_to(&rig, 0, clients[2], &to, "y", 1);
    hasty->request.no_wait = true;
    net_assert(net_submit(&rig, hasty), TINA_BUSY, 0);
    waiting[2] = net_send_to(&rig, 0, clients[2], &to, "given up");
    waiting[3] = net_send_to(&rig, 0, clients[3], &to, "third");
    net_cancel(&rig, waiting[2]);
    net_assert(waiting[2], TINA_CANCELLED, 0);
    net_assert_size(net_receive_from(&rig, 1, server, 1), 1);
    net_assert_size(waiting[0], 9);
    net_assert_size(waiting[1], 1);
    net_assert_size(waiting[3], 5);
    net_assert_text(net_receive_from(&rig, 1, server, 0), "much more");
    net_assert_text(net_receive_from(&rig, 1, server, 0), "x");
    net_assert_text(net_receive_from(&rig, 1, server, 0), "third");
    net_assert(net_receive_from(&rig, 1, server, 0), NET_WAITS, 0);
    net_close(&rig);
}

static void sender_that_gives_up_lets_the_next_one_in(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to = net_name("/server");
    bound(datagram(1), to);
    int large = datagram(0), small = datagram(0);
    net_assert_size(net_submit(&rig, net_prepare_send_to(&rig, 0, large, &to, bulk, NET_WINDOW - 3)), NET_WINDOW - 3);
    net_request *first = net_send_to(&rig, 0, large, &to, "much more");
    net_request *second = net_send_to(&rig, 0, small, &to, "x");
    net_assert(second, NET_WAITS, 0);
    net_cancel(&rig, first);
    net_assert(first, TINA_CANCELLED, 0);
    net_assert_size(second, 1);
    net_close(&rig);
}

static void line_ends_with_its_receiver(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to = net_name("/server"), second = net_name("/second");
    int server = bound(datagram(1), to);
    int deaf = bound(datagram(1), second);
    int clients[3] = {datagram(0), datagram(0), datagram(2)};
    for (int i = 0; i < TINA__NET_DATAGRAMS; i++) {
        net_assert_size(net_send_to(&rig, 0, clients[0], &to, ""), 0);
        net_assert_size(net_send_to(&rig, 0, clients[0], &second, ""), 0);
    }
    net_request *waiting = net_send_to(&rig, 0, clients[0], &to, "x");
    net_request *waiting_too = net_send_to(&rig, 0, clients[1], &second, "x");
    net_request *dropped = net_send_to(&rig, 2, clients[2], &to, "x");
    net_assert(dropped, NET_WAITS, 0);
    assert_true(api->abandon(rig.shards[2].backend));
    dropped->is_under_way = false;
    net_close_fd(&rig, 2, clients[2]);
    net_close_fd(&rig, 1, server);
    net_assert(waiting, TINA_REFUSED, ECONNREFUSED);
    assert_int_equal(net_shutdown(&rig, 1, deaf, TINA_READ_HALF), TINA_OK);
    net_assert(waiting_too, TINA_RESET, EPIPE);
    net_assert(net_send_to(&rig, 0, clients[0], &second, "x"), TINA_RESET, EPIPE);
    for (int i = 0; i < TINA__NET_DATAGRAMS; i++)
        net_assert_size(net_receive_from(&rig, 1, deaf, 0), 0);
    net_assert(net_receive_from(&rig, 1, deaf, 0), TINA_CLOSED, 0);
    net_close(&rig);
}

/* ---- By chance ----------------------------------------------------------------------------- */

static void datagrams_are_late_but_in_order_and_all_there(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to = net_name("/server");
    int server = bound(datagram(1), to);
    int client = datagram(0);
    static uint8_t numbers[TINA__NET_DATAGRAMS];
    rig.faults.rates = (tina_faults){.datagram_loss = {1, 1}, .datagram_double = {1, 1}};
    for (uint8_t i = 0; i < TINA__NET_DATAGRAMS; i++) {
        numbers[i] = i;
        rig.faults.rates.io_delay = (tina_range){0, 9};
        net_cancel(&rig, net_submit(&rig, net_prepare_send_to(&rig, 0, client, &to, &numbers[i], 1)));
    }
    rig.faults.rates.io_delay = (tina_range){0, 0};
    net_pass(&rig, 20);
    for (uint8_t i = 0; i < TINA__NET_DATAGRAMS; i++)
        assert_int_equal(net_receive_from(&rig, 1, server, 0)->data[0], i);
    assert_int_equal(rig.faults.counts.datagram_loss + rig.faults.counts.datagram_double, 0);
    assert_true(rig.faults.counts.io_delay != 0);
    net_close(&rig);
}

static void delayed_connect_finds_what_is_there_when_it_arrives(void **state)
{
    (void)state;
    net_open(&rig);
    rig.faults.rates.io_delay = (tina_range){3, 3};
    net_request *early = net_connect(&rig, 0, stream(0), net_name("/x"));
    net_request *gone = net_connect(&rig, 0, stream(0), net_name("/y"));
    rig.faults.rates.io_delay = (tina_range){0, 0};
    listener("/x");
    net_pass(&rig, 3);
    net_assert(early, TINA_OK, 0);
    net_assert(gone, TINA_NOT_FOUND, ENOENT);
    net_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bind_to_a_name_that_is_there_is_refused),
        cmocka_unit_test(name_outlives_its_socket_until_it_is_unlinked),
        cmocka_unit_test(name_that_is_unlinked_or_renamed_leads_elsewhere),
        cmocka_unit_test(name_is_the_bytes_before_the_first_zero),
        cmocka_unit_test(abstract_name_goes_with_its_socket),
        cmocka_unit_test(bind_without_a_name_gets_one_that_nobody_has),
        cmocka_unit_test(stream_carries_bytes_both_ways_between_names),
        cmocka_unit_test(client_with_a_name_is_known_by_it),
        cmocka_unit_test(connect_that_can_not_be_says_why),
        cmocka_unit_test(full_backlog_makes_clients_wait_and_its_end_refuses_them),
        cmocka_unit_test(send_to_an_end_that_is_gone_fails_at_once),
        cmocka_unit_test(end_that_reads_no_more_fails_its_peers_sends),
        cmocka_unit_test(options_are_those_that_unix_sockets_have),
        cmocka_unit_test(datagram_says_the_name_that_it_is_from),
        cmocka_unit_test(datagram_to_a_name_without_a_socket_fails_at_once),
        cmocka_unit_test(connected_datagram_socket_is_for_its_peer_alone),
        cmocka_unit_test(full_queue_makes_senders_wait_in_line),
        cmocka_unit_test(sender_that_gives_up_lets_the_next_one_in),
        cmocka_unit_test(line_ends_with_its_receiver),
        cmocka_unit_test(datagrams_are_late_but_in_order_and_all_there),
        cmocka_unit_test(delayed_connect_finds_what_is_there_when_it_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
